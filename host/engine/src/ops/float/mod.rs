//! f16 models: the contract's sums in the contract's order. A lane is an output, a channel or a query; what runs over taps, positions
//! and channels in order runs so in every lane, a product and a sum rounded each by itself.

mod attention;
mod conv;
mod functions;
mod norm;

pub(crate) use attention::Attention;
pub(crate) use conv::Conv;
pub(crate) use norm::Norm;

use crate::family::{LANES, Simd};
use crate::source::grow;
use functions::load_all;
use mote_runtime::Model;
use mote_runtime::internals::ops::Source;
use mote_runtime::internals::tensor::{Dtype, Tensor};

/// 16 numbers.
pub(crate) type Lanes = [f32; LANES];

/// What a tile of sums reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FloatTile<'a> {
    pub window: &'a [f32],
    /// Kernel rows, and numbers from one to the next.
    pub rows: usize,
    pub row: usize,
    /// Taps a kernel row.
    pub taps: usize,
    /// The blocks one after the other, `rows * taps` each.
    pub weights: &'a [Lanes],
}

impl FloatTile<'_> {
    /// Panics unless every read of what begins at `at`, and of `blocks` blocks of weights, is within window and weights: unsafe code
    /// relies on it.
    #[inline(always)]
    pub fn check_reads(&self, at: &[u32], blocks: usize) {
        let span = (self.rows - 1) * self.row + self.taps;
        assert!(at.iter().all(|&at| at as usize + span <= self.window.len()));
        assert!(self.weights.len() >= blocks * self.rows * self.taps);
    }
}

/// The inner loop of everything in f16.
pub(crate) trait FloatLoops: Simd {
    /// Adds to `sums`, tap by tap in order, the products of `P` windows with `B` blocks of weights.
    fn add_products<const P: usize, const B: usize>(
        self,
        tile: &FloatTile<'_>,
        at: &[u32; P],
        sums: &mut [[Lanes; P]; B],
    );
}

/// Positions, or keys, of a tile.
const TILE: usize = 8;

/// Memory of what runs in f32.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// An input as it is read, a padded one, an addend.
    flat: Vec<f32>,
    window: Vec<f32>,
    addend: Vec<f32>,
    /// Sums a channel.
    channels: Vec<f32>,
    attention: attention::Scratch,
}

/// One f16 activation, or two whose channels follow each other.
#[derive(Debug, Clone, Copy)]
struct Floats {
    first: Tensor,
    second: Option<Tensor>,
}

impl Floats {
    fn new(model: &Model<'_>, source: &Source) -> Option<Self> {
        let part = |id| model.tensor(id).filter(|tensor| tensor.dtype == Dtype::F16);
        Some(Self {
            first: part(source.first)?,
            second: match source.second {
                Some((id, _)) => Some(part(id)?),
                None => None,
            },
        })
    }

    fn channels(&self) -> usize {
        usize::from(self.first.channels) + self.second.map_or(0, |second| usize::from(second.channels))
    }

    /// Every element as f32, `(position, channel)`.
    #[inline(always)]
    fn read<'b>(&self, arena: &[u8], to: &'b mut Vec<f32>) -> Option<&'b [f32]> {
        let all = self.channels();
        let len = self.first.positions() * all;
        grow(to, len);
        let to = &mut to[..len];
        let mut at = 0;
        for part in [Some(&self.first), self.second.as_ref()].into_iter().flatten() {
            let (from, own) = (bits(part, arena)?, usize::from(part.channels));
            if own == all {
                load_all(from, to);
            } else {
                for (from, to) in from.chunks_exact(own).zip(to.chunks_exact_mut(all)) {
                    load_all(from, &mut to[at..at + own]);
                }
            }
            at += own;
        }
        Some(to)
    }
}

/// The f16 bits of a tensor.
fn bits<'a>(tensor: &Tensor, arena: &'a [u8]) -> Option<&'a [u16]> {
    bytemuck::try_cast_slice(arena.get(tensor.range())?).ok()
}
