//! The inner loops of a normalization in plain Rust: what families that write none of their own compile.

use super::Normalize;
use super::layout::{Factors, Lanes, MEAN_FRAC};
use crate::family::LANES;
use crate::source::Stored;
use crate::split::Split;
use mote_runtime::internals::numeric::requant::{saturate_i8, saturate_i16, saturate_i32};
use mote_runtime::internals::numeric::sigmoid::silu_q16;
use mote_runtime::internals::tensor::Dtype;

/// The plain form of [`NormLoops::moments`](super::NormLoops::moments).
#[inline(always)]
pub(crate) fn lane_moments<Q: Stored>(chunks: &[[Q; LANES]], period: usize) -> ([i32; LANES], [i64; LANES]) {
    let (mut sums, mut squares) = ([0i32; LANES], [0i64; LANES]);
    for chunk in chunks.iter().step_by(period) {
        for lane in 0..LANES {
            let q: i32 = chunk[lane].into();
            sums[lane] += q;
            squares[lane] += i64::from(q) * i64::from(q);
        }
    }
    (sums, squares)
}

/// The plain form of [`NormLoops::normalize`](super::NormLoops::normalize).
#[inline(always)]
pub(crate) fn normalize<Q: Stored>(input: &[Q], to: &Normalize<'_>, out: &mut [u8]) {
    let chunks = input.chunks(LANES).zip(out.chunks_mut(LANES * to.out.bytes()));
    match to.factors {
        Factors::Narrow(blocks) => {
            for ((q, out), lanes) in chunks.zip(blocks.iter().cycle()) {
                let y = |lane: usize, q: i32| {
                    let split = Split {
                        high: lanes.high[lane] as i16,
                        low: lanes.low[lane] as i16,
                        base: lanes.base[lane],
                        rest: lanes.rest[lane],
                        shift: 0,
                    };
                    split.apply(q)
                };
                chunk(q, to, out, y);
            }
        }
        Factors::Wide(blocks) => {
            for ((q, out), lanes) in chunks.zip(blocks.iter().cycle()) {
                chunk(q, to, out, |lane, q| wide(q, lanes, to, lane));
            }
        }
    }
}

/// A normalized element before the SiLU.
#[inline(always)]
fn wide(q: i32, lanes: &Lanes, to: &Normalize<'_>, lane: usize) -> i32 {
    let q_q14 = (q - to.in_zero) << MEAN_FRAC;
    let sum = i64::from(q_q14) * i64::from(lanes.a[lane]) + lanes.offset[lane % 2][lane / 2];
    let y = saturate_i32(sum >> lanes.shift[lane % 2][lane / 2]);
    if !to.scale_shift {
        return y;
    }
    let scaled = (i64::from(y) * i64::from(lanes.scale[lane]) + (1 << 15)) >> 16;
    saturate_i32(i64::from(y) + scaled + i64::from(lanes.move_by[lane]))
}

/// Up to 16 elements, normalized by `y`.
#[inline(always)]
fn chunk<Q: Stored>(q: &[Q], to: &Normalize<'_>, out: &mut [u8], y: impl Fn(usize, i32) -> i32) {
    for (lane, (&q, out)) in q.iter().zip(out.chunks_exact_mut(to.out.bytes())).enumerate() {
        let mut y = y(lane, q.into());
        if to.silu {
            y = silu_q16(y);
        }
        let value = to.out_requant.apply(y);
        match to.out {
            Dtype::I8 => out[0] = saturate_i8(value.saturating_add(to.zero)) as u8,
            _ => out.copy_from_slice(&saturate_i16(value).to_le_bytes()),
        }
    }
}
