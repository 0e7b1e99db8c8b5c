//! f16 convolutions: tiles of positions by blocks of 16 output channels.

use super::functions::{load_all, store};
use super::{FloatLoops, FloatTile, Floats, Lanes, TILE, bits};
use crate::Family;
use crate::family::LANES;
use crate::ops::{Accelerated, Loops, Workspace};
use crate::source::grow;
use crate::window::Window;
use mote_runtime::Model;
use mote_runtime::internals::numeric::float::to_q24;
use mote_runtime::internals::ops as op;
use mote_runtime::internals::ops::Weights;
use mote_runtime::internals::ops::conv::Geometry;
use mote_runtime::internals::tensor::{Dtype, Tensor};
use rayon::prelude::*;

/// Multiply-accumulates above which an operator is worth several threads.
const PARALLEL_MACS: usize = 2_000_000;

/// A convolution with its weights in the engine's order.
#[derive(Debug)]
pub(crate) struct Conv {
    source: Floats,
    window: Window,
    /// Kernel rows.
    rows: usize,
    offsets: Vec<u32>,
    /// `(block, row, col, in)`, a lane an output channel.
    weights: Vec<Lanes>,
    bias: Vec<Lanes>,
    /// A tensor and its factor.
    add: Option<(Tensor, f32)>,
    out: Tensor,
}

impl Accelerated for Conv {
    type Record = op::Conv;

    fn prepare(model: &Model<'_>, c: &op::Conv, _: Family) -> Option<Self> {
        let (source, out) = (Floats::new(model, &c.source)?, model.tensor(c.out)?);
        let geometry = Geometry::of(c, &source.first, &out);
        let Weights::F16 { data, bias } = c.weights else {
            return None;
        };
        let (outs, taps) = (geometry.outs, geometry.kernel.area() * source.channels());
        let (data, bias): (&[u16], &[f32]) = (model.table(data, taps * outs)?, model.table(bias, outs)?);
        let blocks = || (0..outs).step_by(LANES).map(|first| first..outs.min(first + LANES));
        let weights = blocks().flat_map(|own| {
            data.chunks_exact(outs).map(move |tap| {
                let mut line = [0.0; LANES];
                load_all(&tap[own.clone()], &mut line);
                line
            })
        });
        let window = Window::new(geometry, source.channels(), size_of::<f32>());
        let add = match c.addend {
            None => None,
            Some(addend) => {
                let tensor = model.tensor(addend.tensor).filter(|t| t.dtype == Dtype::F16)?;
                Some((tensor, addend.factor))
            }
        };
        Some(Self {
            weights: weights.collect(),
            bias: blocks()
                .map(|own| core::array::from_fn(|lane| bias.get(own.start + lane).copied().unwrap_or(0.0)))
                .collect(),
            rows: geometry.kernel.rows(),
            offsets: window.offsets().iter().map(|at| at / size_of::<f32>() as u32).collect(),
            source,
            window,
            add,
            out,
        })
    }

    fn run(&self, simd: impl Loops, arena: &mut [u8], work: &mut Workspace) -> Option<()> {
        let threads = work.threads;
        let work = &mut work.float;
        simd.vectorize(
            #[inline(always)]
            || {
                let flat = self.source.read(arena, &mut work.flat)?;
                grow(&mut work.window, self.window.len() / size_of::<f32>());
                self.window.fill(flat, &mut work.window, 0.0, |x| x);
                if let Some((tensor, _)) = &self.add {
                    grow(&mut work.addend, tensor.len());
                    load_all(bits(tensor, arena)?, &mut work.addend);
                }
                Some(())
            },
        )?;
        let (window, addend) = (&work.window[..], &work.addend[..]);
        let (outs, positions) = (usize::from(self.out.channels), self.out.positions());
        let out = arena.get_mut(self.out.range())?;
        if positions * self.weights.len() * LANES < PARALLEL_MACS || threads < 2 || positions < 2 * TILE {
            self.positions(simd, window, 0, positions, addend, out);
            return Some(());
        }
        let share = positions.div_ceil(4 * threads).next_multiple_of(TILE);
        let chunks = out.par_chunks_mut(share * outs * self.out.dtype.bytes()).enumerate();
        chunks.for_each(|(i, out)| {
            let first = i * share;
            self.positions(simd, window, first, share.min(positions - first), addend, out);
        });
        Some(())
    }
}

impl Conv {
    /// Output positions `first..first + count`, which `out` holds.
    fn positions(
        &self,
        simd: impl FloatLoops,
        window: &[f32],
        first: usize,
        count: usize,
        addend: &[f32],
        out: &mut [u8],
    ) {
        let lines = self.weights.len() / self.bias.len();
        let mut block = 0;
        while block < self.bias.len() {
            let two = block + 2 <= self.bias.len();
            let tile = FloatTile {
                window,
                rows: self.rows,
                row: self.window.row_bytes() / size_of::<f32>(),
                taps: lines / self.rows,
                weights: &self.weights[block * lines..][..lines * (1 + usize::from(two))],
            };
            let mut at = first;
            while at < first + count {
                let left = first + count - at;
                at += match (left, two) {
                    (1, false) => self.tile::<1, 1>(simd, &tile, block, at, left, addend, first, out),
                    (1, true) => self.tile::<1, 2>(simd, &tile, block, at, left, addend, first, out),
                    (2..=4, false) => self.tile::<4, 1>(simd, &tile, block, at, left, addend, first, out),
                    (2..=4, true) => self.tile::<4, 2>(simd, &tile, block, at, left, addend, first, out),
                    (_, false) => self.tile::<TILE, 1>(simd, &tile, block, at, left, addend, first, out),
                    (_, true) => self.tile::<TILE, 2>(simd, &tile, block, at, left, addend, first, out),
                };
            }
            block += 1 + usize::from(two);
        }
    }

    /// Up to `P` positions from `at` on by `B` blocks; gives how many positions.
    #[allow(clippy::too_many_arguments)]
    #[inline(always)]
    fn tile<const P: usize, const B: usize>(
        &self,
        simd: impl FloatLoops,
        tile: &FloatTile<'_>,
        block: usize,
        at: usize,
        left: usize,
        addend: &[f32],
        first: usize,
        out: &mut [u8],
    ) -> usize {
        let count = P.min(left);
        let starts: [u32; P] = core::array::from_fn(|p| self.offsets[at + p.min(count - 1)]);
        let mut sums: [[Lanes; P]; B] = core::array::from_fn(|b| [self.bias[block + b]; P]);
        simd.add_products(tile, &starts, &mut sums);
        simd.vectorize(
            #[inline(always)]
            || {
                for (b, sums) in sums.iter_mut().enumerate() {
                    for (p, sums) in sums[..count].iter_mut().enumerate() {
                        self.finish(sums, block + b, at + p, first, addend, out);
                    }
                }
            },
        );
        count
    }

    /// A block of channels at a position: the addend, and the number that is stored.
    #[inline(always)]
    fn finish(&self, sums: &mut Lanes, block: usize, position: usize, first: usize, addend: &[f32], out: &mut [u8]) {
        let (outs, channel) = (usize::from(self.out.channels), block * LANES);
        let lanes = (outs - channel).min(LANES);
        if let Some((tensor, factor)) = &self.add {
            let from = if tensor.positions() == 1 { 0 } else { position * outs };
            for (sum, &term) in sums[..lanes].iter_mut().zip(&addend[from + channel..]) {
                *sum += term * factor;
            }
        }
        let at = (position - first) * outs + channel;
        match self.out.dtype {
            Dtype::F16 => {
                let mut stored = [0u16; LANES];
                for (stored, &sum) in stored.iter_mut().zip(sums.iter()) {
                    *stored = store(sum);
                }
                out[2 * at..2 * (at + lanes)].copy_from_slice(bytemuck::cast_slice(&stored[..lanes]));
            }
            _ => {
                for (to, &sum) in out[4 * at..4 * (at + lanes)].chunks_exact_mut(4).zip(sums.iter()) {
                    to.copy_from_slice(&to_q24(sum).to_le_bytes());
                }
            }
        }
    }
}
