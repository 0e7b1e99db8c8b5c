//! Golden values of the schedule: timesteps, coefficients and whole fixed-point runs.

use super::forms::{CLIPS, PREDICTIONS};
use crate::{
    numeric::{NUMERIC_VERSION, normal::normal_q24, philox::philox4x32, tests::golden::fnv1a},
    schedule::{
        chain::{BitStep, KernelStep, deviation_q30, noised_bit},
        coefficients::{ALPHA_BAR_ONE_Q62, add_noise, ddim, noising},
        spacing::{Spacing, timestep},
    },
};

/// Pairs of cumulative alphas in falling order of noise, of every magnitude; made of integers only.
fn alphas() -> impl Iterator<Item = (u64, u64)> {
    (0..64).map(|i| {
        let [a, b, shifts, _] = philox4x32([i, 0, 0, 0xA1FA], [0x6D6F, 0x7465]);
        let ab = (u64::from(a) << 30 | u64::from(b) >> 2) >> (shifts % 32);
        (ab, ab + ((ALPHA_BAR_ONE_Q62 - ab) >> ((shifts >> 8) % 16)))
    })
}

#[test]
fn hashes() {
    assert_eq!(NUMERIC_VERSION, 1);
    let spacings = [
        Spacing::Leading,
        Spacing::Trailing,
        Spacing::Linspace,
        Spacing::Quadratic,
    ];
    let timesteps = spacings.into_iter().flat_map(|spacing| {
        [7, 10, 16, 27, 50, 999].into_iter().flat_map(move |steps| {
            (0..steps).map(move |index| timestep(spacing, 1000, steps, 1, index).unwrap_or(u32::MAX))
        })
    });
    let steps = alphas().flat_map(|(ab, ab_prev)| {
        PREDICTIONS
            .into_iter()
            .flat_map(move |p| CLIPS.map(|c| (p, c)))
            .flat_map(move |(prediction, clip)| {
                [0, 20_000, 65_536].into_iter().flat_map(move |eta_q16| {
                    let step = ddim(ab, ab_prev, eta_q16, prediction, clip);
                    let value = |index| normal_q24(1, 2, index);
                    let x0 = step.predicted_x0(value(0), value(1), 1 << 24);
                    let x = step.apply(value(0), value(1), value(2), 1 << 24);
                    let [a, b, c, d] = step.step.mant().map(|m| m as u32);
                    let [p, q] = step.sample.mant().map(|m| m as u32);
                    [
                        x0 as u32,
                        x as u32,
                        a,
                        b,
                        c,
                        d,
                        p,
                        q,
                        u32::from(step.step.shift()),
                        u32::from(step.sample.shift()),
                    ]
                })
            })
    });
    let noised = alphas().flat_map(|(ab, _)| {
        let pair = noising(ab);
        [
            pair.0 as u32,
            pair.1 as u32,
            add_noise(pair, normal_q24(1, 2, 3), normal_q24(4, 5, 6)) as u32,
        ]
    });
    let chain = alphas().flat_map(|(ab, ab_prev)| {
        [0, 1 << 29, 1 << 31].into_iter().flat_map(move |prior_q31| {
            (0..4).map(move |i| {
                let value = |index| normal_q24(5, i, index);
                let [word, ..] = philox4x32([i, 7, 0, 0], [1, 2]);
                let bits = BitStep::new(ab, ab_prev, prior_q31);
                let bits = [false, true].map(|set| u32::from(bits.apply(set, value(0) * 4, word)));
                let noised = u32::from(noised_bit(ab, prior_q31, true, word));
                let point = KernelStep::new(ab, ab_prev).apply(value(1), value(2), value(3) * 4, value(4));
                deviation_q30(value(5) * 8) ^ point as u32 ^ bits[0] << 7 ^ bits[1] << 8 ^ noised << 9
            })
        })
    });
    let measured = [
        ("chain", fnv1a(chain)),
        ("timestep", fnv1a(timesteps)),
        ("ddim", fnv1a(steps)),
        ("noising", fnv1a(noised)),
    ];
    let expected = [
        0x0850_C325_E187_9FF8,
        0xC54B_AC77_7431_C7BD,
        0xD801_996B_DEED_229D,
        0x6F58_8087_6524_27C8,
    ];
    for ((name, hash), expected) in measured.into_iter().zip(expected) {
        super::std::println!("{name}: {hash:#018X} ({expected:#018X})");
    }
    for ((name, hash), expected) in measured.into_iter().zip(expected) {
        assert_eq!(hash, expected, "{name} changed");
    }
}
