//! The state that a run begins with.

use super::Sampler;
use crate::error::RunError;
use crate::features::Feature;
use crate::numeric::normal::{fill_normal_q24, normal_q24};
use crate::numeric::sine::sin_cos_q30;
use crate::schedule::coefficients::{Prediction, add_noise};

/// Where a run starts.
#[derive(Debug, Clone, Copy)]
pub enum Start<'s> {
    /// x_T drawn from the seed.
    Seed,
    /// x_T given, Q24, `(row, col, channel)`.
    Noise(&'s [i32]),
    /// A clean image noised to the timestep where `strength * steps` steps are left (Meng et al. 2022, SDEdit).
    Image {
        /// Q24, `(row, col, channel)`.
        image_q24: &'s [i32],
        /// Share of the steps that are run, Q16.
        strength_q16: u32,
    },
    /// x_T between two seeds' noises, on a quarter circle: standard normal everywhere on it.
    Between {
        /// The other seed.
        second: u64,
        /// How far towards it, Q16: 0 is the run's own noise, 65536 the other's.
        part_q16: u32,
    },
}

impl Sampler<'_, '_> {
    // What a caller never starts from takes no flash.
    #[inline(always)]
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
                self.rows().begins_at(self.index)?;
                if let (true, Prediction::Bits { prior_q31 }) = (self.is_chain(), self.model.header().prediction) {
                    if let Some(time_q16) = self.rows().time_q16(self.index, 0) {
                        self.noise_bits(self.model.alpha_bar_q62(time_q16 >> 16), prior_q31);
                    }
                    return Ok(());
                }
                if let Some(coefficients) = self.rows().noising(self.index, 0) {
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
