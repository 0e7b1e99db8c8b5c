//! The state that a run begins with.

use super::{Sampler, Start};
use crate::error::RunError;
use crate::features::Feature;
use crate::numeric::normal::{fill_normal_q24, normal_q24};
use crate::numeric::sine::sin_cos_q30;
use crate::schedule::coefficients::{Prediction, add_noise};

impl Sampler<'_, '_> {
    pub(super) fn begin(&mut self, start: &Start<'_>) -> Result<(), RunError> {
        let seed = self.config.seed;
        match *start {
            Start::Seed if self.is_chain() => self.draw_prior(),
            Start::Seed => fill_normal_q24(seed, 0, self.x),
            Start::Noise(noise) => {
                self.fits(noise)?;
                self.x.copy_from_slice(noise);
                if self.is_chain() {
                    self.given_bits();
                }
            }
            Start::Image {
                image_q24,
                strength_q16,
            } => {
                self.fits(image_q24)?;
                if strength_q16 > 1 << 16 {
                    return Err(RunError::Strength(strength_q16));
                }
                self.x.copy_from_slice(image_q24);
                let run = (u64::from(self.config.steps) * u64::from(strength_q16) + (1 << 15)) >> 16;
                self.index = self.config.steps - run as u32;
                if self.is_chain() {
                    self.given_bits();
                }
                self.course().begins_at(self.index)?;
                if let (true, Prediction::Bits { prior_q31 }) = (self.is_chain(), self.model.header().prediction) {
                    if let Some(t) = self.course().timestep(self.index) {
                        self.noise_bits(self.model.alpha_bar_q62(t), prior_q31);
                    }
                    return Ok(());
                }
                if let Some(coefficients) = self.course().noising(self.index) {
                    for (i, x) in self.x.iter_mut().enumerate() {
                        *x = add_noise(coefficients, *x, normal_q24(seed, 0, i as u32));
                    }
                }
            }
            Start::Between { second, part_q16 } => {
                let feature = Feature::Interpolate;
                feature.built().ok_or(RunError::NotBuilt(feature))?;
                if self.is_chain() {
                    return Err(RunError::ChainSampler);
                }
                if part_q16 > 1 << 16 {
                    return Err(RunError::Part(part_q16));
                }
                fill_normal_q24(seed, 0, self.x);
                // A whole part is a quarter turn. The coefficients' squares sum to one, so the state stays within +-2^30.
                let (sine_q30, cosine_q30) = sin_cos_q30(part_q16 << 14);
                for (i, x) in self.x.iter_mut().enumerate() {
                    *x = add_noise((cosine_q30, sine_q30), *x, normal_q24(second, 0, i as u32));
                }
            }
        }
        Ok(())
    }

    /// Whether `given` has as many elements as the state.
    pub(super) fn fits(&self, given: &[i32]) -> Result<(), RunError> {
        let (expected, found) = (self.x.len() as u32, given.len() as u32);
        if expected == found {
            Ok(())
        } else {
            Err(RunError::Length { expected, found })
        }
    }
}
