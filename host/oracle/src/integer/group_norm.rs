//! Integer group normalization.

use mote_runtime::blob::op::GroupNorm;

use super::Out;
use crate::network::Inputs;
use crate::planes::Planes;
use crate::scalar::roots::rsqrt;
use crate::scalar::rounding::saturate;
use crate::scalar::sigmoid::silu_q16;

/// Runs the normalization on the joined input; `affine` is gamma, then beta.
pub fn run(
    norm: &GroupNorm,
    affine: &[i64],
    input: &Planes<i64>,
    inputs: &Inputs<'_>,
    out: &Out,
) -> Option<Planes<i64>> {
    let (gamma, beta_q16) = affine.split_at(input.channels);
    let size = input.channels / usize::from(norm.groups);
    let vector = match norm.scale_shift {
        None => None,
        Some((id, factor)) => Some(inputs.get(id)?.map(|v| out.scaled(factor, v))),
    };
    let mut values = Vec::with_capacity(input.values.len());
    for group in 0..usize::from(norm.groups) {
        let whole = &input.values[group * size * input.positions()..][..size * input.positions()];
        let moments = Moments::of(whole, norm.eps_q, out);
        for channel in group * size..(group + 1) * size {
            let affine = moments.affine(gamma[channel], norm.gamma_frac, beta_q16[channel], out);
            for &q in input.plane(channel) {
                let mut y = affine.apply(q, out);
                if let Some(vector) = &vector {
                    let (scale, shift) = (vector.values[channel], vector.values[input.channels + channel]);
                    let scaled = out.r.shift(i128::from(y) * i128::from(scale), 16);
                    y = saturate(i128::from(y) + scaled + i128::from(shift), 32);
                }
                if norm.silu {
                    y = silu_q16(y);
                }
                values.push(out.store(out.scaled(norm.out_requant, y)));
            }
        }
    }
    Some(Planes {
        values,
        ..input.clone()
    })
}

/// What a group's elements give: mean in Q14, and `n / sqrt(V)` as `p * 2^(k - 31 - e)`.
struct Moments {
    mean_q14: i128,
    p: i128,
    k: i128,
    e: i128,
}

impl Moments {
    fn of(values: &[i64], eps_q: u64, out: &Out) -> Self {
        let n = values.len() as i128;
        let sum: i128 = values.iter().map(|q| i128::from(*q)).sum();
        let squares: i128 = values.iter().map(|q| i128::from(*q) * i128::from(*q)).sum();
        let (mant, e) = rsqrt((n * squares - sum * sum + i128::from(eps_q)) as u64);
        let product = mant * n;
        let mut k = 0;
        while product >> k >= 1 << 31 {
            k += 1;
        }
        let half = if out.r.broken { 0 } else { n };
        Self {
            mean_q14: (2 * (sum << 14) + half).div_euclid(2 * n),
            p: out.r.shift(product, k),
            k: k.into(),
            e,
        }
    }

    fn affine(&self, gamma: i64, gamma_frac: u8, beta_q16: i64, out: &Out) -> Affine {
        let a = out.r.shift(self.p * i128::from(gamma), 31);
        let s = 14 + self.e - self.k + i128::from(gamma_frac) - 16;
        let shift = s.clamp(1, 30);
        let a = if s < 1 { a << (1 - s) } else { a >> (s - shift) };
        Affine {
            mean_q14: self.mean_q14,
            a: saturate(a, 32).into(),
            beta_q16: beta_q16.into(),
            shift: shift as u32,
        }
    }
}

/// `(q - mean) * a + beta`.
struct Affine {
    mean_q14: i128,
    a: i128,
    beta_q16: i128,
    shift: u32,
}

impl Affine {
    fn apply(&self, q: i64, out: &Out) -> i64 {
        let deviation = (i128::from(q) << 14) - self.mean_q14;
        saturate(
            out.r
                .shift(deviation * self.a + (self.beta_q16 << self.shift), self.shift),
            32,
        )
    }
}
