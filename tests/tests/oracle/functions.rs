//! The oracle's functions against the runtime's, over far more arguments than a network gives them.

use mote_oracle as oracle;
use mote_oracle::file::header::Prediction as OwnPrediction;
use mote_oracle::sampler::coefficients::{Coefficients, mixed, noising};
use mote_oracle::sampler::timesteps;
use mote_oracle::scalar::rounding::Rounding;
use mote_oracle::scalar::{digest, half, noise, roots, sigmoid, sine};
use mote_runtime::internals::numeric::requant::{Requant, WideRequant, add_guarded};
use mote_runtime::internals::numeric::{
    exp2, float as theirs_f16, float, normal, rsqrt, sigmoid as theirs_sigmoid, sine as theirs_sine,
};
use mote_runtime::internals::schedule::coefficients as theirs;
use mote_runtime::internals::schedule::coefficients::{Clip, Prediction};

const ROUNDS: usize = 200_000;

/// Fails unless the oracle's wide integer is the runtime's.
fn same(ours: i64, theirs: impl Into<i64>, what: &str) {
    assert_eq!(ours, theirs.into(), "{what}");
}

/// SplitMix64, thinned so that every magnitude occurs.
struct Random(u64);

impl Random {
    fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    fn any(&mut self) -> u64 {
        let shift = self.word() % 64;
        self.word() >> shift
    }

    fn int(&mut self) -> i32 {
        let shift = self.word() % 32;
        self.word() as i32 >> shift
    }
}

#[test]
fn integer_functions_agree() {
    let mut random = Random(1);
    for _ in 0..ROUNDS {
        let (word, x) = (random.any(), random.int());
        let root = rsqrt::rsqrt_u64(word);
        let expected = (i128::from(root.mant_q31), i128::from(root.exp));
        assert_eq!(roots::rsqrt(word), expected, "1/sqrt({word})");
        let root = u128::from(rsqrt::isqrt_u64(word));
        assert_eq!(roots::isqrt(word.into()), root, "sqrt({word})");
        same(
            sigmoid::silu_q16(x.into()),
            theirs_sigmoid::silu_q16(x),
            &format!("silu({x})"),
        );
        let p = random.any() as u32;
        same(
            sigmoid::exp2_neg_q16(p.into()),
            exp2::exp2_neg_q16(p),
            &format!("2^-{p}"),
        );
        let (sin, cos) = theirs_sine::sin_cos_q30(word as u32);
        let expected = (i64::from(sin), i64::from(cos));
        assert_eq!(sine::sin_cos_q30(word as u32), expected, "sine of {word}");
        let (stream, index) = (random.any() as u32, random.any() as u32);
        let theirs = normal::normal_q24(word, stream, index);
        same(
            noise::normal_q24(word, stream, index),
            theirs,
            &format!("normal {word} {stream} {index}"),
        );
    }
    let words: Vec<i32> = (0..5000).map(|_| random.int()).collect();
    let theirs = mote_runtime::internals::digest::Digest::of(words.iter().copied()).0;
    assert_eq!(digest::digest(words.iter().copied()), theirs);
}

#[test]
fn requantization_agrees() {
    let mut random = Random(2);
    let r = Rounding::default();
    for _ in 0..ROUNDS {
        let (v, shift) = (random.int(), (random.word() % 62 + 1) as u8);
        let mult = (1 << 30) | (random.word() as i32 & 0x3FFF_FFFF);
        let what = format!("{v} * {mult} >> {shift}");
        same(
            r.requantize(v.into(), mult, shift),
            Requant { mult, shift }.apply(v),
            &what,
        );
        // Below 2^40.
        let (wide, mult) = (random.word() as i64 >> (24 + random.word() % 40), mult >> 9);
        let what = format!("{wide} * {mult} >> {shift}");
        same(
            r.requantize(wide, mult, shift),
            WideRequant { mult, shift }.apply(wide),
            &what,
        );
        let other = random.int();
        let what = format!("{v} + {other}");
        same(r.add_guarded(v.into(), other.into()), add_guarded(v, other), &what);
    }
}

#[test]
fn float_functions_agree() {
    let same_float = |a: f32, b: f32| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
    for bits in 0..=u16::MAX {
        assert!(
            same_float(half::load(bits.into()), theirs_f16::load(bits)),
            "f16 {bits:#x}"
        );
    }
    let mut random = Random(3);
    for i in 0..ROUNDS {
        let wide = f32::from_bits(random.word() as u32);
        let v = if i % 2 == 0 {
            wide
        } else {
            random.int() as f32 / 65_536.0
        };
        same(half::store(v, false), theirs_f16::store(v), &format!("{v} to f16"));
        same(half::to_q24(v, false), theirs_f16::to_q24(v), &format!("{v} to Q24"));
        assert!(same_float(half::exp(v), float::exp_f32(v)), "exp({v})");
        assert!(same_float(half::silu(v), float::silu_f32(v)), "silu({v})");
        let q24 = random.int();
        assert!(
            same_float(half::from_q24(q24.into()), theirs_f16::from_q24(q24)),
            "{q24}"
        );
    }
}

#[test]
fn steps_agree() {
    let mut random = Random(4);
    let one = 1u64 << 62;
    for _ in 0..20_000 {
        let alphas = [random.any() % (one + 1), one - random.any() % (one / 2)];
        let mut alpha = || alphas[random.word() as usize % 2];
        let (ab, prev) = (alpha(), alpha());
        let eta = [0, 65_536, random.any() as u32][random.word() as usize % 3];
        let predictions = [
            (Prediction::Epsilon, OwnPrediction::Epsilon),
            (Prediction::V, OwnPrediction::V),
            (Prediction::Sample, OwnPrediction::Sample),
        ];
        let clips = [
            (Clip::Off, oracle::Clip::Off),
            (Clip::Stock, oracle::Clip::Stock),
            (Clip::Rederived, oracle::Clip::Rederived),
        ];
        for (prediction, own_prediction) in predictions {
            for (clip, own_clip) in clips {
                let (x, out, z, range) = (random.int(), random.int(), random.int(), random.int());
                let what = format!("{ab} to {prev}, eta {eta}, {prediction:?}, {clip:?}: {x} {out} {z} {range}");
                let ours = Coefficients::ddim(ab, prev, eta, own_prediction, own_clip);
                let ours = ours.apply(x.into(), out.into(), z.into(), range, Rounding::default());
                same(
                    ours,
                    theirs::ddim(ab, prev, eta, prediction, clip).apply(x, out, z, range),
                    &what,
                );
            }
        }
        let (x, z) = (random.int(), random.int());
        let noisy = theirs::add_noise(theirs::noising(ab), x, z);
        let [signal, noise] = noising(ab);
        same(
            mixed(signal, x.into(), noise, z.into()),
            noisy,
            &format!("noising {ab} {x} {z}"),
        );
    }
}

#[test]
fn pixels_agree() {
    let mut random = Random(5);
    for _ in 0..ROUNDS {
        let x = random.int();
        assert_eq!(
            oracle::q24_to_pixel(x),
            mote_runtime::internals::sampler::q24_to_pixel(x),
            "{x}"
        );
    }
}

#[test]
fn timesteps_agree() {
    use mote_runtime::internals::schedule::spacing::{Spacing, timestep};
    let spacings = [
        (Spacing::Leading, oracle::Spacing::Leading),
        (Spacing::Trailing, oracle::Spacing::Trailing),
        (Spacing::Linspace, oracle::Spacing::Linspace),
        (Spacing::Quadratic, oracle::Spacing::Quadratic),
    ];
    for t in [1, 2, 60, 997, 4096, 65_536] {
        for s in (1..=t).step_by(1 + t as usize / 60) {
            for ((theirs, ours), index) in spacings
                .into_iter()
                .flat_map(|k| (0..s).step_by(7).map(move |i| (k, i)))
            {
                for offset in [0, 1, -1] {
                    let expected = timesteps::value(ours, t, s, offset, index);
                    assert_eq!(
                        timestep(theirs, t, s, offset, index),
                        Some(expected),
                        "{ours:?} {t} {s} {index}"
                    );
                }
            }
        }
    }
}
