//! Random programs: every operator in every arrangement, every way of sampling.

use mote_engine::memory::AlignedBytes;
use mote_runtime::internals::numeric::requant::{Requant, WideRequant};
use mote_runtime::internals::ops::{Op, Weights};
use mote_runtime::internals::sampler::UNKNOWN;
use mote_runtime::internals::schedule::coefficients::{Clip, Prediction};
use mote_runtime::internals::schedule::spacing::{PrevRule, Spacing};
use mote_runtime::{Config, Method, Model, Start};
use mote_tests::parts::Parts;
use mote_tests::random::Random;
use mote_tests::running::METHODS;
use mote_tests::synthetic::Form;
use mote_tests::wider;
use mote_tools::emit::Diffusion;
use mote_tools::ops::{Attention, AvgPool, ClassEmbed, Input, Silu, TimeProj, Upsample};
use mote_tools::plan::Windows;
use mote_tools::program::Program;
use mote_tools::quantize::scheme::Bits;

use crate::builder::{Builder, POINT, Window, file, same};
use crate::compare::{assert_equal, assert_equal_known};

const CLASSES: usize = 5;

/// Two levels with all that a U-Net may have.
fn program(seed: u64) -> Program {
    let mut b = Builder::new(seed, [2, 6, 10]);
    b.program.classes = CLASSES;
    let x = b.push(
        Input {
            scale: 2.0,
            shift: -1.0,
        },
        [2, 6, 10],
    );
    let frequencies = (0..6).map(|i| (10_000f64).powf(-f64::from(i) / 5.0)).collect();
    let time = b.push(
        TimeProj {
            frequencies,
            cos_first: seed.is_multiple_of(2),
            series: false,
        },
        [12, 1, 1],
    );
    let table = (0..CLASSES * 16).map(|_| b.random.unit()).collect();
    let class = b.push(ClassEmbed { table }, [16, 1, 1]);
    let hidden = b.conv(&[time], 16, POINT, None);
    let hidden = b.push(Silu { src: hidden }, [16, 1, 1]);
    let embedding = b.conv(&[hidden], 16, POINT, Some((class, 1.0)));
    let embedding = b.push(Silu { src: embedding }, [16, 1, 1]);
    let bias = b.conv(&[embedding], 8, POINT, None);
    let scales = b.conv(&[embedding], 32, POINT, None);

    let first = b.conv(&[x], 8, same(3), None);
    let skip = b.norm(&[first], 2, true, None);
    let skip = b.conv(&[skip], 8, same(5), Some((bias, 1.0)));
    let down = Window {
        kernel: [3; 2],
        stride: [2; 2],
        pad: [0, 0, 1, 1],
        upsample: false,
    };
    let low = b.conv(&[skip], 8, down, None);
    let (q, k, v) = (
        b.conv(&[low], 8, POINT, None),
        b.conv(&[low], 8, POINT, None),
        b.conv(&[low], 8, POINT, None),
    );
    let shape = b.shape(low);
    let heads = if seed.is_multiple_of(2) { 2 } else { 4 };
    let mixed = b.push(Attention { qkv: [q, k, v], heads }, shape);
    let mixed = b.conv(&[mixed], 8, POINT, Some((low, 0.7)));
    let pooled = b.push(AvgPool { src: mixed }, [8, 1, 2]);
    let pooled = b.push(Upsample { src: pooled }, [8, 2, 4]);
    let even = Window {
        kernel: [2; 2],
        stride: [1; 2],
        pad: [1, 1, 1, 1],
        upsample: false,
    };
    let back = b.conv(&[pooled], 8, even, None);

    let joined = b.norm(&[mixed, back], 4, true, Some(scales));
    let shortcut = b.conv(&[mixed, back], 8, POINT, None);
    let low = b.conv(&[joined], 8, same(3), Some((shortcut, 1.0)));
    let up = Window {
        upsample: true,
        ..same(3)
    };
    let high = b.conv(&[low], 6, up, None);
    let high = b.norm(&[high], 3, false, None);
    let high = b.conv(&[high, first], 8, same(3), None);
    let high = b.norm(&[high], 8, true, None);
    b.conv(&[high], 2, same(3), None);
    b.program
}

fn diffusion(seed: u64) -> Diffusion {
    let train_steps = 60;
    let angle = |t: usize| (t as f64 + 1.0) / (train_steps as f64 + 2.0) * core::f64::consts::FRAC_PI_2;
    let pick = |n: u64| (seed % n) as usize;
    Diffusion {
        train_steps: train_steps as u32,
        alpha_bars: (0..train_steps).map(|t| angle(t).cos().powi(2)).collect(),
        final_alpha_bar: 1.0,
        prediction: [Prediction::Epsilon, Prediction::V, Prediction::Sample][pick(3)],
        clip: Clip::Off,
        clip_range: 1.0,
        schedule: Spacing::Leading.into(),
        steps_offset: 1,
        null_class: Some(CLASSES as u16 - 1),
    }
}

/// Widths by draw: 0 all int16 weights and activations, 1 all int8, 2 mixed, 3 f16, 4 int4 weights and mixed activations.
pub fn synthetic(seed: u64, widths: u64) -> AlignedBytes {
    let (program, d) = (program(seed), diffusion(seed));
    let mut random = crate::builder::Random(!seed);
    let windows = if seed.is_multiple_of(2) {
        Windows::none(&program)
    } else {
        Windows::all(&program)
    };
    match widths {
        0 => file(&program, &d, windows, Some(&mut |_| Bits::Sixteen)),
        1 => file(&program, &d, windows, Some(&mut |_| Bits::Eight)),
        2 => file(
            &program,
            &d,
            windows,
            Some(&mut |_| {
                if random.next().is_multiple_of(2) {
                    Bits::Eight
                } else {
                    Bits::Sixteen
                }
            }),
        ),
        3 => file(&program, &d, windows, None),
        _ => file(
            &program,
            &d,
            windows,
            Some(&mut |weight| match random.next().is_multiple_of(2) {
                _ if weight => Bits::Four,
                true => Bits::Eight,
                false => Bits::Sixteen,
            }),
        ),
    }
}

/// Every way of sampling, one after the other.
fn configs(seed: u64) -> Vec<Config> {
    let spacings = [
        Spacing::Leading,
        Spacing::Trailing,
        Spacing::Linspace,
        Spacing::Quadratic,
    ];
    let clips = [Clip::Off, Clip::Stock, Clip::Rederived];
    let config = |i: usize| Config {
        steps: [1, 3, 7][i % 3],
        spacing: spacings[i % 4],
        prev: [PrevRule::List, PrevRule::Diffusers][i % 2],
        eta_q16: match METHODS[(i + seed as usize) % 5] {
            Method::Ddim => [0, 1 << 16, 20_000][i % 3],
            _ => 0,
        },
        method: METHODS[(i + seed as usize) % 5],
        clip: clips[i / 2 % 3],
        clip_range_q24: [1 << 24, 3 << 22][i % 2],
        class: [None, Some(0), Some(3), Some(4)][i % 4],
        guidance_q16: [None, Some(3 << 16), Some(-40_000)][i / 3 % 3],
        seed: seed << 33 | i as u64,
    };
    (0..12).map(config).collect()
}

#[test]
fn random_programs_run_as_the_oracle_says() {
    for seed in 0..6 {
        for widths in 0..5 {
            let memory = synthetic(seed, widths);
            for (i, config) in configs(seed).iter().enumerate() {
                assert_equal(
                    &memory,
                    config,
                    &Start::Seed,
                    &format!("program {seed}, widths {widths}, run {i}"),
                );
            }
        }
    }
}

/// Of what a GPU does not take, in every number format.
#[test]
fn wider_programs_run_as_the_oracle_says() {
    for seed in 0..8 {
        for form in Form::ALL {
            let memory = AlignedBytes::copy_of(&wider::model(seed, form));
            let model = Model::parse(memory.bytes()).expect("a valid model");
            let config = Config {
                seed,
                ..Config::of(model.header(), 3)
            };
            assert_equal(&memory, &config, &Start::Seed, &format!("wider {seed}, {form:?}"));
            let memory = extreme(&memory, seed);
            let what = format!("wider {seed}, {form:?}, extreme");
            assert_equal(&memory, &config, &Start::Seed, &what);
        }
    }
}

/// Convolutions in groups, in every number format.
#[test]
fn convolutions_in_groups_run_as_the_oracle_says() {
    for seed in 0..16 {
        for form in Form::ALL {
            let memory = AlignedBytes::copy_of(&wider::groups_model(seed, form));
            let model = Model::parse(memory.bytes()).expect("a valid model");
            let config = Config {
                seed,
                ..Config::of(model.header(), 3)
            };
            assert_equal(&memory, &config, &Start::Seed, &format!("groups {seed}, {form:?}"));
        }
    }
}

/// Linear attentions and attentions over other keys, as converted and with factors at random.
#[test]
fn other_attentions_run_as_the_oracle_says() {
    for seed in 0..8 {
        for form in Form::ALL {
            let memory = AlignedBytes::copy_of(&wider::attentions_model(seed, form));
            let model = Model::parse(memory.bytes()).expect("a valid model");
            let config = Config {
                seed,
                ..Config::of(model.header(), 3)
            };
            assert_equal(&memory, &config, &Start::Seed, &format!("attentions {seed}, {form:?}"));
            if form != Form::F16 {
                let memory = extreme(&memory, seed);
                let what = format!("attentions {seed}, {form:?}, extreme");
                assert_equal(&memory, &config, &Start::Seed, &what);
            }
        }
    }
}

/// Blocks of a transformer, whose attentions and normalizations have kernels of their own.
#[test]
fn blocks_run_as_the_oracle_says() {
    for seed in 0..4 {
        for form in Form::ALL {
            let memory = AlignedBytes::copy_of(&wider::blocks_model(seed, form));
            let model = Model::parse(memory.bytes()).expect("a valid model");
            let config = Config {
                seed,
                ..Config::of(model.header(), 2)
            };
            assert_equal(&memory, &config, &Start::Seed, &format!("blocks {seed}, {form:?}"));
            if form != Form::F16 {
                let memory = extreme(&memory, seed);
                assert_equal(
                    &memory,
                    &config,
                    &Start::Seed,
                    &format!("blocks {seed}, {form:?}, extreme"),
                );
            }
        }
    }
}

/// The same model with normalizations that saturate, vanish and have other units, and attentions whose sums do.
fn extreme(file: &AlignedBytes, seed: u64) -> AlignedBytes {
    let mut random = Random(seed);
    let mut parts = Parts::of(file.bytes());
    let mut ops = parts.ops();
    for op in &mut ops {
        if let Op::Norm(n) = op {
            n.up = random.below(63) as i8 - 31;
            n.gamma_frac = random.below(31) as u8;
            n.eps_q = random.pick(&[n.eps_q, 0, 1, 1 << 62]);
            let shift = 20 + random.below(30) as u8;
            n.out_requant = Requant { shift, ..n.out_requant };
        }
        let mut wide = |factor: &mut WideRequant| factor.shift = 1 + random.below(62) as u8;
        let rows = match op {
            Op::CrossAttention(a) => {
                wide(&mut a.score);
                &mut a.rows
            }
            Op::LinearAttention(a) => {
                [&mut a.context, &mut a.out_requant].into_iter().for_each(&mut wide);
                &mut a.rows
            }
            _ => continue,
        };
        if let Some(rows) = rows {
            [&mut rows.score, &mut rows.unit].into_iter().for_each(wide);
        }
    }
    parts.set_ops(&ops);
    AlignedBytes::copy_of(&parts.file())
}

#[test]
fn every_start_is_the_oracles() {
    let memory = synthetic(1, 2);
    let model = Model::parse(memory.bytes()).expect("a valid model");
    let len = model.header().sample_len() as i32;
    let config = Config {
        seed: 99,
        ..Config::of(model.header(), 6)
    };
    // Beyond the range of the state too: whatever is given, both do the same.
    let given: Vec<i32> = (0..len).map(|i| (i - len / 2) * 19_000_000).collect();
    assert_equal(&memory, &config, &Start::Noise(&given), "given noise");
    for strength_q16 in [0, 1, 6_000, 30_000, 1 << 16] {
        let start = Start::Image {
            image_q24: &given,
            strength_q16,
        };
        for method in METHODS {
            let config = Config { method, ..config };
            assert_equal(
                &memory,
                &config,
                &start,
                &format!("{method:?} from an image at {strength_q16}"),
            );
        }
        let second = u64::from(strength_q16) << 40 | 5;
        let start = Start::Between {
            second,
            part_q16: strength_q16,
        };
        assert_equal(
            &memory,
            &config,
            &start,
            &format!("{strength_q16} towards another seed"),
        );
    }
}

#[test]
fn known_elements_are_the_oracles() {
    let memory = synthetic(3, 1);
    let model = Model::parse(memory.bytes()).expect("a valid model");
    let len = model.header().sample_len() as i32;
    let value = |i: i32| if i % 3 == 0 { UNKNOWN } else { (i - len / 2) << 20 };
    let known: Vec<i32> = (0..len).map(value).collect();
    for (method, guidance_q16) in METHODS.into_iter().flat_map(|m| [(m, None), (m, Some(2 << 16))]) {
        let config = Config {
            method,
            guidance_q16,
            seed: 4,
            ..Config::of(model.header(), 5)
        };
        assert_equal_known(
            &memory,
            &config,
            &Start::Seed,
            Some(&known),
            &format!("{method:?} {guidance_q16:?}"),
        );
    }
}

#[test]
fn the_programs_hold_what_they_are_for() {
    let kinds = |widths| {
        let memory = synthetic(2, widths);
        let model = Model::parse(memory.bytes()).expect("a valid model");
        let ops: Vec<Op> = model.ops().collect();
        let zero_points = (0..model.tensor_count())
            .filter_map(|i| model.tensor(mote_runtime::internals::tensor::TensorId(i)))
            .filter(|t| t.zero_point != 0)
            .count();
        (ops, zero_points)
    };
    let (ops, zero_points) = kinds(1);
    assert!(zero_points > 3, "{zero_points} zero points");
    let mut names: Vec<&str> = ops.iter().map(Op::kind).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(
        names,
        [
            "attention",
            "avg_pool",
            "class_embed",
            "conv",
            "group_norm",
            "input",
            "silu",
            "time_proj",
            "upsample"
        ]
    );
    let unequal = |op: &Op| {
        let second = op.conv().and_then(|c| c.source.second);
        second.is_some_and(|(_, [a, b])| a != b)
    };
    let inside = synthetic(3, 1);
    let inside = Model::parse(inside.bytes()).expect("a valid model");
    assert!(inside.ops().any(|op| matches!(op, Op::NormConv(_))));
    assert!(ops.iter().any(unequal), "no concatenation of unequal scales");
    assert!(
        ops.iter()
            .any(|op| matches!(op, Op::GroupNorm(n) if n.scale_shift.is_some()))
    );
    let (ops, _) = kinds(0);
    let wide = |op: &Op| match op {
        Op::Conv(c) => matches!(c.weights, Weights::W16 { .. }),
        _ => true,
    };
    assert!(ops.iter().all(wide), "int16 weights everywhere");
}
