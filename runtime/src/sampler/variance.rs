//! Networks that give variances beside their prediction (Nichol and Dhariwal 2021): each position has its channels' means, then their
//! variances. Every sampler takes the means; the ancestral one takes the variances too, where that is asked for.

use super::{Config, Sampler};
use crate::error::RunError;
use crate::model::Model;
use crate::numeric::normal::normal_q24;
use crate::schedule::ddpm::Spread;
use crate::schedule::rows::Row;

/// [`separate`] after the call that was asked for, whose variances a run that takes them keeps in `kept`.
pub(super) fn keep(
    model: &Model<'_>,
    activations: &mut [u8],
    config: &Config,
    kept: &mut [i32],
) -> Result<(), RunError> {
    let variances = if config.method.is_learned() { kept } else { &mut [] };
    separate(model, activations, variances)
}

/// Brings the means in the network's output to its beginning, as a network without variances has them, and the variances to
/// `variances`, which has a sample's length or none. Both are Q24, `(row, col, channel)`. Nothing is done where there are no variances.
///
/// # Errors
/// `Memory`: `activations` is no arena of `model`.
#[inline(never)]
pub fn separate(model: &Model<'_>, activations: &mut [u8], variances: &mut [i32]) -> Result<(), RunError> {
    if !model.has_variances() {
        return Ok(());
    }
    let header = model.header();
    let missing = RunError::Memory { op: header.op_count };
    let bytes = activations.get_mut(model.known(header.output).range());
    let out: &mut [i32] = bytemuck::try_cast_slice_mut(bytes.ok_or(missing)?).map_err(|_| missing)?;
    let channels = usize::from(header.channels);
    for i in 0..header.sample_len() {
        // Never before i: nothing is overwritten that is still to be read.
        let at = i / channels * 2 * channels + i % channels;
        let (Some(&mean), Some(&variance)) = (out.get(at), out.get(at + channels)) else {
            return Err(missing);
        };
        if let Some(to) = variances.get_mut(i) {
            *to = variance;
        }
        if let Some(to) = out.get_mut(i) {
            *to = mean;
        }
    }
    Ok(())
}

impl Sampler<'_, '_> {
    /// Moves the state by the means, which are in the arena, with noise as the variances of this step's call have it.
    #[inline(never)]
    pub(super) fn learned_step(&mut self, row: &Row) -> Result<(), RunError> {
        let (now, next) = self.rows().alphas(self.index, row.timestep())?;
        let spread = Spread::new(now, next);
        let (coefficients, range) = (&row.coefficients, self.config.clip_range_q24);
        let (seed, stream) = (self.config.seed, self.index + 1);
        let out = super::output(self.model, self.activations)?;
        let each = self.x.iter_mut().zip(out).zip(self.kept.iter());
        for (i, ((x, out), variance)) in each.enumerate() {
            let x0 = coefficients.predicted_x0(*x, *out, range);
            let z = spread.noise(normal_q24(seed, stream, i as u32), *variance);
            *x = coefficients.advance(x0, 0, *x, z);
        }
        Ok(())
    }
}
