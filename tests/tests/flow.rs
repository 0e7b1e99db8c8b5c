//! Euler's method for flow matching: its levels are diffusers', its rows are the equations, its runs are the same everywhere.

use mote_engine::memory::AlignedBytes;
use mote_graph::float::ddim::Clip as FloatClip;
use mote_graph::float::samplers::{FloatRun, flow_sigmas};
use mote_graph::schedule::{Precision, PreviousRule, ScheduleError, SchedulerConfig};
use mote_oracle::Oracle;
use mote_runtime::internals::model::sampling::Levels;
use mote_runtime::internals::sampler::UNKNOWN;
use mote_runtime::internals::schedule::coefficients::Clip;
use mote_runtime::internals::schedule::rows::Rows;
use mote_runtime::internals::schedule::spacing::{PrevRule, Spacing};
use mote_runtime::{Config, Feature, Method, Model, RunError, Start};
use mote_tests::running::everywhere;
use mote_tests::synthetic::{self, Form};
use mote_tools::backend::oracle::{request, start as start_of};
use mote_tools::emit::planned::planned;

const ONE_Q24: f64 = (1u64 << 24) as f64;

/// The synthetic network as one of flow matching.
fn model(form: Form, shift: f64) -> AlignedBytes {
    AlignedBytes::copy_of(&synthetic::flow(form, shift))
}

fn scheduler(shift: f64, spacing: Spacing) -> SchedulerConfig {
    let text =
        format!(r#"{{"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": {shift}, "shift_terminal": null}}"#);
    let mut config = SchedulerConfig::parse("test", &text).expect("a valid configuration");
    assert_eq!(
        (config.levels, config.timestep_spacing),
        (Levels::Flow, Spacing::Trailing)
    );
    config.timestep_spacing = spacing;
    config
}

fn config(model: &Model<'_>, steps: u32) -> Config {
    Config {
        seed: 5,
        class: Some(1),
        ..Config::of(model.header(), steps)
    }
}

/// Steps, spacings and shifts.
fn cases() -> impl Iterator<Item = (u32, Spacing, f64)> {
    let spacings = [Spacing::Trailing, Spacing::Linspace];
    let cases = [1, 2, 7, 10, 50, 1000]
        .into_iter()
        .flat_map(move |n| spacings.map(|s| (n, s)));
    cases.flat_map(|(n, spacing)| [1.0, 3.0, 0.25, 128.0].map(|shift| (n, spacing, shift)))
}

/// What diffusers 0.42 prints of `set_timesteps(sigmas = linspace(1, 1/S, S))` and of its own default.
#[test]
fn levels_are_those_of_diffusers() {
    let ten = flow_sigmas(&scheduler(1.0, Spacing::Trailing), 10).expect("ten steps");
    let expected: [f64; 11] = [
        1.0,
        0.9,
        0.8,
        0.7,
        0.6,
        0.5,
        0.4,
        0.300_000_000_000_000_04,
        0.199_999_999_999_999_96,
        0.099_999_999_999_999_98,
        0.0,
    ];
    assert_eq!(ten, expected);
    // shift 3: 3 s / (1 + 2 s).
    let shifted = flow_sigmas(&scheduler(3.0, Spacing::Trailing), 4).expect("four steps");
    for (found, expected) in shifted.iter().zip([1.0, 0.9, 0.75, 0.5, 0.0]) {
        assert!((found - expected).abs() < 1e-15, "{shifted:?}");
    }
    // The default shifts its lowest level twice: 3 / 1002 is where timestep 1 is, and 3 times that over 1 + 2 times that.
    let default = flow_sigmas(&scheduler(3.0, Spacing::Linspace), 3).expect("three steps");
    let lowest = 3.0 / 1002.0;
    let middle = (1.0 + lowest) / 2.0;
    let expected = [1.0, middle, lowest].map(|s| 3.0 * s / (1.0 + 2.0 * s));
    for (found, expected) in default.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-15, "{default:?}");
    }
    let refused = flow_sigmas(&scheduler(1.0, Spacing::Trailing), 1001);
    assert_eq!(refused, Err(ScheduleError::Steps { steps: 1001, max: 1000 }));
}

#[test]
fn rows_are_the_equations() {
    let mut worst = [0f64; 4];
    for (steps, spacing, shift) in cases() {
        let memory = model(Form::F16, shift);
        let model = Model::parse(memory.bytes()).expect("a valid model");
        let config = Config {
            spacing,
            ..config(&model, steps)
        };
        let rows = Rows {
            model: &model,
            config: &config,
        };
        let sigmas = flow_sigmas(&scheduler(shift, spacing), steps as usize).expect("valid steps");
        for (k, pair) in sigmas.windows(2).enumerate() {
            let row = rows
                .row(k as u32, 0, k > 0)
                .expect("it has a row")
                .expect("it is a step");
            let (s, next) = (pair[0], pair[1]);
            let norm = |s: f64| ((1.0 - s) * (1.0 - s) + s * s).sqrt();
            let real = |mant: i32, shift: u8| f64::from(mant) / (1u64 << shift) as f64;
            let time = f64::from(row.time_q16) / 65_536.0 - 1000.0 * s;
            let input = f64::from(row.input_q30) / f64::from(1 << 30) - norm(s);
            let sample = row.coefficients.sample;
            let clean = sample.mant().map(|mant| real(mant, sample.shift()));
            let step = row.coefficients.step;
            let [x0, kept, x, z] = step.mant().map(|mant| real(mant, step.shift()));
            let moved = [
                x0 - (s - next) / (s * norm(next)),
                x - next * norm(s) / (s * norm(next)),
            ];
            let (signal, noise) = rows.noising(k as u32, 0).expect("it is a step");
            let shares = [signal, noise].map(|share| f64::from(share) / f64::from(1 << 30));
            let noised = [shares[0] - (1.0 - s) / norm(s), shares[1] - s / norm(s)];
            assert_eq!((kept, z), (0.0, 0.0));
            let most = |worst: &mut f64, errors: &[f64]| *worst = errors.iter().fold(*worst, |w, e| w.max(e.abs()));
            most(&mut worst[0], &[time]);
            most(&mut worst[1], &[input, clean[0] - norm(s), clean[1] + s]);
            most(&mut worst[2], &moved);
            most(&mut worst[3], &noised);
        }
        assert_eq!(rows.row(steps, 0, true), Ok(None));
        assert_eq!((rows.noising(steps, 0), rows.time_q16(steps, 0)), (None, None));
    }
    println!("timestep, input and x0, next state, noising: {worst:?}");
    // Half a unit of Q16 and half a unit of 30 bits times 1,000 timesteps; half a unit of 30 bits of the largest coefficient.
    assert!(
        worst[0] <= 0.5 / 65_536.0 + 1000.0 * 0.5 / f64::from(1 << 30) && worst[1..].iter().all(|error| *error < 2e-9),
        "{worst:?}"
    );
}

/// Levels that are whole timesteps are exactly those.
#[test]
fn whole_timesteps_are_whole() {
    let memory = model(Form::F16, 1.0);
    let model = Model::parse(memory.bytes()).expect("a valid model");
    for steps in [1u32, 2, 4, 5, 8, 10, 20, 25, 40, 50, 100, 125, 200, 250, 500, 1000] {
        let config = config(&model, steps);
        let rows = Rows {
            model: &model,
            config: &config,
        };
        for k in 0..steps {
            assert_eq!(
                rows.time_q16(k, 0),
                Some((1000 - k * (1000 / steps)) << 16),
                "{k} of {steps}"
            );
        }
    }
}

/// Runs over an ideal network, the fixed-point one against that in `f64`.
///
/// Data are Gaussian with variance V and a mean for each element: `E[x0 | x] = m + (1 - s) V (x - (1 - s) m) / ((1 - s)^2 V + s^2)`.
#[test]
fn whole_runs_stay_by_those_in_f64() {
    const V: f64 = 0.25;
    let means: Vec<f64> = (0..32).map(|i| f64::from(i) / 16.0 - 1.0).collect();
    let velocity = |x: f64, s: f64, mean: f64| {
        let w = 1.0 - s;
        let x0 = mean + w * V * (x - w * mean) / (w * w * V + s * s);
        (x - x0) / s
    };
    let mut worst = 0f64;
    for (steps, spacing, shift) in cases() {
        let memory = model(Form::F16, shift);
        let model = Model::parse(memory.bytes()).expect("a valid model");
        for (clip, float_clip) in [
            (Clip::Off, FloatClip::Off),
            (Clip::Stock, FloatClip::Stock { range: 1.0 }),
        ] {
            let config = Config {
                spacing,
                clip,
                ..config(&model, steps)
            };
            let rows = Rows {
                model: &model,
                config: &config,
            };
            let start: Vec<i32> = (0..32)
                .map(|i| mote_runtime::internals::numeric::normal::normal_q24(5, 0, i))
                .collect();
            let mut fixed = start.clone();
            for k in 0..steps {
                let row = rows.row(k, 0, k > 0).expect("it has a row").expect("it is a step");
                let (s, input) = (
                    f64::from(row.time_q16) / 65_536_000.0,
                    f64::from(row.input_q30) / f64::from(1 << 30),
                );
                for (x, mean) in fixed.iter_mut().zip(&means) {
                    let seen = input * f64::from(*x) / ONE_Q24;
                    let out = (velocity(seen, s, *mean) * ONE_Q24).round() as i32;
                    let x0 = row.coefficients.predicted_x0(*x, out, 1 << 24);
                    *x = row.coefficients.advance(x0, 0, *x, 0);
                }
            }
            let scheduler = scheduler(shift, spacing);
            let float = FloatRun {
                scheduler: &scheduler,
                precision: Precision::F64,
                steps: steps as usize,
                prev: PreviousRule::List,
                method: Method::FlowEuler,
                clip: float_clip,
                eta: 0.0,
            };
            let network = |x: &[f64], time: f64| {
                let pairs = x.iter().zip(&means);
                Ok::<_, ScheduleError>(pairs.map(|(x, mean)| velocity(*x, time / 1000.0, *mean)).collect())
            };
            let expected = float
                .sample(
                    start.iter().map(|x| f64::from(*x) / ONE_Q24).collect(),
                    network,
                    |_| Ok(vec![]),
                    |shown| assert!(shown.unit >= 1.0 && shown.unit < 1.4143),
                )
                .expect("the run is valid");
            let errors = fixed
                .iter()
                .zip(expected)
                .map(|(x, e)| (f64::from(*x) / ONE_Q24 - e).abs());
            worst = errors.fold(worst, f64::max);
        }
    }
    println!("largest error of a run: {worst:e}");
    // The network is told the timestep to half a unit of Q16.
    assert!(worst < 1e-5, "{worst:e}");
}

#[test]
fn runs_have_the_same_bits_everywhere_and_planned() {
    let image: Vec<i32> = (0..16).map(|i| (i - 8) << 20).collect();
    let known: Vec<i32> = (0..16)
        .map(|i| if i % 3 == 0 { UNKNOWN } else { (i - 8) << 20 })
        .collect();
    for (form, shift) in Form::ALL.into_iter().zip([1.0, 3.0, 1.0, 0.5, 7.25]) {
        let memory = model(form, shift);
        let model = Model::parse(memory.bytes()).expect("a valid model");
        let plain = config(&model, 7);
        let guided = Config {
            guidance_q16: Some(2 << 16),
            clip: Clip::Stock,
            ..plain
        };
        let linspace = Config {
            spacing: Spacing::Linspace,
            ..plain
        };
        for config in [plain, guided, linspace] {
            let from = Start::Image {
                image_q24: &image,
                strength_q16: 60_000,
            };
            let between = Start::Between {
                second: 9,
                part_q16: 20_000,
            };
            let starts = [
                (Start::Seed, None),
                (Start::Seed, Some(known.as_slice())),
                (from, None),
                (between, None),
            ];
            let file = planned(memory.bytes(), &config).expect("the run can be planned");
            let copy = AlignedBytes::copy_of(&file);
            let held = Model::parse(copy.bytes()).expect("a valid file");
            assert!(Feature::Continuous.needed_by(&held) && !Feature::Schedule.needed_by(&held));
            assert_eq!(held.schedule().len(), 7 * 44);
            for (start, known) in starts {
                let digests = everywhere(memory.bytes(), &config, &start, known);
                assert_eq!(everywhere(copy.bytes(), &config, &start, known), digests, "planned");
            }
        }
    }
}

#[test]
fn what_does_not_fit_flow_matching_is_refused() {
    let memory = model(Form::W8A8, 1.0);
    let model = Model::parse(memory.bytes()).expect("a valid model");
    let plain = config(&model, 5);
    assert_eq!(plain.method, Method::FlowEuler);
    let oracle = Oracle::new(memory.bytes()).expect("the model is valid");
    let refused = |config: Config| {
        let error = config.validate(model.header()).err();
        let run = oracle.run(&request(&config), &start_of(&Start::Seed), &mut |_| ());
        assert_eq!(run.is_err(), error.is_some(), "the oracle's answer to {config:?}");
        error
    };
    assert_eq!(refused(plain), None);
    let continuous = |method: &Method| method.entry().levels.are_continuous();
    for method in Method::ALL.into_iter().filter(|method| !continuous(method)) {
        assert_eq!(
            refused(Config { method, ..plain }),
            Some(RunError::Levels),
            "{method:?}"
        );
    }
    for spacing in [Spacing::Leading, Spacing::Quadratic] {
        assert_eq!(refused(Config { spacing, ..plain }), Some(RunError::Levels));
    }
    let prev = PrevRule::Diffusers;
    assert_eq!(refused(Config { prev, ..plain }), Some(RunError::Levels));
    assert_eq!(refused(Config { eta_q16: 1, ..plain }), Some(RunError::EtaElsewhere));
    let other = AlignedBytes::copy_of(&synthetic::model(Form::W8A8));
    let other = Model::parse(other.bytes()).expect("a valid model");
    let elsewhere = Config {
        method: Method::FlowEuler,
        ..Config::of(other.header(), 5)
    };
    assert_eq!(
        Config {
            class: Some(1),
            ..elsewhere
        }
        .validate(other.header()),
        Err(RunError::Levels)
    );
}
