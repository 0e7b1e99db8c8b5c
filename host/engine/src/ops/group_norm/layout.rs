//! Factors of the channels of a normalization, laid out for the lanes that meet them.

use crate::family::LANES;
#[cfg(doc)]
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

/// [`Narrow`] factors by channel, the first ones again behind the last, so that 16 follow each.
#[derive(Debug, Default)]
pub(super) struct Columns {
    high: Vec<i32>,
    low: Vec<i32>,
    base: Vec<i32>,
    rest: Vec<i32>,
}

/// The channels' factors for one period of lanes, as halves; `None` where one does not fit.
#[inline(always)]
pub(super) fn lay_out_narrow(
    channels: &[Channel],
    zero: i8,
    columns: &mut Columns,
    blocks: &mut Vec<Narrow>,
) -> Option<()> {
    let (count, all) = (channels.len(), channels.len() + LANES);
    let Columns { high, low, base, rest } = columns;
    for column in [&mut *high, &mut *low, &mut *base, &mut *rest] {
        column.resize(all, 0);
    }
    let mut fit = true;
    let places = high
        .iter_mut()
        .zip(low.iter_mut())
        .zip(base.iter_mut())
        .zip(rest.iter_mut());
    for (channel, (((high, low), base), rest)) in channels.iter().zip(places) {
        // To the common shift; 14 of its bits undo the input's.
        let up = (MAX_SHIFT as u32).wrapping_sub(channel.shift);
        let a = i64::from(channel.a) << (up & 31);
        let offset = ((channel.offset << (up & 31)) >> MEAN_FRAC) - i64::from(zero) * i64::from(a as i32);
        let lower = i64::from(a as i16);
        let upper = (a - lower) >> 16;
        fit &= up <= MAX_SHIFT as u32 && a == i64::from(a as i32) && upper == i64::from(upper as i16);
        *high = upper as i32 & 0xFFFF;
        *low = lower as i32 & 0xFFFF;
        *base = (offset >> 16) as i32;
        *rest = (offset & 0xFFFF) as i32;
    }
    if !fit {
        return None;
    }
    for column in [&mut *high, &mut *low, &mut *base, &mut *rest] {
        for i in count..all {
            column[i] = column[i - count];
        }
    }
    blocks.clear();
    blocks.resize(period(count), Narrow::default());
    let mut at = 0;
    for lanes in blocks {
        lanes.high.copy_from_slice(&high[at..at + LANES]);
        lanes.low.copy_from_slice(&low[at..at + LANES]);
        lanes.base.copy_from_slice(&base[at..at + LANES]);
        lanes.rest.copy_from_slice(&rest[at..at + LANES]);
        at = (at + LANES) % count;
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
