//! Normalizations over the channels of each position by the family's kernel, a few positions at a time: a channel's scale and shift are
//! found once for all of them.

use core::ops::Range;

use super::general::Norm;
use super::integer::moments::{Lines, Sums};
use super::integer::{self, Input};
use crate::family::{CHUNK, Elements, Family, Finish, Line, Native, Normalized};
use crate::numeric::requant::Requant;
use crate::tensor::view::{Operand, View, ViewMut};

/// Positions whose sums are held at once.
const POSITIONS: usize = 8;

/// What all positions share.
struct Shared<'n> {
    norm: &'n integer::Norm<'n>,
    vector: Option<&'n [i16]>,
    /// Largest magnitudes of gamma and beta, and those that a scale and a shift can have.
    largest: [u32; 2],
    most: [u64; 2],
    /// Bits of an element less than 16.
    spare: u32,
    zero: i32,
    /// Whether gamma is one number.
    uniform: bool,
    finish: Finish,
}

impl Norm {
    /// Normalizes all positions, with their sums over `norm.channels / norm.groups` channels each, or gives `None` before it has begun.
    #[inline(never)]
    pub(super) fn by_position(
        &self,
        input: &Input<'_>,
        norm: &integer::Norm<'_>,
        vector: Option<&[i16]>,
        largest: [u32; 2],
        positions: usize,
        out: &mut ViewMut<'_>,
    ) -> Option<()> {
        // Without scale and shift the definition of a line has products that are not needed.
        if !Native::LINES && (!Native::TOGETHER || vector.is_none()) {
            return None;
        }
        let Input::One(operand) = input else { return None };
        let shared = self.shared(operand, norm, vector, largest, out)?;
        let size = norm.channels / norm.groups;
        for first in (0..positions).step_by(POSITIONS) {
            let some = first..positions.min(first + POSITIONS);
            for group in (0..norm.channels).step_by(size) {
                let mut lines = [None; POSITIONS];
                for (position, line) in some.clone().zip(&mut lines) {
                    *line = self.lines(&shared, operand, position, group..group + size, out);
                    if line.is_none() {
                        // Where a stage could saturate.
                        self.one(
                            input,
                            *norm,
                            vector,
                            position..position + 1,
                            group..group + size,
                            largest,
                            out,
                        );
                    }
                }
                for channel in (group..group + size).step_by(CHUNK) {
                    let channels = channel..(group + size).min(channel + CHUNK);
                    self.channels(&shared, operand, &lines, some.clone(), channels, out);
                }
            }
        }
        Some(())
    }

    /// `None` where numbers, number formats or what follows are not for the kernel.
    fn shared<'n>(
        &self,
        operand: &Operand<'_>,
        norm: &'n integer::Norm<'n>,
        vector: Option<&'n [i16]>,
        largest: [u32; 2],
        out: &ViewMut<'_>,
    ) -> Option<Shared<'n>> {
        let Requant { mult, shift } = self.out_requant;
        let (spare, zero) = match (operand, out) {
            (Operand::Apart(View::I8(_, zero)), _) => (7, *zero),
            (Operand::InPlace { zero }, ViewMut::I8(..)) => (7, *zero),
            _ => (0, 0),
        };
        let fits = match out {
            ViewMut::I8(_, zero) => *zero == 0 || shift <= 32 + 22,
            ViewMut::I16(_) => true,
            ViewMut::F16(_) | ViewMut::Q24(_) => false,
        };
        let most = self.scale_shift.map_or([0; 2], |of| {
            [of.scale, of.shift].map(|requant| requant.times(i16::MIN.into()).unsigned_abs().into())
        });
        (fits && shift > 32 && !self.silu && most[0] < 1 << 19).then(|| Shared {
            norm,
            vector,
            largest,
            most,
            spare,
            zero,
            uniform: norm.gamma.iter().all(|gamma| Some(gamma) == norm.gamma.first()),
            finish: Finish {
                silu: false,
                mult,
                round: 1 << (shift - 33),
                shift: u32::from(shift) - 32,
            },
        })
    }

    /// What a position's channels share; `None` where a number could leave the kernel's range.
    #[inline(never)]
    fn lines(
        &self,
        shared: &Shared<'_>,
        operand: &Operand<'_>,
        position: usize,
        group: Range<usize>,
        out: &ViewMut<'_>,
    ) -> Option<Lines> {
        let (channels, size) = (shared.norm.channels, group.len());
        let all = position * channels..(position + 1) * channels;
        let view = match operand {
            Operand::Apart(view) => *view,
            Operand::InPlace { .. } => out.as_view(),
        };
        let (sum, squares) = match view {
            View::I8(data, _) => Native::moments8(&data[all], channels, group.start, size),
            View::I16(data) => Native::moments16(&data[all], channels, group.start, size),
            View::F16(_) | View::Q24(_) => return None,
        };
        let sums = Sums::without_zero(sum, squares, size, shared.zero);
        let affine = self.affine(sums, shared.norm, size);
        let lines = affine.lines(shared.largest, shared.spare)?;
        let reach = affine.reach(shared.largest, shared.spare);
        let [scale, shift] = shared.most;
        (reach < 1 << 27 && reach + ((reach * scale) >> 16) + 1 + shift < 1 << 30).then_some(lines)
    }

    /// Some channels of some positions: of those that have lines.
    #[inline(never)]
    fn channels(
        &self,
        shared: &Shared<'_>,
        operand: &Operand<'_>,
        lines: &[Option<Lines>; POSITIONS],
        positions: Range<usize>,
        channels: Range<usize>,
        out: &mut ViewMut<'_>,
    ) {
        let (mut terms, mut slopes) = ([[0; 3]; CHUNK], [0; CHUNK]);
        let count = channels.len();
        let (terms, slopes) = (&mut terms[..count], &mut slopes[..count]);
        let gammas = &shared.norm.gamma[channels.clone()];
        for ([beta, ..], from) in terms.iter_mut().zip(&shared.norm.beta_q16[channels.clone()]) {
            *beta = *from;
        }
        if let (Some(vector), Some(of)) = (shared.vector, &self.scale_shift) {
            let (scales, shifts) = (
                &vector[channels.clone()],
                &vector[shared.norm.channels..][channels.clone()],
            );
            for ([_, scale, shift], (from, and)) in terms.iter_mut().zip(scales.iter().zip(shifts)) {
                *scale = of.scale.apply((*from).into()) << 12;
                *shift = of.shift.apply((*and).into());
            }
        }
        for (position, of) in positions.zip(lines) {
            let Some(of) = of else { continue };
            if shared.uniform {
                slopes.fill(gammas.first().map_or(0, |gamma| of.slope(*gamma)));
            } else {
                for (slope, gamma) in slopes.iter_mut().zip(gammas) {
                    *slope = of.slope(*gamma);
                }
            }
            let (mean, up) = of.mean(shared.zero);
            let line = Line {
                mean,
                up,
                slopes,
                terms,
            };
            let at = position * shared.norm.channels + channels.start;
            let from = match operand {
                Operand::Apart(View::I8(data, _)) => Elements::I8(&data[at..at + count]),
                Operand::Apart(View::I16(data)) => Elements::I16(&data[at..at + count]),
                _ => Elements::InPlace,
            };
            let mut to = match out {
                ViewMut::I8(to, zero) => Normalized::I8(&mut to[at..at + count], *zero),
                ViewMut::I16(to) => Normalized::I16(&mut to[at..at + count]),
                ViewMut::F16(_) | ViewMut::Q24(_) => return,
            };
            Native::line(from, &mut to, &line, &shared.finish);
        }
    }
}
