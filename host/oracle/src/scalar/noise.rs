//! Philox words and the normals made of them.

use super::roots::isqrt;
use super::sine::sin_cos_q30;
use super::tables::TABLES;

/// Standard normal `index` of a stream, Q24.
pub fn normal_q24(seed: u64, stream: u32, index: u32) -> i64 {
    let words = philox([index / 4, stream, 0, 0], [seed as u32, (seed >> 32) as u32]);
    let pair = if index % 4 < 2 {
        [words[0], words[1]]
    } else {
        [words[2], words[3]]
    };
    let r_q28 = isqrt(neg_ln_q57(pair[0])) as i128;
    let (sine, cosine) = sin_cos_q30(pair[1]);
    let part = i128::from(if index.is_multiple_of(2) { cosine } else { sine });
    ((r_q28 * part + (1 << 33)) >> 34) as i64
}

/// Uniform word `index` of a stream.
pub fn uniform_word(seed: u64, stream: u32, index: u32) -> u32 {
    philox([index / 4, stream, 0, 0], [seed as u32, (seed >> 32) as u32])[index as usize % 4]
}

fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let (mut c, mut k) = (counter.map(u64::from), key.map(u64::from));
    for _ in 0..10 {
        let (p, q) = (0xD251_1F53 * c[0], 0xCD9E_8D57 * c[2]);
        let (high, low) = (|v: u64| v >> 32, |v: u64| v % (1 << 32));
        c = [high(q) ^ c[1] ^ k[0], low(q), high(p) ^ c[3] ^ k[1], low(p)];
        k = [(k[0] + 0x9E37_79B9) % (1 << 32), (k[1] + 0xBB67_AE85) % (1 << 32)];
    }
    c.map(|word| word as u32)
}

/// `lambda` of a cumulative alpha, Q57.
pub fn lambda_q57(alpha_bar_q62: u64) -> i128 {
    let one = 1u64 << 62;
    let ab = alpha_bar_q62.min(one);
    (neg_ln_u64_q57(one - ab) - neg_ln_u64_q57(ab)).div_euclid(2)
}

/// `ln(mant 2^exp)` of a mantissa of 32 bits, for exponents from -92 to 28.
pub fn ln_q57(mant: u128, exp: i64) -> i128 {
    i128::from(exp.clamp(-92, 28) + 32) * i128::from(TABLES.ln_2_q57) - neg_ln_u64_q57((mant as u64) << 32)
}

/// `-ln(v / 2^64)`.
pub fn neg_ln_u64_q57(v: u64) -> i128 {
    let (mut y, mut k) = (i128::from(v.max(1)), 0);
    while y < 1 << 63 {
        y *= 2;
        k += 1;
    }
    let i = (y >> 57) as usize % 64;
    let c = i128::from(TABLES.reciprocal_q8[i]);
    let d_q57 = ((y >> 31) * c - (1 << 41)) * 65_536 + ((y % (1 << 31)) * c).div_euclid(32_768);
    let d_q37 = d_q57 >> 20;
    let inner_q31 = 715_827_883 - (d_q37 >> 8);
    let outer_q31 = (1 << 30) - ((d_q37 * inner_q31) >> 37);
    let square_q44 = (d_q37 * d_q37) >> 30;
    let ln_1p_q57 = d_q57 - ((square_q44 * outer_q31) >> 18);
    k * i128::from(TABLES.ln_2_q57) + i128::from(TABLES.ln_reciprocal_q57[i]) - ln_1p_q57
}

/// `-ln((word + 1/2) / 2^32)`.
fn neg_ln_q57(word: u32) -> u128 {
    let mut y_q33 = 2 * i128::from(word) + 1;
    let mut k = 0;
    while y_q33 < 1 << 32 {
        y_q33 *= 2;
        k += 1;
    }
    let i = (y_q33 >> 26) as usize % 64;
    let d_q41 = y_q33 * i128::from(TABLES.reciprocal_q8[i]) - (1 << 41);
    let d_q37 = d_q41 >> 4;
    let inner_q31 = 715_827_883 - (d_q37 >> 8);
    let outer_q31 = (1 << 30) - ((d_q37 * inner_q31) >> 37);
    let square_q44 = (d_q37 * d_q37) >> 30;
    let ln_1p_q57 = d_q41 * 65_536 - ((square_q44 * outer_q31) >> 18);
    (k * i128::from(TABLES.ln_2_q57) + i128::from(TABLES.ln_reciprocal_q57[i]) - ln_1p_q57) as u128
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_gives_the_authors_vectors() {
        let words = philox(
            [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
            [0xa409_3822, 0x299f_31d0],
        );
        assert_eq!(words, [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
    }
}
