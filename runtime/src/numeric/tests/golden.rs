//! Golden values: a hash of fixed outputs of every function. A change of one bit fails here.
//!
//! If a change is meant, it is a new numeric contract: raise `NUMERIC_VERSION`, then take over the printed hashes.

use super::{any_magnitude, words};
use crate::numeric::*;

/// FNV-1a (64 bits) over the little-endian bytes of the values.
pub(crate) fn fnv1a(values: impl Iterator<Item = u32>) -> u64 {
    values
        .flat_map(u32::to_le_bytes)
        .fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
        })
}

fn over_words(f: impl Fn(u32) -> u32) -> u64 {
    // Random words, and small magnitudes of both signs.
    fnv1a(words(4096).flat_map(|[a, b, ..]| [a, ((b as i32) >> 12) as u32]).map(f))
}

fn scaled_results([a, b, c, _]: [u32; 4]) -> [u32; 7] {
    use scaled::Scaled;
    let (x, y) = (
        Scaled::from_q(u64::from(a), c % 40),
        Scaled::from_q(u64::from(b), (c >> 8) % 40),
    );
    let bits = |s: Scaled| s.mant() ^ (s.exp() as u32).rotate_left(16);
    let fixed = x.to_q(20);
    [
        bits(x.mul(y)),
        bits(x.div(y)),
        bits(x.add(y)),
        bits(x.sub(y)),
        bits(x.sqrt()),
        bits(Scaled::from_ratio(u64::from(a), u64::from(b))),
        fixed as u32 ^ (fixed >> 32) as u32,
    ]
}

#[test]
fn hashes() {
    assert_eq!(NUMERIC_VERSION, 1);
    let float = |f: fn(f32) -> f32| move |bits: u32| f(f32::from_bits(bits)).to_bits();
    let ln_words = table::LN_RECIPROCAL_Q57
        .iter()
        .chain([&table::LN_2_Q57])
        .flat_map(|&v| [v as u32, (v >> 32) as u32]);
    let measured = [
        ("logarithm tables", fnv1a(ln_words)),
        ("philox4x32", fnv1a(words(4096).flatten())),
        (
            "normal_q24",
            fnv1a((0..16_384).map(|i| normal::normal_q24(0x0123_4567_89AB_CDEF, i % 7, i) as u32)),
        ),
        (
            "lambda_q57",
            fnv1a(
                any_magnitude(8192)
                    .map(|v| log::lambda_q57(v >> 1) as u64)
                    .flat_map(|v| [v as u32, (v >> 32) as u32]),
            ),
        ),
        ("exp2_neg_q16", over_words(|x| exp2::exp2_neg_q16(x & 0x1F_FFFF))),
        ("sigmoid_q15", over_words(|x| sigmoid::sigmoid_q15(x as i32) as u32)),
        ("silu_q16", over_words(|x| sigmoid::silu_q16(x as i32) as u32)),
        (
            "rsqrt_u64",
            fnv1a(
                any_magnitude(8192)
                    .map(rsqrt::rsqrt_u64)
                    .flat_map(|r| [r.mant_q31, r.exp as u32]),
            ),
        ),
        ("isqrt_u64", fnv1a(any_magnitude(8192).map(rsqrt::isqrt_u64))),
        (
            "sin_cos_q30",
            fnv1a(
                words(8192)
                    .map(|w| sine::sin_cos_q30(w[0]))
                    .flat_map(|(s, c)| [s as u32, c as u32]),
            ),
        ),
        ("sin_q15", over_words(|x| sine::sin_q15(x) as u32)),
        ("cos_q15", over_words(|x| sine::cos_q15(x) as u32)),
        ("scaled", fnv1a(words(4096).flat_map(scaled_results))),
        ("exp_f32", over_words(float(float::exp_f32))),
        ("sigmoid_f32", over_words(float(float::sigmoid_f32))),
        ("silu_f32", over_words(float(float::silu_f32))),
        (
            "f32_to_f16_sat",
            over_words(|x| u32::from(float::f32_to_f16_sat(f32::from_bits(x)).to_bits())),
        ),
    ];
    let expected = [
        0x7600_2109_A13A_38D4,
        0xD8E9_4F9B_321F_3A27,
        0xC287_A7EA_A231_128D,
        0xBB0B_166B_8F58_FDFA,
        0x5999_87C0_CD0C_899A,
        0xAD37_B9F5_7C8F_1605,
        0xE6A1_8817_21A0_A884,
        0xECAD_6AA5_65A8_2792,
        0xEFCD_CC57_5A1E_7C95,
        0x434D_29EA_4A9E_93AF,
        0x2F56_1FBF_6864_B270,
        0x9E23_F31A_266A_4D6F,
        0x0551_C8B0_95D5_D962,
        0x6A1D_B5DC_A32D_04B7,
        0x7A59_81A9_61CE_FAAF,
        0x0D33_EF19_42B7_CD57,
        0xB934_7E31_A14A_3101,
    ];
    for ((name, hash), expected) in measured.into_iter().zip(expected) {
        super::std::println!("{name}: {hash:#018X} ({expected:#018X})");
    }
    for ((name, hash), expected) in measured.into_iter().zip(expected) {
        assert_eq!(hash, expected, "{name} changed");
    }
}
