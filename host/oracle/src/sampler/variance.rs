//! Networks that give variances after the means of each position, and the noise of the ancestral step that takes them.

use super::Run;
use crate::OracleError;
use crate::request::{Method, Variance};
use crate::scalar::noise::{neg_ln_u64_q57, normal_q24};
use crate::scalar::rounding::Rounding;
use crate::scalar::sigmoid::exp2_neg_q16;

const ONE: u64 = 1 << 62;

impl Run<'_> {
    /// Channels of the sample.
    pub(super) fn channels(&self) -> usize {
        self.model.header().channels.into()
    }

    /// The means of an output, and its variances if it has some.
    pub(super) fn means(&self, out: Vec<i64>) -> (Vec<i64>, Vec<i64>) {
        if !self.network.gives_variances() {
            return (out, vec![]);
        }
        let per = self.channels();
        let half = |from: usize| {
            let each = out.chunks(2 * per).flat_map(|both| &both[from..from + per]);
            each.copied().collect()
        };
        (half(0), half(per))
    }

    /// The noise of a step at timestep `t`, one an element; zeros where it draws none.
    pub(super) fn noise(&self, variances: &[i64], index: u32, t: u32) -> Result<Vec<i64>, OracleError> {
        let h = self.model.header();
        let count = self.channels() * usize::from(h.rows) * usize::from(h.cols);
        if !self.rows().noisy() {
            return Ok(vec![0; count]);
        }
        let normal = (0..count as u32).map(|i| normal_q24(self.config.seed, index + 1, i));
        if self.config.method != Method::Ddpm(Variance::Learned) {
            return Ok(normal.collect());
        }
        let (now, next) = self.rows().alphas(index, t)?;
        let spread = spread_q24(now, next);
        let each = normal
            .zip(variances)
            .map(|(z, v)| smaller(z, *v, spread, self.rounding()));
        Ok(each.collect())
    }
}

/// `log2((1 - ab) / (1 - ab')) / 2`.
fn spread_q24(now: u64, next: u64) -> i128 {
    if next <= now || next >= ONE {
        return 0;
    }
    let ln = (neg_ln_u64_q57(ONE - next) - neg_ln_u64_q57(ONE - now)).max(0);
    ((ln >> 30) * 1_549_082_005 + (1 << 33)) >> 34
}

/// `z 2^-u`, `u = (1 - v) / 2 * spread`.
fn smaller(z: i64, v: i64, spread_q24: i128, r: Rounding) -> i64 {
    let within = |v: i128| v.clamp(-(1 << 30), 1 << 30);
    let gap = (1 << 24) - within(v.into());
    let u = r.shift(spread_q24 * gap, 33).clamp(-6 * 65_536, 31 * 65_536);
    let (whole, part) = (u.div_euclid(65_536), u.rem_euclid(65_536));
    let factor: i128 = exp2_neg_q16(part as i64).into();
    within(r.shift(within(z.into()) * factor, (16 + whole) as u32)) as i64
}
