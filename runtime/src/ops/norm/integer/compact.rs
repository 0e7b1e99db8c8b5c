//! One way for every input, number format and factor, in as little code as that takes: what is there without the part `fast`.

use core::ops::Range;

use super::moments::{Sums, fill};
use super::{Input, Norm};
use crate::family::{CHUNK, InputPart};
use crate::tensor::view::{Operand, ViewMut};

/// What [`Norm::prepare`] gives beside the factors.
pub struct Prepared;

/// Whether the factors are for a family's kernel.
pub fn is_quick(_: &Prepared) -> bool {
    false
}

impl Norm<'_> {
    /// What [`prepare`](Self::prepare) gave where it left the factors that are still there.
    pub fn prepared(&self, _: bool) -> Prepared {
        Prepared
    }

    /// Leaves every channel's factors for [`positions`].
    #[inline(never)]
    pub fn prepare(&self, input: &Input<'_>, factors: &mut [i32], out: &ViewMut<'_>) -> Prepared {
        input.sum(out, self, factors);
        fill(self, factors, &Sums::of_channels, &|affine, channel| {
            Some(affine.factors(self, channel))
        });
        Prepared
    }
}

/// Normalizes some positions, the first to the front of `out`. `factors` is what [`Norm::prepare`] left.
#[inline(never)]
pub fn positions(
    input: &Input<'_>,
    norm: &Norm<'_>,
    _: &Prepared,
    factors: &[i32],
    range: Range<usize>,
    out: &mut ViewMut<'_>,
) {
    let (mut chunk, mut at) = ([0; CHUNK], 0);
    for position in range {
        let (mut channel, mut left) = (0, factors);
        while channel < norm.channels {
            for &q in input.read(out, norm, position, channel, &mut chunk) {
                let Some((&factors, rest)) = left.split_first_chunk() else {
                    return;
                };
                left = rest;
                let y = norm.apply(q.into(), factors, channel);
                out.put(at, norm.out_requant.times(y));
                channel += 1;
                at += 1;
            }
        }
    }
}

impl Input<'_> {
    /// Elements of a position from `channel` on, on the common scale of a concatenation: as many as a part and a chunk have.
    #[inline(never)]
    fn read<'c>(
        &self,
        out: &ViewMut<'_>,
        norm: &Norm<'_>,
        position: usize,
        channel: usize,
        chunk: &'c mut [i16; CHUNK],
    ) -> &'c [i16] {
        let whole = |view| InputPart {
            view,
            channels: norm.channels,
            requant: None,
        };
        let one;
        let (part, channel) = match self {
            Self::One(operand) => {
                one = whole(match operand {
                    Operand::Apart(view) => *view,
                    Operand::InPlace { zero } => out.as_view().with_zero(*zero),
                });
                (&one, channel)
            }
            Self::Two([first, _]) if channel < first.channels => (first, channel),
            Self::Two([first, second]) => (second, channel - first.channels),
        };
        let elements = chunk
            .get_mut(..(part.channels - channel).min(CHUNK))
            .unwrap_or_default();
        part.join(position * part.channels + channel, elements);
        elements
    }

    /// Leaves the sum (a word) and the sum of squares (two) of every channel in `sums`.
    fn sum(&self, out: &ViewMut<'_>, norm: &Norm<'_>, sums: &mut [i32]) {
        sums.fill(0);
        let mut chunk = [0; CHUNK];
        for position in 0..norm.positions {
            let (mut channel, mut left) = (0, &mut *sums);
            while channel < norm.channels {
                for &q in self.read(out, norm, position, channel, &mut chunk) {
                    let Some((words, rest)) = left.split_first_chunk_mut() else {
                        return;
                    };
                    left = rest;
                    Sums::add(words, q.into());
                    channel += 1;
                }
            }
        }
    }
}
