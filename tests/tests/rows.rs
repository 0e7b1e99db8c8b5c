//! The rows of the samplers on continuous noise levels, and of consistency sampling: they are the equations, and runs by them are the same
//! everywhere. `flow.rs` has Euler's method.

use mote_engine::memory::AlignedBytes;
use mote_graph::float::continuous::levels;
use mote_graph::float::ddim::Clip as FloatClip;
use mote_graph::float::samplers::FloatRun;
use mote_graph::schedule::{Precision, PreviousRule, ScheduleError, SchedulerConfig};
use mote_runtime::internals::model::sampling::Levels;
use mote_runtime::internals::numeric::normal::normal_q24;
use mote_runtime::internals::sampler::UNKNOWN;
use mote_runtime::internals::schedule::coefficients::Clip;
use mote_runtime::internals::schedule::rows::{Row, Rows};
use mote_runtime::internals::schedule::spacing::{PrevRule, Spacing};
use mote_runtime::{Config, Feature, Method, Model, RunError, Start};
use mote_tests::checkpoints::digits;
use mote_tests::running::everywhere;
use mote_tests::synthetic::{self, Form};
use mote_tools::backend::OpenModel;
use mote_tools::convert::{Options, convert};
use mote_tools::emit::planned::planned;
use mote_tools::import::import;
use mote_tools::quantize::scheme::Scheme;
use mote_tools::validate::{FloatDevice, against};
use std::path::Path;

const ONE_Q24: f64 = (1u64 << 24) as f64;
const METHODS: [Method; 5] = [
    Method::FlowEuler,
    Method::FlowHeun,
    Method::FlowMidpoint,
    Method::FlowDpmSolver2M,
    Method::FlowConsistency,
];

/// A model's levels: flow matching with its shift, or EDM's.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Flow(f64),
    Edm,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Flow(1.0), Self::Flow(3.0), Self::Edm];

    fn file(self, form: Form) -> AlignedBytes {
        AlignedBytes::copy_of(&match self {
            Self::Flow(shift) => synthetic::flow(form, shift),
            Self::Edm => synthetic::edm(form),
        })
    }

    fn scheduler(self, spacing: Spacing) -> SchedulerConfig {
        let text = match self {
            Self::Flow(shift) => format!(r#"{{"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": {shift}}}"#),
            Self::Edm => r#"{"_class_name": "EDMEulerScheduler"}"#.to_owned(),
        };
        let mut config = SchedulerConfig::parse("test", &text).expect("a valid configuration");
        config.timestep_spacing = spacing;
        config
    }

    fn signal(self, tau: f64) -> f64 {
        if self == Self::Edm { 1.0 } else { 1.0 - tau }
    }

    fn norm(self, tau: f64) -> f64 {
        self.signal(tau).hypot(tau)
    }

    /// The device's timestep, the factor of the network's input, and x0 over (y, output).
    fn asked(self, tau: f64) -> [f64; 4] {
        let norm = self.norm(tau);
        if self != Self::Edm {
            return [1000.0 * tau, norm, norm, -tau];
        }
        let square = tau * tau + 0.25;
        // The middle of the last step lies below the lowest level: a network is told none below.
        let place = ((tau / 0.002f64).ln() / (80.0 / 0.002f64).ln()).max(0.0);
        [
            1000.0 * place,
            0.5 * norm / square.sqrt(),
            0.25 * norm / square,
            0.5 * tau / square.sqrt(),
        ]
    }

    /// The next state over (x0, kept, y, z) in a call, and the level that it asks about; `None` where there is no call.
    fn step(self, method: Method, before: Option<f64>, [now, next]: [f64; 2], call: u32) -> Option<(f64, [f64; 4])> {
        let (length, middle) = (now - next, (now + next) / 2.0);
        let towards = |to: f64| {
            [
                (now - to) / (now * self.norm(to)),
                to * self.norm(now) / (now * self.norm(to)),
            ]
        };
        let [c, a] = towards(next);
        let last = next == 0.0;
        Some(match (method, call) {
            (Method::FlowHeun, 1) if !last => {
                let h = length / (2.0 * next * self.norm(next));
                (next, [h, -h, 1.0, 0.0])
            }
            (Method::FlowMidpoint, 0) => {
                let [c, a] = towards(middle);
                (now, [c, 0.0, a, 0.0])
            }
            (Method::FlowMidpoint, 1) => {
                let scale = middle * self.norm(next);
                let a = next * self.norm(middle) / scale;
                (middle, [length / scale, -length / 2.0 / scale, a, 0.0])
            }
            (_, 1) => return None,
            (Method::FlowDpmSolver2M, _) => {
                let lambda = |tau: f64| (self.signal(tau) / tau).ln();
                let q = match before.filter(|before| !last && self.signal(*before) > 0.0) {
                    Some(before) => (lambda(next) - lambda(now)) / (2.0 * (lambda(now) - lambda(before))),
                    None => 0.0,
                };
                (now, [c * (1.0 + q), -c * q, a, 0.0])
            }
            (Method::FlowConsistency, _) => {
                let norm = self.norm(next);
                (now, [self.signal(next) / norm, 0.0, 0.0, next / norm])
            }
            _ => (now, [c, 0.0, a, 0.0]),
        })
    }
}

fn config(model: &Model<'_>, method: Method, steps: u32) -> Config {
    Config {
        seed: 5,
        class: Some(1),
        method,
        ..Config::of(model.header(), steps)
    }
}

/// Kinds of levels, steps and spacings.
fn cases() -> impl Iterator<Item = (Kind, u32, Spacing)> {
    let spread = |kind| match kind {
        Kind::Edm => vec![Spacing::Trailing],
        Kind::Flow(_) => vec![Spacing::Trailing, Spacing::Linspace],
    };
    let all = Kind::ALL.into_iter();
    all.flat_map(move |kind| spread(kind).into_iter().map(move |spacing| (kind, spacing)))
        .flat_map(|(kind, spacing)| [1, 2, 4, 10, 50].map(|steps| (kind, steps, spacing)))
}

/// Largest errors of a row: timestep; input, x0 and next state in parts of the largest coefficient; noising.
fn errors(kind: Kind, row: &Row, noising: (i32, i32), (tau, expected): (f64, [f64; 4])) -> [f64; 3] {
    let real = |mant: &[i32], shift: u8| -> Vec<f64> {
        mant.iter()
            .map(|mant| f64::from(*mant) / (1u64 << shift) as f64)
            .collect()
    };
    let within = |found: &[f64], expected: &[f64]| {
        let scale = expected.iter().fold(1.0, |most: f64, v| most.max(v.abs()));
        let errors = found.iter().zip(expected).map(|(a, b)| (a - b).abs() / scale);
        errors.fold(0.0, f64::max)
    };
    let [time, input, x, out] = kind.asked(tau);
    let (sample, step) = (row.coefficients.sample, row.coefficients.step);
    let q30 = |v: i32| f64::from(v) / f64::from(1 << 30);
    let norm = kind.norm(tau);
    let forms = [
        within(&[q30(row.input_q30)], &[input]),
        within(&real(&sample.mant(), sample.shift()), &[x, out]),
        within(&real(&step.mant(), step.shift()), &expected),
    ];
    [
        (f64::from(row.time_q16) / 65_536.0 - time).abs(),
        forms.into_iter().fold(0.0, f64::max),
        within(&[noising.0, noising.1].map(q30), &[kind.signal(tau) / norm, tau / norm]),
    ]
}

#[test]
fn rows_are_the_equations() {
    for kind in Kind::ALL {
        let memory = kind.file(Form::F16);
        let model = Model::parse(memory.bytes()).expect("a valid model");
        for method in METHODS {
            let mut worst = [0f64; 3];
            for (_, steps, spacing) in cases().filter(|case| case.0 == kind) {
                let config = Config {
                    spacing,
                    ..config(&model, method, steps)
                };
                let rows = Rows {
                    model: &model,
                    config: &config,
                };
                let taus = levels(&kind.scheduler(spacing), steps as usize).expect("valid steps");
                for (k, pair) in taus.windows(2).enumerate() {
                    let before = k.checked_sub(1).map(|before| taus[before]);
                    for call in 0..method.calls() {
                        let found = rows.row(k as u32, call, k > 0).expect("it has a row");
                        let noising = rows.noising(k as u32, call);
                        let expected = kind.step(method, before, [pair[0], pair[1]], call);
                        assert_eq!(
                            (found.is_some(), noising.is_some(), rows.time_q16(k as u32, call)),
                            (expected.is_some(), expected.is_some(), found.map(|row| row.time_q16)),
                            "{kind:?} {method:?} {k} of {steps}"
                        );
                        let (Some(row), Some(noising), Some(expected)) = (found, noising, expected) else {
                            continue;
                        };
                        for (worst, error) in worst.iter_mut().zip(errors(kind, &row, noising, expected)) {
                            *worst = worst.max(error);
                        }
                    }
                }
                assert_eq!(rows.row(steps, 0, true), Ok(None));
            }
            println!("{kind:?} {method:?}: timestep, forms, noising {worst:?}");
            // Half a unit of Q16 and a thousand times a level's error. EDM's roots are rounded to Q28: their seventh powers within 4e-8.
            let bounds = if kind == Kind::Edm {
                [2e-5, 1e-7, 1e-7]
            } else {
                [9e-6, 4e-9, 2e-9]
            };
            assert!(
                worst.iter().zip(bounds).all(|(error, bound)| *error < bound),
                "{worst:?}"
            );
        }
    }
}

/// Runs over an ideal network, the fixed-point ones against those in `f64`: data are Gaussian, of deviation 1/2 and a mean for each element.
#[test]
fn whole_runs_stay_by_those_in_f64() {
    const V: f64 = 0.25;
    const ELEMENTS: u32 = 16;
    let means: Vec<f64> = (0..ELEMENTS).map(|i| f64::from(i) / 8.0 - 1.0).collect();
    let clean = |kind: Kind, x: f64, tau: f64, mean: f64| {
        let w = kind.signal(tau);
        mean + w * V * (x - w * mean) / (w * w * V + tau * tau)
    };
    // What the network says of its input.
    let said = |kind: Kind, seen: f64, tau: f64, mean: f64| {
        if kind != Kind::Edm {
            return (seen - clean(kind, seen, tau, mean)) / tau;
        }
        let square = tau * tau + 0.25;
        let x = seen * square.sqrt();
        (clean(kind, x, tau, mean) - 0.25 / square * x) / (0.5 * tau / square.sqrt())
    };
    let normals = |stream: u32| (0..ELEMENTS).map(move |i| normal_q24(5, stream, i));
    for method in METHODS {
        let mut worst = 0f64;
        for (kind, steps, spacing) in cases() {
            let memory = kind.file(Form::F16);
            let model = Model::parse(memory.bytes()).expect("a valid model");
            let level = |time: f64| match kind {
                Kind::Flow(_) => time / 1000.0,
                Kind::Edm => 0.002 * (time / 1000.0 * (80.0 / 0.002f64).ln()).exp(),
            };
            for (clip, float_clip) in [
                (Clip::Off, FloatClip::Off),
                (Clip::Stock, FloatClip::Stock { range: 1.0 }),
            ] {
                let config = Config {
                    spacing,
                    clip,
                    ..config(&model, method, steps)
                };
                let rows = Rows {
                    model: &model,
                    config: &config,
                };
                let (mut fixed, mut kept): (Vec<i32>, _) = (normals(0).collect(), vec![0; ELEMENTS as usize]);
                for (k, call) in (0..steps).flat_map(|k| (0..method.calls()).map(move |call| (k, call))) {
                    let Some(row) = rows.row(k, call, k > 0).expect("it has a row") else {
                        continue;
                    };
                    let tau = level(f64::from(row.time_q16) / 65_536.0);
                    let factor = f64::from(row.input_q30) / f64::from(1 << 30);
                    // The input operator of EDM divides by the data's deviation.
                    let factor = if kind == Kind::Edm { 2.0 * factor } else { factor };
                    let noise: Vec<i32> = normals(k + 1).collect();
                    for (i, x) in fixed.iter_mut().enumerate() {
                        let out = said(kind, factor * f64::from(*x) / ONE_Q24, tau, means[i]);
                        let x0 = row
                            .coefficients
                            .predicted_x0(*x, (out * ONE_Q24).round() as i32, 1 << 24);
                        let before = std::mem::replace(&mut kept[i], x0);
                        let z = if method.draws(0) { noise[i] } else { 0 };
                        *x = row.coefficients.advance(x0, before, *x, z);
                    }
                }
                let scheduler = kind.scheduler(spacing);
                let float = FloatRun {
                    scheduler: &scheduler,
                    precision: Precision::F64,
                    steps: steps as usize,
                    prev: PreviousRule::List,
                    method,
                    clip: float_clip,
                    eta: 0.0,
                };
                let real = |v: i32| f64::from(v) / ONE_Q24;
                let network = |x: &[f64], time: f64| {
                    let pairs = x.iter().zip(&means);
                    Ok::<_, ScheduleError>(pairs.map(|(x, mean)| said(kind, *x, level(time), *mean)).collect())
                };
                // Heun's slope is divided by the level that a step ends at: few steps to a low one leave the device's range.
                let mut widest = 0f64;
                let expected = float
                    .sample(
                        normals(0).map(real).collect(),
                        network,
                        |k| Ok(normals(k as u32 + 1).map(real).collect()),
                        |shown| {
                            let unit = shown.unit;
                            widest = shown.next.iter().fold(widest, |most, x| most.max((unit * x).abs()));
                        },
                    )
                    .expect("the run is valid");
                if widest > 32.0 {
                    assert_eq!(method, Method::FlowHeun);
                    continue;
                }
                let error = fixed.iter().zip(expected).map(|(x, e)| (real(*x) - e).abs());
                worst = error.fold(worst, f64::max);
            }
        }
        println!("{method:?}: largest error of a run {worst:.1e}");
        let bound = if method == Method::FlowHeun { 2e-4 } else { 3e-5 };
        assert!(worst < bound, "{method:?}: {worst:e}");
    }
}

/// On normal data of deviation 1/2, without means, the flow's solution is known: a state keeps its place in the distribution.
#[test]
fn solvers_of_second_order_are() {
    for kind in [Kind::Flow(1.0), Kind::Edm] {
        let scheduler = kind.scheduler(Spacing::Trailing);
        let deviation = |tau: f64| (kind.signal(tau) * 0.5).hypot(tau);
        for (method, order) in [
            (Method::FlowEuler, 1.0),
            (Method::FlowHeun, 2.0),
            (Method::FlowMidpoint, 2.0),
            (Method::FlowDpmSolver2M, 2.0),
        ] {
            let error = |steps: usize| {
                let taus = levels(&scheduler, steps).expect("valid steps");
                let run = FloatRun {
                    scheduler: &scheduler,
                    precision: Precision::F64,
                    steps,
                    prev: PreviousRule::List,
                    method,
                    clip: FloatClip::Off,
                    eta: 0.0,
                };
                // Errors where the last step begins: that goes to no noise, where EDM's are of first order.
                let mut seen = vec![];
                let network = |x: &[f64], time: f64| {
                    let tau = match kind {
                        Kind::Flow(_) => time / 1000.0,
                        Kind::Edm => 0.002 * (time / 1000.0 * (80.0 / 0.002f64).ln()).exp(),
                    };
                    let w = kind.signal(tau);
                    let out = |seen: &f64| {
                        if kind != Kind::Edm {
                            return (seen - w * 0.25 * seen / (w * w * 0.25 + tau * tau)) / tau;
                        }
                        // Exactly: x0 is c_skip x of such data.
                        0.0
                    };
                    Ok::<_, ScheduleError>(x.iter().map(out).collect())
                };
                let start = vec![1.0];
                run.sample(start, network, |_| Ok(vec![]), |shown| seen.push(shown.x[0]))
                    .expect("the run is valid");
                let last = taus[steps - 1];
                let first = seen[0] / deviation(taus[0]);
                (seen[steps - 1] / deviation(last) - first).abs()
            };
            let errors = [64, 128, 256].map(error);
            let found = (errors[1] / errors[2]).log2();
            println!("{kind:?} {method:?}: {errors:?}, order {found:.2}");
            assert!(
                found > order - 0.25,
                "{kind:?} {method:?}: {errors:?}, order {found:.2}"
            );
        }
    }
}

#[test]
fn runs_have_the_same_bits_everywhere_and_planned() {
    let image: Vec<i32> = (0..16).map(|i| (i - 8) << 20).collect();
    let known: Vec<i32> = (0..16)
        .map(|i| if i % 3 == 0 { UNKNOWN } else { (i - 8) << 20 })
        .collect();
    let kinds = [Kind::Flow(3.0), Kind::Edm].into_iter();
    let forms = [Form::W8A8, Form::F16];
    let continuous = kinds.flat_map(|kind| forms.map(|form| (kind.file(form), METHODS.to_vec())));
    let alphas = forms.map(|form| {
        (
            AlignedBytes::copy_of(&synthetic::model(form)),
            vec![Method::Consistency],
        )
    });
    for (memory, methods) in continuous.chain(alphas) {
        let model = Model::parse(memory.bytes()).expect("a valid model");
        for (i, method) in methods.into_iter().enumerate() {
            let plain = config(&model, method, 5);
            let guided = Config {
                guidance_q16: Some(2 << 16),
                clip: Clip::Stock,
                ..plain
            };
            let config = if i % 2 == 0 { plain } else { guided };
            let follows = method.holds_between_steps();
            let from = Start::Image {
                image_q24: &image,
                strength_q16: if follows { 1 << 16 } else { 40_000 },
            };
            let file = planned(memory.bytes(), &config).expect("the run can be planned");
            let copy = AlignedBytes::copy_of(&file);
            let held = Model::parse(copy.bytes()).expect("a valid file");
            assert!(!Feature::Schedule.needed_by(&held) && !Feature::Edm.needed_by(&held));
            assert_eq!(method.feature().map(|feature| feature.needed_by(&held)), Some(true));
            for (start, known) in [(Start::Seed, None), (Start::Seed, Some(known.as_slice())), (from, None)] {
                let digests = everywhere(memory.bytes(), &config, &start, known);
                assert_eq!(everywhere(copy.bytes(), &config, &start, known), digests, "planned");
            }
        }
    }
}

#[test]
fn what_does_not_fit_the_levels_is_refused() {
    let memory = Kind::Edm.file(Form::W8A8);
    let model = Model::parse(memory.bytes()).expect("a valid model");
    assert!(Feature::Edm.needed_by(&model) && Feature::Schedule.needed_by(&model));
    let plain = config(&model, Method::FlowEuler, 5);
    let refused = |config: Config| config.validate(model.header()).err();
    assert_eq!(refused(plain), None);
    for spacing in [Spacing::Leading, Spacing::Linspace, Spacing::Quadratic] {
        assert_eq!(refused(Config { spacing, ..plain }), Some(RunError::Levels));
    }
    let prev = PrevRule::Diffusers;
    assert_eq!(refused(Config { prev, ..plain }), Some(RunError::Levels));
    for method in Method::ALL {
        let fits = method.entry().levels != Levels::Alphas;
        assert_eq!(refused(Config { method, ..plain }), (!fits).then_some(RunError::Levels));
        assert_eq!(
            method.on(Levels::Edm).on(method.entry().levels),
            method.on(method.entry().levels)
        );
    }
}

/// The bundled digits with another scheduler: it says nothing of digits, and all of whether a network of such levels goes through whole.
fn with_scheduler(folder: &Path, scheduler: &str) {
    for part in ["unet", "scheduler"] {
        std::fs::create_dir_all(folder.join(part)).expect("a new folder");
    }
    for file in ["unet/config.json", "unet/diffusion_pytorch_model.safetensors"] {
        std::fs::copy(digits().join(file), folder.join(file)).expect("the bundled checkpoint is there");
    }
    std::fs::write(folder.join("scheduler/scheduler_config.json"), scheduler).expect("a new file");
}

#[test]
fn checkpoints_of_edm_go_through_whole() {
    let folder = tempfile::tempdir().expect("a new folder");
    with_scheduler(
        folder.path(),
        r#"{"_class_name": "EDMEulerScheduler", "sigma_min": 0.01, "sigma_max": 20.0, "sigma_data": 0.5, "num_train_timesteps": 1000}"#,
    );
    let checkpoint = import(folder.path()).expect("it is read");
    assert_eq!(checkpoint.scheduler.levels, Levels::Edm);
    for (scheme, least) in [(Scheme::F16, 55.0), (Scheme::W8A16, 40.0)] {
        let converted = convert(&checkpoint, &Options::of(scheme), &|_| {}).expect("the network converts");
        let memory = AlignedBytes::copy_of(&converted.emitted.bytes);
        let model = Model::parse(memory.bytes()).expect("a valid model");
        let opened = OpenModel {
            model: &model,
            bytes: memory.bytes(),
        };
        for method in METHODS {
            let config = Config {
                method,
                ..Config::of(model.header(), 6)
            };
            let found = against(opened, &checkpoint, &config, &[1, 2, 3, 4], FloatDevice::Cpu, &|| {});
            let found = found.expect("the float network runs").x0_psnr_db_mean;
            println!("{scheme} {method:?}: {found:.1} dB");
            assert!(found >= least, "{scheme} {method:?}: {found:.1} dB, {least} wanted");
        }
    }
}
