//! A network as what it says about the clean image, the noise and the noise's derivative, at any noise level.
//!
//! What the network was trained to predict is turned into x0 or epsilon here, once; evaluations know neither.

use crate::float::{Conditions, Executor, FloatError};
use crate::schedule::{Levels, Prediction, Schedule, ScheduleError, SchedulerConfig, Variance, alpha_sigma};
use thiserror::Error;

/// Why a network cannot be evaluated.
#[derive(Debug, Error)]
pub enum PredictorError {
    /// The network cannot be run.
    #[error(transparent)]
    Float(#[from] FloatError),
    /// The schedule does not allow it.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// The network's output is neither a prediction nor one with variances.
    #[error(
        "the network gives {found} channels for {expected}: the prediction alone, or with variance_type learned_range twice as many"
    )]
    Channels {
        /// Channels of the sample.
        expected: usize,
        /// Channels of the output.
        found: usize,
    },
}

/// What the network says about a batch at training timesteps.
#[derive(Debug, Clone, PartialEq)]
pub struct Predicted {
    /// The clean samples.
    pub x0: Vec<f64>,
    /// Where between the two fixed variances the network puts its own, 0 to 1 an element; empty where they are fixed.
    pub fraction: Vec<f64>,
}

/// Noise predicted for a batch, and how much of its change is along given directions.
#[derive(Debug, Clone, PartialEq)]
pub struct Divergence {
    /// Epsilon, the batch's size.
    pub noise: Vec<f64>,
    /// `v^T (d epsilon / d x) v`, one a sample.
    pub along: Vec<f64>,
}

/// A network with its schedule.
#[derive(Debug)]
pub struct Predictor<'a> {
    executor: &'a Executor<'a>,
    schedule: Schedule,
    levels: Levels,
    prediction: Prediction,
    variance: Variance,
    shape: [usize; 3],
}

impl<'a> Predictor<'a> {
    /// `executor`'s network, trained under `config`; `schedule` is its table.
    pub fn new(
        executor: &'a Executor<'a>,
        config: &SchedulerConfig,
        schedule: Schedule,
    ) -> Result<Self, PredictorError> {
        let shape = executor.graph().sample_shape();
        let output = executor.graph().output_shape();
        let learned = config.variance == Variance::LearnedRange;
        if output[1..] != shape[1..] || output[0] != shape[0] * (1 + usize::from(learned)) {
            return Err(PredictorError::Channels {
                expected: shape[0],
                found: output[0],
            });
        }
        Ok(Self {
            executor,
            levels: Levels::new(&schedule)?,
            schedule,
            prediction: config.prediction_type,
            variance: config.variance,
            shape,
        })
    }

    /// Elements of a sample.
    #[must_use]
    pub fn dims(&self) -> usize {
        self.shape.iter().product()
    }

    /// `(channel, row, col)` of a sample.
    #[must_use]
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// The schedule's table.
    #[must_use]
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Its noise levels.
    #[must_use]
    pub fn levels(&self) -> &Levels {
        &self.levels
    }

    /// Variance of the reverse process, as the checkpoint says.
    #[must_use]
    pub fn variance(&self) -> Variance {
        self.variance
    }

    /// x0 of samples `x`, each at its own training timestep, unclipped; `given` as the network takes it.
    pub fn x0<'c>(
        &self,
        x: &[f64],
        timesteps: &[usize],
        given: impl Into<Conditions<'c>>,
    ) -> Result<Predicted, PredictorError> {
        let n = self.dims();
        let output: Vec<f64> = self.executor.run(x, timesteps, given)?;
        let each = output.len() / timesteps.len().max(1);
        let mut predicted = Predicted {
            x0: Vec::with_capacity(x.len()),
            fraction: Vec::with_capacity(output.len() - x.len()),
        };
        for ((x, output), &t) in x.chunks_exact(n).zip(output.chunks_exact(each)).zip(timesteps) {
            let bar = self.schedule.alphas_cumprod.get(t).copied().unwrap_or(0.0);
            let (alpha, sigma) = (libm::sqrt(bar), libm::sqrt(1.0 - bar));
            if alpha == 0.0 && self.prediction == Prediction::Epsilon {
                return Err(self.singular(t, bar).into());
            }
            let one = |(&x, &out): (&f64, &f64)| match self.prediction {
                Prediction::Epsilon => (x - sigma * out) / alpha,
                Prediction::Velocity => alpha * x - sigma * out,
                Prediction::Sample => out,
            };
            predicted.x0.extend(x.iter().zip(output).map(one));
            predicted.fraction.extend(output[n..].iter().map(|v| (v + 1.0) / 2.0));
        }
        Ok(predicted)
    }

    /// The network's own output for samples `x` at one training timestep, without variances.
    pub fn output<'c>(
        &self,
        x: &[f64],
        timestep: usize,
        given: impl Into<Conditions<'c>>,
    ) -> Result<Vec<f64>, PredictorError> {
        let n = self.dims();
        let output: Vec<f64> = self.executor.run(x, &vec![timestep; x.len() / n], given)?;
        let each = output.len() * n / x.len().max(1);
        Ok(output
            .chunks_exact(each.max(1))
            .flat_map(|one| &one[..n])
            .copied()
            .collect())
    }

    /// What the network was trained to predict.
    #[must_use]
    pub fn prediction(&self) -> Prediction {
        self.prediction
    }

    /// Epsilon of samples `x` at level `u` (see [`Levels`]), scaled as variance preserving.
    pub fn noise<'c>(&self, x: &[f64], u: f64, given: impl Into<Conditions<'c>>) -> Result<Vec<f64>, PredictorError> {
        let output = self.executor.run_at(x, &self.times(x, u), given)?;
        Ok(self.epsilon(x, &output, u))
    }

    /// [`Predictor::noise`] and its derivative along `v`, of the size of `x`: one pass forward and one in reverse, since
    /// `v^T J v` is the inner product of `v` with the gradient of `epsilon . v`.
    pub fn divergence<'c>(
        &self,
        x: &[f64],
        v: &[f64],
        u: f64,
        given: impl Into<Conditions<'c>>,
    ) -> Result<Divergence, PredictorError> {
        let n = self.dims();
        let each: usize = self.executor.graph().output_shape().iter().product();
        let [of_output, of_x] = self.weights(u);
        // Epsilon's part of the output; variances have no part in it.
        let direction: Vec<f64> = v
            .chunks_exact(n)
            .flat_map(|v| {
                v.iter()
                    .map(|v| of_output * v)
                    .chain(std::iter::repeat_n(0.0, each - n))
            })
            .collect();
        let (output, gradient) = self.executor.run_back(x, &self.times(x, u), given, &direction)?;
        let along = |(v, gradient): (&[f64], &[f64])| {
            let terms = v.iter().zip(gradient);
            terms.map(|(v, g)| v * (g + of_x * v)).sum()
        };
        Ok(Divergence {
            noise: self.epsilon(x, &output, u),
            along: v.chunks_exact(n).zip(gradient.chunks_exact(n)).map(along).collect(),
        })
    }

    /// The time of level `u`, a sample of `x`.
    fn times(&self, x: &[f64], u: f64) -> Vec<f64> {
        vec![self.levels.timestep(u); x.len() / self.dims()]
    }

    /// Epsilon at level `u` is so much of the network's output and so much of `x`.
    fn weights(&self, u: f64) -> [f64; 2] {
        let (alpha, sigma) = alpha_sigma(u);
        match self.prediction {
            Prediction::Epsilon => [1.0, 0.0],
            Prediction::Velocity => [alpha, sigma],
            Prediction::Sample => [-alpha / sigma, 1.0 / sigma],
        }
    }

    fn epsilon(&self, x: &[f64], output: &[f64], u: f64) -> Vec<f64> {
        let (n, (alpha, sigma)) = (self.dims(), alpha_sigma(u));
        let each = output.len() / (x.len() / n).max(1);
        let one = |(x, out): (&f64, &f64)| match self.prediction {
            Prediction::Epsilon => *out,
            Prediction::Velocity => alpha * out + sigma * x,
            Prediction::Sample => (x - alpha * out) / sigma,
        };
        let samples = x.chunks_exact(n).zip(output.chunks_exact(each.max(1)));
        samples.flat_map(|(x, output)| x.iter().zip(output).map(one)).collect()
    }

    fn singular(&self, timestep: usize, alpha: f64) -> ScheduleError {
        ScheduleError::Singular {
            timestep,
            alpha,
            prediction: self.prediction.name(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;
    use crate::graph::{Builder, Graph, Op, Param, ops};
    use crate::schedule::Precision;

    /// Every way a gradient takes: both strides, normalization, attention, and an upsampled value that is read twice.
    fn network(outputs: usize) -> Graph {
        let mut g = Builder::new();
        let mut param = |key: &str, shape: &[usize]| {
            let count = shape.iter().product::<usize>();
            let data = (0..count)
                .map(|i| (i as f32 * 0.9 + key.len() as f32).sin() * 0.5)
                .collect();
            let shape = shape.to_vec();
            g.param(key, Param { shape, data });
        };
        param("in", &[4, 1, 3, 3]);
        param("time", &[4, 4]);
        param("down", &[4, 4, 3, 3]);
        param("gamma", &[4]);
        param("beta.", &[4]);
        param("twice", &[4, 4, 3, 3]);
        param("output", &[outputs, 8, 1, 1]);
        let conv = |weight: &str, kernel: usize, stride, pad| {
            Op::Conv(ops::Conv::square(weight, None, kernel, stride, [pad; 4]))
        };
        let time = Op::TimeProj(ops::TimeProj {
            dim: 4,
            flip_sin_to_cos: true,
            freq_shift: 0.0,
            max_period: 1e4,
        });
        let norm = ops::Norm::group(2, 1e-5, "gamma".to_string(), "beta.".to_string());
        let t = g.push("t", time, &[]).unwrap();
        let t = g.push("t.linear", conv("time", 1, 1, 0), &[t]).unwrap();
        let x = g.sample([1, 4, 4]).unwrap();
        let x = g.push("in", conv("in", 3, 1, 1), &[x]).unwrap();
        let x = g.push("add", ops::AddChannel, &[x, t]).unwrap();
        let h = g.push("down", conv("down", 3, 2, 1), &[x]).unwrap();
        let h = g.push("norm", norm, &[h]).unwrap();
        let h = g.push("silu", ops::Silu, &[h]).unwrap();
        let h = g.push("attend", ops::Attention { heads: 2 }, &[h, h, h]).unwrap();
        let up = g.push("up", ops::Upsample2, &[h]).unwrap();
        let again = g.push("again", conv("twice", 3, 1, 1), &[h]).unwrap();
        let again = g.push("again.up", ops::Upsample2, &[again]).unwrap();
        let sum = g.push("sum", ops::Add { divisor: 1.0 }, &[up, again]).unwrap();
        let both = g.push("concat", ops::Concat, &[sum, x]).unwrap();
        let out = g.push("out", conv("output", 1, 1, 0), &[both]).unwrap();
        g.finish(out).unwrap()
    }

    fn config(settings: &str) -> SchedulerConfig {
        SchedulerConfig::parse("test", &format!(r#"{{"_class_name": "DDPMScheduler"{settings}}}"#)).unwrap()
    }

    fn predictor<'a>(executor: &'a Executor<'a>, settings: &str) -> Result<Predictor<'a>, PredictorError> {
        let config = config(settings);
        let schedule = Schedule::new(&config, Precision::F64).unwrap();
        Predictor::new(executor, &config, schedule)
    }

    fn ramp(count: usize, rate: f64) -> Vec<f64> {
        (0..count).map(|i| (i as f64 * rate).sin()).collect()
    }

    /// One pass back is the slope along v, sample by sample, for every prediction and between timesteps.
    #[test]
    fn the_derivative_is_the_slope() {
        let graph = network(1);
        let executor = Executor::new(&graph, DType::F64).unwrap();
        let (x, v, u, h) = (ramp(32, 0.61), ramp(32, 1.7), -0.33, 1e-5);
        for prediction in ["epsilon", "v_prediction", "sample"] {
            let predictor = predictor(&executor, &format!(r#", "prediction_type": "{prediction}""#)).unwrap();
            let found = predictor.divergence(&x, &v, u, &[]).unwrap();
            assert_eq!(found.noise, predictor.noise(&x, u, &[]).unwrap());
            let moved = |by: f64| {
                let x: Vec<f64> = x.iter().zip(&v).map(|(x, v)| x + by * v).collect();
                predictor.noise(&x, u, &[]).unwrap()
            };
            let (up, down) = (moved(h), moved(-h));
            for (sample, along) in found.along.iter().enumerate() {
                let range = 16 * sample..16 * (sample + 1);
                let slope: f64 = range.map(|i| v[i] * (up[i] - down[i]) / (2.0 * h)).sum();
                assert!(
                    (slope - along).abs() < 1e-7 * slope.abs().max(1.0),
                    "{prediction}: {slope} {along}"
                );
            }
        }
    }

    /// At a training timestep's own level, x0 and noise say the same of one sample.
    #[test]
    fn x0_and_noise_agree_at_training_timesteps() {
        let graph = network(1);
        let executor = Executor::new(&graph, DType::F64).unwrap();
        let x = ramp(16, 0.61);
        for prediction in ["epsilon", "v_prediction", "sample"] {
            let predictor = predictor(&executor, &format!(r#", "prediction_type": "{prediction}""#)).unwrap();
            let bar: f64 = predictor.schedule().alphas_cumprod[400];
            let noise = predictor.noise(&x, 0.5 * ((1.0 - bar) / bar).ln(), &[]).unwrap();
            let x0 = predictor.x0(&x, &[400], &[]).unwrap().x0;
            let back = x0
                .iter()
                .zip(&noise)
                .map(|(x0, e)| bar.sqrt() * x0 + (1.0 - bar).sqrt() * e);
            assert!(back.zip(&x).all(|(a, b)| (a - b).abs() < 1e-9), "{prediction}");
        }
    }

    #[test]
    fn learned_variances_are_the_second_half_of_the_channels() {
        let graph = network(2);
        let executor = Executor::new(&graph, DType::F64).unwrap();
        assert!(matches!(
            predictor(&executor, ""),
            Err(PredictorError::Channels { expected: 1, found: 2 })
        ));
        let predictor = predictor(&executor, r#", "variance_type": "learned_range""#).unwrap();
        let x = ramp(32, 0.61);
        let output: Vec<f64> = executor.run(&x, &[3, 500], &[]).unwrap();
        let predicted = predictor.x0(&x, &[3, 500], &[]).unwrap();
        assert_eq!(predicted.fraction.len(), 32);
        assert_eq!(predicted.fraction[16], (output[48] + 1.0) / 2.0);
        let alone: Vec<f64> = executor.run(&x[..16], &[3], &[]).unwrap();
        assert_eq!(predictor.output(&x[..16], 3, &[]).unwrap(), alone[..16]);
        assert!(alone.iter().zip(&output).all(|(a, b)| (a - b).abs() < 1e-14));
    }
}
