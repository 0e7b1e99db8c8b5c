//! The sigmoid as lines: the points of its table in the form that kernels with vectors read.

/// The sigmoid as lines, for `x` in Q16 and `v = x - 1`: with entry `e` at `(v >> 11) + 512` it is `e + rise * low` in Q28, where `rise`
/// is the lower eleven bits of `e`, its rise over the interval divided by 2^11, and `low` the lower 16 bits of `v`, signed. The
/// interpolation of [`super::sigmoid`] is an exact integer, so it is the same from both ends of an interval, and for both
/// signs. One point is off: at x = 12 exactly the sigmoid is 1, see [`LINES_AT_12`].
pub static SIGMOID_LINES: [u32; 1024] = sigmoid_lines();

/// What the lines make of SiLU at 12.
pub const LINES_AT_12: i32 = {
    let sigmoid = (1 << 27) + ((super::table::SIGMOID_Q17[384] as i64) << 11);
    (((12 << 16) * sigmoid + (1 << 27)) >> 28) as i32
};

const fn sigmoid_lines() -> [u32; 1024] {
    use super::table::SIGMOID_Q17 as TABLE;
    let mut lines = [0; 1024];
    let last = TABLE.len() - 1;
    let mut i = 0;
    while i < lines.len() {
        lines[i] = if i >= 512 + last {
            1 << 28
        } else if i < 512 - last {
            0
        } else {
            let (left, rise) = if i >= 512 {
                (
                    (1 << 27) + ((TABLE[i - 512] as u32) << 11),
                    TABLE[i - 511] - TABLE[i - 512],
                )
            } else {
                (
                    (1 << 27) - ((TABLE[512 - i] as u32) << 11),
                    TABLE[512 - i] - TABLE[511 - i],
                )
            };
            // What the lower 16 bits of v have above its place in the interval.
            let above = (((i as u32) << 11) as i16) as i32;
            (left + rise as u32).wrapping_sub((above * rise as i32) as u32)
        };
        i += 1;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::{LINES_AT_12, SIGMOID_LINES};
    use crate::numeric::sigmoid::silu_q16;

    #[test]
    fn lines_are_the_sigmoid() {
        for x in (-(20 << 16)..20 << 16).step_by(7).chain([0, -1]).chain(
            [-12, -1, 0, 1, 12]
                .into_iter()
                .flat_map(|x: i32| (x << 16) - 3..=(x << 16) + 3),
        ) {
            let v = x - 1;
            let line = SIGMOID_LINES[((v >> 11).clamp(-512, 511) + 512) as usize] as i32;
            let sigmoid_q28 = i64::from(line + (line & 0x7FF) * i32::from(v as i16));
            let silu = (i64::from(x) * sigmoid_q28 + (1 << 27)) >> 28;
            let expected = if x == 12 << 16 { LINES_AT_12 } else { silu_q16(x) };
            assert_eq!(silu, expected.into(), "{x}");
        }
        assert_ne!(LINES_AT_12, silu_q16(12 << 16));
    }
}
