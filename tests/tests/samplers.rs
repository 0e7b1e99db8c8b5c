//! The samplers' coefficients in fixed point, and whole runs of them, against the equations in `f64`.
//!
//! Data are Gaussian (variance `V`, the mean differing by element), for which the ideal network is known,
//! `E[x0 | x] = (sqrt(ab) V x + (1 - ab) m) / (ab V + 1 - ab)`, and the probability-flow ODE too:
//! `(x - sqrt(ab) m) / sqrt(ab V + 1 - ab)` does not change along it.

use mote_graph::float::ddim::Clip as FloatClip;
use mote_graph::float::samplers::{BySample, Weights, ancestral, euler, multistep};
use mote_graph::schedule;
use mote_graph::schedule::{Precision, PreviousRule, Schedule, ScheduleError, SchedulerConfig, Transition};
use mote_runtime::Method;
use mote_runtime::internals::numeric::normal::normal_q24;
use mote_runtime::internals::sampler::Variance;
use mote_runtime::internals::schedule::coefficients::{Clip, Prediction, StepCoefficients, ddim};
use mote_runtime::internals::schedule::consistency::consistency;
use mote_runtime::internals::schedule::ddpm::ddpm as fixed_ddpm;
use mote_runtime::internals::schedule::dpm_solver::dpm_solver_2m;
use mote_runtime::internals::schedule::heun::{heun_corrector, heun_predictor};

const ONE: f64 = (1u64 << 24) as f64;
const ONE_Q62: u64 = 1 << 62;
const V: f64 = 0.25;
const ELEMENTS: u32 = 32;
const METHODS: [Method; 5] = [
    Method::Ddpm(Variance::Small),
    Method::Ddpm(Variance::Large),
    Method::DpmSolver2M,
    Method::Heun,
    Method::Consistency,
];

fn q62(ab: f64) -> u64 {
    ((ab * ONE_Q62 as f64) as u64).min(ONE_Q62)
}

fn means() -> Vec<f64> {
    (0..ELEMENTS).map(|e| f64::from(e) / 16.0 - 1.0).collect()
}

/// The ideal network's clean sample.
fn clean(ab: f64, x: f64, mean: f64) -> f64 {
    (ab.sqrt() * V * x + (1.0 - ab) * mean) / (ab * V + 1.0 - ab)
}

/// What a network that predicts `prediction` says of it.
fn output(prediction: Prediction, ab: f64, x: f64, mean: f64) -> f64 {
    let (s, n, x0) = (ab.sqrt(), (1.0 - ab).sqrt(), clean(ab, x, mean));
    let eps = (x - s * x0) / n;
    match prediction {
        Prediction::Epsilon => eps,
        Prediction::V => s * eps - n * x0,
        Prediction::Sample => x0,
        _ => unreachable!("such networks have samplers of their own"),
    }
}

fn schedules() -> [(&'static str, SchedulerConfig, Schedule); 2] {
    ["linear", "squaredcos_cap_v2"].map(|name| {
        let text = format!(r#"{{"_class_name": "DDIMScheduler", "beta_schedule": "{name}"}}"#);
        let config = SchedulerConfig::parse("test", &text).expect("a valid configuration");
        let table = Schedule::new(&config, Precision::F64).expect("a valid schedule");
        (name, config, table)
    })
}

/// A fixed-point run from level to level, the last one included, each sampler asking the ideal network about its own state.
struct Fixed<'a> {
    /// Cumulative alphas where the network is asked, then that at which the run ends.
    levels: &'a [u64],
    method: Method,
    prediction: Prediction,
    clip: Clip,
    /// Timesteps end: the last step has nothing to ask about.
    to_the_end: bool,
}

impl Fixed<'_> {
    fn run(&self, mut x: Vec<i32>) -> Vec<i32> {
        let mut held = vec![0; x.len()];
        for (index, pair) in self.levels.windows(2).enumerate() {
            let before = index.checked_sub(1).map(|i| self.levels[i]);
            let (p, c, last) = (self.prediction, self.clip, index + 2 == self.levels.len());
            let first = match self.method {
                Method::Ddim => ddim(pair[0], pair[1], 0, p, c),
                Method::Ddpm(variance) => fixed_ddpm(pair[0], pair[1], variance, p, c),
                Method::DpmSolver2M => dpm_solver_2m(before, pair[0], pair[1], p, c),
                Method::Heun => heun_predictor(pair[0], pair[1], p, c),
                Method::Consistency => consistency(pair[0], pair[1], p, c),
                _ => unreachable!("it has no cumulative alphas"),
            };
            self.advance(&first, pair[0], index as u32, &mut x, &mut held);
            if self.method == Method::Heun && !(self.to_the_end && last) {
                let second = heun_corrector(pair[0], pair[1], p, c);
                self.advance(&second, pair[1], index as u32, &mut x, &mut held);
            }
        }
        x
    }

    fn advance(&self, step: &StepCoefficients, level: u64, index: u32, x: &mut [i32], held: &mut [i32]) {
        let ab = level as f64 / ONE_Q62 as f64;
        for (i, ((x, held), mean)) in x.iter_mut().zip(held).zip(means()).enumerate() {
            let out = (output(self.prediction, ab, f64::from(*x) / ONE, mean) * ONE).round() as i32;
            if self.method == Method::Ddim {
                *x = step.apply(*x, out, 0, 1 << 24);
                continue;
            }
            let z = if self.method.draws(0) {
                normal_q24(5, index + 1, i as u32)
            } else {
                0
            };
            let x0 = step.predicted_x0(*x, out, 1 << 24);
            let before = std::mem::replace(held, x0);
            *x = step.advance(x0, before, *x, z);
        }
    }
}

fn start() -> Vec<i32> {
    (0..ELEMENTS).map(|i| normal_q24(5, 0, i)).collect()
}

/// The coefficients as real numbers, in the order (x0, held, x, z).
fn values(step: &StepCoefficients) -> [f64; 4] {
    step.step
        .mant()
        .map(|m| f64::from(m) / 2f64.powi(step.step.shift().into()))
}

/// Largest distance of a coefficient from `w`, in parts of the largest one (or of 1).
fn distance(step: &StepCoefficients, w: Weights) -> f64 {
    let expected = [w.sample, w.kept, w.state, w.sigma];
    let scale = expected.iter().fold(1.0, |most: f64, v| most.max(v.abs()));
    let errors = values(step).into_iter().zip(expected).map(|(a, b)| (a - b).abs());
    errors.fold(0.0, f64::max) / scale
}

#[test]
fn coefficients_are_the_papers() {
    let mut worst = [0f64; 4];
    for (_, _, table) in schedules() {
        let ab = |t: usize| table.alphas_cumprod[t];
        for stride in [1, 7, 20, 50, 200, 499] {
            for t in (stride..1000 - stride).step_by(3) {
                let (before, now, next) = (ab(t + stride), ab(t), ab(t - stride));
                let [b, n, e] = [before, now, next].map(q62);
                let (p, c) = (Prediction::Epsilon, Clip::Off);
                let variances = [Variance::Small, Variance::Large];
                let ancestral = variances.map(|v| distance(&fixed_ddpm(n, e, v, p, c), ancestral(now, next, v)));
                let second_order = dpm_solver_2m(Some(b), n, e, p, c);
                let predictor = heun_predictor(n, e, p, c);
                let errors = [
                    ancestral[0].max(ancestral[1]),
                    distance(&second_order, multistep(Some(before), now, next)),
                    distance(&dpm_solver_2m(None, n, e, p, c), multistep(None, now, next)),
                    distance(&predictor, euler(now, next)),
                ];
                for (worst, error) in worst.iter_mut().zip(errors) {
                    *worst = worst.max(error);
                }
            }
        }
    }
    println!("ancestral, 2M, its first order, Euler: {worst:?}");
    // A coefficient is rounded to 30 bits of the largest: 4.7e-10, and 2M's logarithms add theirs.
    assert!(worst.iter().all(|&error| error < 2e-9), "{worst:?}");
}

/// Errors at the end of the ODE from lambda -4 to 2, for doubling numbers of steps of equal length in lambda.
fn errors(method: Method) -> Vec<f64> {
    let alpha = |lambda: f64| 1.0 / (1.0 + (-2.0 * lambda).exp());
    let run = |steps: i32| {
        let at = |i: i32| alpha(-4.0 + 6.0 * f64::from(i) / f64::from(steps));
        let levels: Vec<u64> = (0..=steps).map(|i| q62(at(i))).collect();
        let (prediction, clip) = (Prediction::Epsilon, Clip::Off);
        let fixed = Fixed {
            levels: &levels,
            method,
            prediction,
            clip,
            to_the_end: false,
        };
        let deviation = |ab: f64| (ab * V + 1.0 - ab).sqrt();
        let (first, last) = (at(0), at(steps));
        let ends = fixed.run(start()).into_iter().zip(start()).zip(means());
        let error = ends.map(|((x, x_start), mean)| {
            let z = (f64::from(x_start) / ONE - first.sqrt() * mean) / deviation(first);
            (f64::from(x) / ONE - (last.sqrt() * mean + deviation(last) * z)).abs()
        });
        error.fold(0.0, f64::max)
    };
    [16, 32, 64, 128].map(run).to_vec()
}

#[test]
fn ddim_is_of_first_order_and_the_others_of_second() {
    for (method, order) in [(Method::Ddim, 1.0), (Method::DpmSolver2M, 2.0), (Method::Heun, 2.0)] {
        let errors = errors(method);
        let orders: Vec<f64> = errors.windows(2).map(|pair| (pair[0] / pair[1]).log2()).collect();
        let shown: Vec<String> = errors.iter().map(|error| format!("{error:.2e}")).collect();
        println!("{method:?}: errors {}, orders {orders:.2?}", shown.join(" "));
        let last = orders[orders.len() - 1];
        assert!((last - order).abs() < 0.2, "{method:?}: {orders:?}");
    }
}

#[test]
fn whole_runs_stay_by_those_in_f64() {
    for (name, mut config, table) in schedules() {
        for (count, method) in [10, 50, 1000].into_iter().flat_map(|n| METHODS.map(|m| (n, m))) {
            config.timestep_spacing = schedule::Spacing::Trailing;
            let steps = config
                .steps(count, PreviousRule::List)
                .expect("a valid number of steps");
            let mut levels: Vec<u64> = steps.iter().map(|s| q62(table.alphas_cumprod[s.timestep])).collect();
            levels.push(ONE_Q62);
            let mut worst = [0f64; 2];
            for (clip, float_clip) in [
                (Clip::Off, FloatClip::Off),
                (Clip::Stock, FloatClip::Stock { range: 1.0 }),
            ] {
                for (prediction, float) in [
                    (Prediction::Epsilon, schedule::Prediction::Epsilon),
                    (Prediction::V, schedule::Prediction::Velocity),
                    (Prediction::Sample, schedule::Prediction::Sample),
                ] {
                    let fixed = Fixed {
                        levels: &levels,
                        method,
                        prediction,
                        clip,
                        to_the_end: true,
                    };
                    let expected = in_f64(&table, &steps, float, float_clip, method);
                    let found = fixed.run(start());
                    let error = found.iter().zip(expected).map(|(x, e)| (f64::from(*x) / ONE - e).abs());
                    let slot = &mut worst[usize::from(prediction != Prediction::Epsilon)];
                    *slot = error.fold(*slot, f64::max);
                }
            }
            println!(
                "{name}, {count} steps, {method:?}: epsilon {:.1e}, v and sample {:.1e}",
                worst[0], worst[1]
            );
            // Under epsilon x0 is the state times 2e4 at a cosine schedule's first step: half a unit of Q24 is 6e-4 of it.
            let bound = if name == "linear" { 5e-6 } else { 1e-4 };
            assert!(
                worst[0] < bound && worst[1] < 1e-5,
                "{name} {count} {method:?}: {worst:?}"
            );
        }
    }
}

fn in_f64(
    table: &Schedule,
    steps: &[Transition],
    p: schedule::Prediction,
    clip: FloatClip,
    method: Method,
) -> Vec<f64> {
    let sampler = BySample {
        schedule: table,
        steps,
        prediction: p,
        clip,
        method,
    };
    let real = |v: Vec<i32>| v.into_iter().map(|v| f64::from(v) / ONE).collect::<Vec<f64>>();
    let device = match p {
        schedule::Prediction::Epsilon => Prediction::Epsilon,
        schedule::Prediction::Velocity => Prediction::V,
        schedule::Prediction::Sample => Prediction::Sample,
    };
    let network = |x: &[f64], t: usize| {
        let ab = table.alphas_cumprod[t];
        Ok::<_, ScheduleError>(
            x.iter()
                .zip(means())
                .map(|(x, mean)| output(device, ab, *x, mean))
                .collect(),
        )
    };
    let noise = |index: usize| {
        Ok(real(
            (0..ELEMENTS).map(|i| normal_q24(5, index as u32 + 1, i)).collect(),
        ))
    };
    sampler
        .sample(real(start()), network, noise, |_| ())
        .expect("the schedule allows it")
}

/// With the posterior's variance the ancestral step is DDIM's at eta = 1, but for the order of roundings.
#[test]
fn ancestral_is_ddim_at_eta_one() {
    for (_, _, table) in schedules() {
        for (t, next) in (1..1000).step_by(13).map(|t| (t, t / 2)) {
            let [now, next] = [t, next].map(|t| q62(table.alphas_cumprod[t]));
            for prediction in [Prediction::V, Prediction::Sample] {
                let one = ddim(now, next, 1 << 16, prediction, Clip::Rederived);
                let other = fixed_ddpm(now, next, Variance::Small, prediction, Clip::Stock);
                for i in 0..50 {
                    let [x, out, z] = [0, 1, 2].map(|stream| normal_q24(9, stream, i));
                    let x0 = other.predicted_x0(x, out, 1 << 24);
                    let distance = one.apply(x, out, z, 1 << 24).abs_diff(other.advance(x0, 0, x, z));
                    assert!(distance <= 1, "{t}: {distance} units apart");
                }
            }
        }
    }
}

/// Any alphas and any values give something within the state's range, and equal alphas nothing new.
#[test]
fn every_step_is_total() {
    let alphas = [0, 1, 1 << 30, 1 << 45, 1 << 61, ONE_Q62 - 1, ONE_Q62, u64::MAX];
    let extremes = [i32::MIN, -(1 << 24), 0, 1, i32::MAX];
    let predictions = [Prediction::Epsilon, Prediction::V, Prediction::Sample];
    for (now, next) in alphas.into_iter().flat_map(|a| alphas.map(|b| (a, b))) {
        for (p, c) in predictions.into_iter().flat_map(|p| [(p, Clip::Off), (p, Clip::Stock)]) {
            let mut steps = alphas
                .map(|before| dpm_solver_2m(Some(before), now, next, p, c))
                .to_vec();
            steps.extend([Variance::Small, Variance::Large].map(|v| fixed_ddpm(now, next, v, p, c)));
            steps.extend([heun_predictor(now, next, p, c), heun_corrector(now, next, p, c)]);
            for step in &steps {
                for (x, other) in extremes.into_iter().flat_map(|x| extremes.map(|other| (x, other))) {
                    let x0 = step.predicted_x0(x, other, 1 << 24);
                    assert!(step.advance(x0, other, x, other).unsigned_abs() <= 1 << 30);
                }
            }
            if now == next && (1 << 30..ONE_Q62).contains(&now) {
                let euler = heun_predictor(now, next, p, c);
                assert_eq!(euler.advance(123, 0, 4567, 0), 4567, "{now:#x} {p:?}");
                let ancestral = fixed_ddpm(now, next, Variance::Large, p, c);
                assert_eq!(ancestral.advance(123, 0, 4567, 1 << 24), 4567, "{now:#x} {p:?}");
            }
        }
    }
}
