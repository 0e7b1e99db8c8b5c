//! Factors of the channels of a normalization, laid out for the lanes that meet them.

use crate::family::LANES;
use crate::split::Split;

/// Factors of one period of channels.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Factors<'a> {
    /// Only with [`Normalize::exact`](super::Normalize::exact).
    Narrow(&'a [Narrow]),
    Wide(&'a [Lanes]),
}

/// Factors of 16 elements as a [`Split`] each, whose last shift is 0; halves with zeros above their 16 bits.
#[derive(Debug, Clone, Default)]
pub(crate) struct Narrow {
    pub high: [i32; LANES],
    pub low: [i32; LANES],
    pub base: [i32; LANES],
    pub rest: [i32; LANES],
}

/// Factors of 16 elements: `y = (q << 14) * a + offset >> shift`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lanes {
    pub a: [i32; LANES],
    /// Of the even lanes, then of the odd ones.
    pub offset: [[i64; LANES / 2]; 2],
    pub shift: [[i64; LANES / 2]; 2],
    pub scale: [i32; LANES],
    pub move_by: [i32; LANES],
}

/// Factors of a channel.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Channel {
    pub a: i32,
    pub offset: i64,
    pub shift: u32,
    pub scale: i32,
    pub move_by: i32,
}

/// Fractional bits of the mean.
pub(super) const MEAN_FRAC: u32 = 14;
/// Fractional bits of the normalized value.
pub(super) const OUT_FRAC: i32 = 16;
/// Shift above which beta would leave an int64 together with the product.
pub(super) const MAX_SHIFT: i32 = 30;

/// Blocks of 16 lanes until the channels repeat.
pub(super) fn period(channels: usize) -> usize {
    channels >> channels.trailing_zeros().min(LANES.ilog2())
}

/// The channels' factors for one period of lanes, as halves; `None` where one does not fit.
#[inline(always)]
pub(super) fn lay_out_narrow(channels: &[Channel], zero: i8, blocks: &mut Vec<Narrow>) -> Option<()> {
    blocks.clear();
    blocks.resize(period(channels.len()), Narrow::default());
    let mut at = 0;
    for lanes in blocks {
        for lane in 0..LANES {
            let channel = &channels[at];
            at = if at + 1 == channels.len() { 0 } else { at + 1 };
            // To the common shift; 14 of its bits undo the input's.
            let up = (MAX_SHIFT as u32).checked_sub(channel.shift)?;
            let a = i32::try_from(i64::from(channel.a) << up).ok()?;
            let offset = ((channel.offset << up) >> MEAN_FRAC) - i64::from(zero) * i64::from(a);
            let split = Split::new(a, offset, MAX_SHIFT as u32 - MEAN_FRAC)?;
            lanes.high[lane] = i32::from(split.high) & 0xFFFF;
            lanes.low[lane] = i32::from(split.low) & 0xFFFF;
            lanes.base[lane] = split.base;
            lanes.rest[lane] = split.rest;
        }
    }
    Some(())
}

/// The channels' factors for one period of lanes.
pub(super) fn lay_out(channels: &[Channel], blocks: &mut Vec<Lanes>) {
    blocks.clear();
    blocks.resize(period(channels.len()), Lanes::default());
    let mut at = 0;
    for lanes in blocks {
        for lane in 0..LANES {
            let channel = &channels[at];
            at = if at + 1 == channels.len() { 0 } else { at + 1 };
            lanes.a[lane] = channel.a;
            lanes.offset[lane % 2][lane / 2] = channel.offset;
            lanes.shift[lane % 2][lane / 2] = channel.shift.into();
            lanes.scale[lane] = channel.scale;
            lanes.move_by[lane] = channel.move_by;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_the_least_number_of_blocks_after_which_channels_repeat() {
        for channels in 1..200 {
            let blocks = (1..).find(|blocks| (blocks * LANES).is_multiple_of(channels)).unwrap();
            assert_eq!(period(channels), blocks, "{channels} channels");
        }
    }
}
