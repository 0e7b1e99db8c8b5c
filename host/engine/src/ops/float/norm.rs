//! f16 group normalization: a lane a channel, whose sums run over positions in order.

use super::Floats;
use super::functions::{load_all, silu, store};
use crate::Family;
use crate::family::LANES;
use crate::ops::{Accelerated, Loops, Workspace};
use crate::source::grow;
use mote_runtime::Model;
use mote_runtime::internals::ops as op;
use mote_runtime::internals::ops::norm::float::share;
use mote_runtime::internals::tensor::{Dtype, Tensor};

/// A group normalization.
#[derive(Debug)]
pub(crate) struct Norm {
    source: Floats,
    out: Tensor,
    groups: usize,
    silu: bool,
    eps: f32,
    /// A channel each.
    gamma: Vec<f32>,
    beta: Vec<f32>,
    scale_shift: Option<Tensor>,
}

impl Accelerated for Norm {
    type Record = op::GroupNorm;

    fn prepare(model: &Model<'_>, n: &op::GroupNorm, _: Family) -> Option<Self> {
        let out = model.tensor(n.out).filter(|t| t.dtype == Dtype::F16)?;
        let channels = usize::from(out.channels);
        let (gamma, beta) = model.table::<f32>(n.affine, 2 * channels)?.split_at_checked(channels)?;
        Some(Self {
            source: Floats::new(model, &n.source)?,
            out,
            groups: n.groups.into(),
            silu: n.silu,
            eps: n.eps,
            gamma: gamma.to_vec(),
            beta: beta.to_vec(),
            scale_shift: match n.scale_shift {
                None => None,
                Some((id, _)) => Some(model.tensor(id).filter(|t| t.dtype == Dtype::F16)?),
            },
        })
    }

    fn run(&self, simd: impl Loops, arena: &mut [u8], work: &mut Workspace) -> Option<()> {
        let work = &mut work.float;
        simd.vectorize(
            #[inline(always)]
            || self.all(arena, &mut work.flat, &mut work.channels),
        )
    }
}

impl Norm {
    #[inline(always)]
    fn all(&self, arena: &mut [u8], flat: &mut Vec<f32>, scratch: &mut Vec<f32>) -> Option<()> {
        let channels = self.gamma.len();
        let x = self.source.read(arena, flat)?;
        grow(scratch, 4 * channels);
        let (means, rest) = scratch.split_at_mut(channels);
        let (factors, rest) = rest.split_at_mut(channels);
        let (scale, rest) = rest.split_at_mut(channels);
        let move_by = &mut rest[..channels];
        let size = channels / self.groups;
        let count = (self.out.positions() * size) as f32;
        means.fill(0.0);
        for x in x.chunks_exact(channels) {
            for (sum, &x) in means.iter_mut().zip(x) {
                *sum += x;
            }
        }
        share(means, size, |sum| sum / count);
        factors.fill(0.0);
        for x in x.chunks_exact(channels) {
            for ((sum, &x), &mean) in factors.iter_mut().zip(x).zip(&*means) {
                let d = x - mean;
                *sum += d * d;
            }
        }
        share(factors, size, |sum| 1.0 / (sum / count + self.eps).sqrt());
        if let Some(tensor) = &self.scale_shift {
            let vector = super::bits(tensor, arena)?;
            load_all(vector.get(..channels)?, scale);
            load_all(vector.get(channels..2 * channels)?, move_by);
            scale.iter_mut().for_each(|scale| *scale += 1.0);
        }
        let out: &mut [u16] = bytemuck::try_cast_slice_mut(arena.get_mut(self.out.range())?).ok()?;
        let factors = Factors {
            means,
            factors,
            gamma: &self.gamma,
            beta: &self.beta,
            scale: &scale[..],
            move_by,
        };
        match (self.scale_shift.is_some(), self.silu) {
            (false, false) => factors.each::<false, false>(x, out),
            (false, true) => factors.each::<false, true>(x, out),
            (true, false) => factors.each::<true, false>(x, out),
            (true, true) => factors.each::<true, true>(x, out),
        }
        Some(())
    }
}

/// Of every channel.
struct Factors<'a> {
    means: &'a [f32],
    factors: &'a [f32],
    gamma: &'a [f32],
    beta: &'a [f32],
    scale: &'a [f32],
    move_by: &'a [f32],
}

impl Factors<'_> {
    /// Stores what becomes of every element.
    #[inline(always)]
    fn each<const MOVED: bool, const SILU: bool>(&self, x: &[f32], out: &mut [u16]) {
        let channels = self.means.len();
        for (x, out) in x.chunks_exact(channels).zip(out.chunks_exact_mut(channels)) {
            let (blocks, rest) = x.as_chunks::<LANES>();
            let (out_blocks, out_rest) = out.as_chunks_mut::<LANES>();
            for (i, (x, out)) in blocks.iter().zip(out_blocks).enumerate() {
                *out = self.some::<LANES, MOVED, SILU>(x, i * LANES);
            }
            for (i, (x, out)) in rest.iter().zip(out_rest).enumerate() {
                [*out] = self.some::<1, MOVED, SILU>(&[*x], blocks.len() * LANES + i);
            }
        }
    }

    /// The same of `N` channels from `first` on.
    #[inline(always)]
    fn some<const N: usize, const MOVED: bool, const SILU: bool>(&self, x: &[f32; N], first: usize) -> [u16; N] {
        let of = |values: &[f32]| -> [f32; N] { *values[first..].first_chunk().expect("as many as channels") };
        let (means, factors, gamma, beta) = (of(self.means), of(self.factors), of(self.gamma), of(self.beta));
        let (scale, move_by) = if MOVED {
            (of(self.scale), of(self.move_by))
        } else {
            ([1.0; N], [0.0; N])
        };
        let mut stored = [0; N];
        for i in 0..N {
            let mut y = (x[i] - means[i]) * factors[i] * gamma[i] + beta[i];
            if MOVED {
                y = y * scale[i] + move_by[i];
            }
            stored[i] = store(if SILU { silu(y) } else { y });
        }
        stored
    }
}
