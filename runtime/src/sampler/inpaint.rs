//! Runs in which part of the image is known.
//!
//! After every step the known elements are replaced by q(x_t | x_0) of their image (Ho et al. 2020, equation 4), and by the
//! image itself after the last: Lugmayr et al., "RePaint", CVPR 2022, equation 8, without its resampling (Sohl-Dickstein et
//! al. 2015, section 2.5, has the idea). Their noise is that of x_T in every step, so that under a deterministic sampler they
//! stay on the probability-flow ODE's path of a known point. A chain of 2015 has a second factor instead: `posterior`.

use super::Sampler;
use crate::error::RunError;
use crate::features::Feature;
use crate::model::crc::crc32;
use crate::numeric::normal::normal_q24;
use crate::schedule::coefficients::add_noise;

/// An element of a known image that is not known: the sampler makes it.
pub const UNKNOWN: i32 = i32::MIN;

impl<'a> Sampler<'_, 'a> {
    /// Makes the elements of `image_q24` (Q24, `(row, col, channel)`) that are not [`UNKNOWN`] known for the rest of the run, and
    /// sets them in the state. Call it before the first step, and again after a resume.
    ///
    /// # Errors
    /// `Length`; `NotBuilt`; `KnownImage` where the run was saved with another image.
    pub fn inpaint(&mut self, image_q24: &'a [i32]) -> Result<(), RunError> {
        let tag = self.can_know(image_q24)?;
        (self.known, self.known_tag) = (Some(image_q24), tag);
        self.begin_known();
        Ok(())
    }

    /// Refuses: this runtime was built without the part.
    ///
    /// # Errors
    /// `NotBuilt`.
    #[cfg(not(feature = "posterior"))]
    pub fn posterior(&mut self, _: &'a [i32], _: u32) -> Result<(), RunError> {
        Err(RunError::NotBuilt(Feature::Posterior))
    }

    /// The tag of an image that can be known from here on.
    #[inline(always)]
    pub(super) fn can_know(&self, image_q24: &[i32]) -> Result<u32, RunError> {
        let feature = Feature::Inpaint;
        feature.built().ok_or(RunError::NotBuilt(feature))?;
        if self.is_chain() {
            return Err(RunError::ChainSampler);
        }
        self.fits(image_q24)?;
        let tag = tag(image_q24);
        if self.known_tag != 0 && self.known_tag != tag {
            return Err(RunError::KnownImage);
        }
        Ok(tag)
    }

    /// Sets the known elements as the next step sees them.
    #[inline(always)]
    pub(super) fn begin_known(&mut self) {
        self.set_known(self.rows().noising(self.index, 0));
    }

    /// Whether there are known elements.
    pub(super) fn is_known(&self) -> bool {
        Feature::Inpaint.is_built() && self.known.is_some()
    }

    /// Sets the known elements as they are under this noising, to themselves where there is none: once the run is finished.
    pub(super) fn set_known(&mut self, coefficients: Option<(i32, i32)>) {
        let Some(known) = self.known else {
            return;
        };
        for (i, (x, &known)) in self.x.iter_mut().zip(known).enumerate() {
            *x = match coefficients {
                _ if known == UNKNOWN => continue,
                Some(coefficients) => add_noise(coefficients, known, normal_q24(self.config.seed, 0, i as u32)),
                None => known,
            };
        }
    }
}

/// Tells known images apart in a snapshot; not 0.
fn tag(image_q24: &[i32]) -> u32 {
    crc32(bytemuck::cast_slice(image_q24)).max(1)
}
