//! The binary heartbeat (2015, section 3.1.2): 20 bits, a 1 in every fifth; the binomial chain over it, trained and sampled.

use mote_graph::float::{Call, DType, Executor, FloatError, Passes, PreparedGraph};
use mote_graph::graph::{Builder, Graph, GraphError, Param};
use mote_graph::ops::{Conv, Readout, Silu};
use mote_train::adam::Adam;
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::bayes::Sequences;
use crate::binomial::{Binomial, Span, divergence, entropy, sigmoid};
use crate::bound::{Bound, Entropies, Estimate};
use crate::random::Random;
use crate::{TOGETHER, named_input, rate, transposed};

/// Bits of a sequence.
pub const LENGTH: usize = 20;
/// A 1 in each of so many bins.
pub const PERIOD: usize = 5;
/// Steps of the paper's chain.
pub const STEPS: usize = 2000;
/// Probability of a 1 in equilibrium.
pub const PRIOR: f64 = 0.2;

/// The five sequences.
pub fn data() -> Sequences {
    let row = |phase| (0..LENGTH).map(|i| i % PERIOD == phase).collect();
    Sequences {
        rows: (0..PERIOD).map(row).collect(),
    }
}

/// Whether a sequence is one of the five.
pub fn is_valid(x: &[bool]) -> bool {
    data().rows.iter().any(|row| row == x)
}

/// First steps of the groups that share a readout: each group is a tenth of its step's number long, but no longer than a fortieth of T.
///
/// The first group is step 1, whose kernel is fixed: its readout is zero.
pub fn groups(steps: usize) -> Vec<usize> {
    let next = |from: usize| from + (from / 10).clamp(1, (steps / 40).max(1));
    std::iter::successors(Some(1), |&from| Some(next(from)))
        .take_while(|&from| from <= steps)
        .collect()
}

/// Channels of the hidden layers, the input's first.
const WIDTHS: [usize; 4] = [LENGTH, 50, 50, 50];

/// Keys of the readouts' tensors.
const WEIGHT: &str = "readout.weight";
const BIAS: &str = "readout.bias";

/// Updates between two reports of [`Heartbeat::train`].
const SHOWN_EVERY: usize = 20;

/// The chain and its network.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    /// Forward process.
    pub chain: Binomial,
    /// First steps of the groups. The readout of the first group is 0.
    pub groups: Vec<usize>,
    /// Bits as -1 and 1 in, [`Binomial::reverse`]'s f out: linear layers with SiLU between, and a readout a group.
    pub graph: Graph,
}

/// How to train.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Options {
    /// Seed of weights and batches.
    pub seed: u64,
    /// Optimizer steps.
    pub updates: usize,
    /// Examples of each group in a batch.
    pub per_group: usize,
    /// Largest step size.
    pub rate: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 0,
            updates: 4000,
            per_group: 16,
            rate: 3e-3,
        }
    }
}

/// Where training stands.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Progress {
    /// Updates done.
    pub update: usize,
    /// What the batch says of the divergences' sum above the best that is possible, bits.
    pub excess_bits: f64,
}

impl Heartbeat {
    /// An untrained chain of `steps` steps: random hidden layers, and readouts of 0.
    pub fn new(steps: usize, seed: u64) -> Result<Self, GraphError> {
        let groups = groups(steps);
        let mut random = Random::new(seed, 0);
        let mut b = Builder::new();
        let mut last = b.sample([LENGTH, 1, 1])?;
        for (i, widths) in WIDTHS.windows(2).enumerate() {
            let (ins, outs) = (widths[0], widths[1]);
            let size = libm::sqrt(2.0 / ins as f64);
            let drawn: Vec<f32> = (0..ins * outs).map(|_| (random.normal() * size) as f32).collect();
            let name = format!("hidden.{i}");
            let keys = [format!("{name}.weight"), format!("{name}.bias")];
            b.param(&keys[0], param(&[outs, ins], transposed(&drawn, [ins, outs])));
            b.param(&keys[1], param(&[outs], vec![0.0; outs]));
            let [weight, bias] = keys;
            let linear = b.push(&name, Conv::linear(weight, Some(bias)), &[last])?;
            last = b.push(&format!("{name}.act"), Silu, &[linear])?;
        }
        let (count, width) = (groups.len(), WIDTHS[WIDTHS.len() - 1]);
        b.param(
            WEIGHT,
            param(&[count, LENGTH, width], vec![0.0; count * LENGTH * width]),
        );
        b.param(BIAS, param(&[count, LENGTH], vec![0.0; count * LENGTH]));
        let readout = Readout {
            weight: WEIGHT.to_owned(),
            bias: BIAS.to_owned(),
            first: groups.iter().map(|step| step - 1).collect(),
        };
        let out = b.push("readout", readout, &[last])?;
        Ok(Self {
            chain: Binomial::linear(steps, PRIOR),
            groups,
            graph: named_input(b.finish(out)?),
        })
    }

    /// Group of step t, counted from the first that has a readout; `None` for step 1.
    pub fn group(&self, t: usize) -> Option<usize> {
        self.groups.partition_point(|&from| from <= t).checked_sub(2)
    }

    /// Trains by Adam on the bound. What is minimized is the divergence to the reverse kernel averaged over everything that x_0
    /// may be given x_t, which the five sequences make exact: the same expectation as over drawn x_0, with less noise.
    ///
    /// Stops early when `limit` has passed, at the learning rate's end all the same. Gives the number of updates.
    pub fn train(
        &mut self,
        options: &Options,
        limit: Option<Duration>,
        on: &mut dyn FnMut(Progress),
    ) -> Result<usize, FloatError> {
        let (data, start) = (data(), Instant::now());
        let network = PreparedGraph::new(&self.graph)?;
        let mut passes = Passes::<f32>::of_shards(TOGETHER);
        let mut params = network.layout().values_of(&self.graph);
        let mut adam = Adam::<f32>::new(params.len());
        let mut gradient = vec![0f32; params.len()];
        let mut random = Random::new(options.seed, 1);
        let mut done = 0;
        for update in 0..options.updates {
            let spent = limit.map_or(0.0, |l| start.elapsed().as_secs_f64() / l.as_secs_f64());
            let at = spent.max(update as f64 / options.updates as f64);
            if at >= 1.0 {
                break;
            }
            let batch = self.batch(&data, options.per_group, &mut random);
            let inputs: Vec<f32> = batch.iter().flat_map(|e| e.x.map(signed)).collect();
            let timesteps: Vec<usize> = batch.iter().map(|e| e.t - 1).collect();
            done = update + 1;
            let measured = done.is_multiple_of(SHOWN_EVERY) || done == options.updates;
            let call = Call {
                x: &inputs,
                timesteps: &timesteps,
                labels: &[],
                condition: &[],
            };
            let loss = |rows: Range<usize>, f: &[f32], slopes: &mut [f32]| {
                let each = f.chunks(LENGTH).zip(slopes.chunks_mut(LENGTH));
                let each = batch[rows].iter().zip(each);
                each.map(|(e, (f, slopes))| self.excess(e, f, slopes, measured)).sum()
            };
            let excess = passes.gradient(&network, &params, call, &loss, &mut gradient)?;
            adam.update(&mut params, &gradient, update as u64, rate(options.rate, at), 0.0);
            if measured {
                on(Progress {
                    update: done,
                    excess_bits: excess / super::LN_2,
                });
            }
        }
        network.layout().store(&params, &mut self.graph);
        Ok(done)
    }

    /// The divergence of an example's bits above the best possible in nats, where that is `measured`, and its gradient by the network's f.
    fn excess(&self, e: &Example, f: &[f32], slopes: &mut [f32], measured: bool) -> f64 {
        let mut excess = 0.0;
        for i in 0..LENGTH {
            let ([zero, one], by_f) = self.chain.reverse_weights(Span::last(e.t), e.x[i], f[i].into());
            slopes[i] = (e.weight * (one / (zero + one) - e.target[i]) * by_f) as f32;
            if measured {
                excess += e.weight * divergence(e.target[i], libm::log(one / zero));
            }
        }
        excess
    }

    /// Examples of every group with a readout, one group after the other. Weights are such that their sum is the bound's.
    fn batch(&self, data: &Sequences, per_group: usize, random: &mut Random) -> Vec<Example> {
        let ends = self.groups[1..].iter().skip(1).copied().chain([self.chain.steps() + 1]);
        let mut batch = Vec::new();
        for (from, end) in self.groups[1..].iter().copied().zip(ends) {
            for _ in 0..per_group {
                let t = from + random.below(end - from);
                let x0 = &data.rows[random.below(data.rows.len())];
                let mut x = [false; LENGTH];
                for (x, x0) in x.iter_mut().zip(x0) {
                    *x = random.uniform() < self.chain.marginal(t, *x0);
                }
                batch.push(Example {
                    t,
                    target: self.target(data, t, &x),
                    x,
                    weight: (end - from) as f64 / per_group as f64,
                });
            }
        }
        batch
    }

    /// `q(x_{t-1} = 1 | x_t)` of every bit.
    fn target(&self, data: &Sequences, t: usize, x: &[bool; LENGTH]) -> [f64; LENGTH] {
        let weights = data.posterior(&self.chain, t, x);
        let kernel = [false, true].map(|x| [false, true].map(|x0| self.chain.posterior(Span::last(t), x, x0)));
        core::array::from_fn(|i| {
            let rows = data.rows.iter().zip(&weights);
            rows.map(|(row, w)| w * kernel[usize::from(x[i])][usize::from(row[i])])
                .sum()
        })
    }

    /// The bound, from `draws` pairs (x_0, x_t) of every step.
    pub fn bound(&self, draws: usize, seed: u64) -> Result<Bound, FloatError> {
        let network = Executor::new(&self.graph, DType::F32)?;
        bound(&self.chain, draws, seed, |t, x| outputs(&network, t, x.iter()))
    }

    /// `count` samples of the reverse process; `factor[i]` is added to the log odds of bit i in every step ([`super::condition`]).
    pub fn sample(&self, count: usize, seed: u64, factor: &[f64; LENGTH]) -> Result<Vec<[bool; LENGTH]>, FloatError> {
        self.trajectory(count, seed, factor, &mut |_, _| {})
    }

    /// As [`Heartbeat::sample`]; shows the state before the first step as step T, and after each as the one it reached.
    pub fn trajectory(
        &self,
        count: usize,
        seed: u64,
        factor: &[f64; LENGTH],
        on: &mut dyn FnMut(usize, &[[bool; LENGTH]]),
    ) -> Result<Vec<[bool; LENGTH]>, FloatError> {
        let mut random = Random::new(seed, 2);
        let odds = libm::log(PRIOR / (1.0 - PRIOR));
        let mut draw = |logit: f64| random.uniform() < sigmoid(logit);
        let mut x: Vec<[bool; LENGTH]> = (0..count)
            .map(|_| core::array::from_fn(|i| draw(odds + factor[i])))
            .collect();
        on(self.chain.steps(), &x);
        let network = Executor::new(&self.graph, DType::F32)?;
        let mut f = vec![0f32; count * LENGTH];
        let mut moved: Vec<usize> = (0..count).collect();
        for t in (1..=self.chain.steps()).rev() {
            // Few bits move in a step: where the readout stays, only what moved goes through the network again.
            if t == self.chain.steps() || self.group(t) != self.group(t + 1) {
                moved = (0..count).collect();
            }
            let new = outputs(&network, t, moved.iter().map(|row| &x[*row]))?;
            for (row, new) in moved.iter().zip(new.chunks_exact(LENGTH)) {
                f[row * LENGTH..][..LENGTH].copy_from_slice(new);
            }
            moved.clear();
            for (row, (x, f)) in x.iter_mut().zip(f.chunks(LENGTH)).enumerate() {
                let before = *x;
                for i in 0..LENGTH {
                    x[i] = draw(self.chain.reverse(Span::last(t), x[i], f[i].into()).0 + factor[i]);
                }
                if *x != before {
                    moved.push(row);
                }
            }
            on(t - 1, &x);
        }
        Ok(x)
    }
}

fn param(shape: &[usize], data: Vec<f32>) -> Param {
    Param {
        shape: shape.to_vec(),
        data,
    }
}

/// The network's f of every bit for rows of bits at step t.
fn outputs<'a>(
    network: &Executor<'_>,
    t: usize,
    rows: impl Iterator<Item = &'a [bool; LENGTH]>,
) -> Result<Vec<f32>, FloatError> {
    let inputs: Vec<f32> = rows.flat_map(|row| row.map(signed)).collect();
    if inputs.is_empty() {
        return Ok(vec![]);
    }
    network.run(&inputs, &vec![t - 1; inputs.len() / LENGTH], &[])
}

struct Example {
    t: usize,
    x: [bool; LENGTH],
    target: [f64; LENGTH],
    weight: f64,
}

/// Bits as the network reads them.
pub fn signed(bit: bool) -> f32 {
    if bit { 1.0 } else { -1.0 }
}

/// Entropies of a chain over the heartbeat.
pub fn entropies(chain: &Binomial) -> Entropies {
    let data = data();
    let given = |t| {
        let bits = data.rows.iter().flatten();
        let total: f64 = bits.map(|b| entropy(chain.marginal(t, *b))).sum();
        total / data.rows.len() as f64
    };
    let ones = data.ones() * LENGTH as f64;
    Entropies {
        last: given(chain.steps()),
        first: given(1),
        prior: entropy(chain.prior) * LENGTH as f64,
        null: ones * libm::log(chain.prior) + (LENGTH as f64 - ones) * libm::log(1.0 - chain.prior),
    }
}

/// The bound of any network over the heartbeat: `f(t, rows)` gives [`Binomial::reverse`]'s f of every bit. An error of `f` ends it.
pub fn bound<E>(
    chain: &Binomial,
    draws: usize,
    seed: u64,
    mut f: impl FnMut(usize, &[[bool; LENGTH]]) -> Result<Vec<f32>, E>,
) -> Result<Bound, E> {
    let (data, mut random) = (data(), Random::new(seed, 3));
    let mut steps = Vec::with_capacity(chain.steps());
    for t in 2..=chain.steps() {
        let pairs: Vec<(&Vec<bool>, [bool; LENGTH])> = (0..draws)
            .map(|i| {
                let x0 = &data.rows[i % data.rows.len()];
                (
                    x0,
                    core::array::from_fn(|i| random.uniform() < chain.marginal(t, x0[i])),
                )
            })
            .collect();
        let rows: Vec<[bool; LENGTH]> = pairs.iter().map(|(_, x)| *x).collect();
        let f = f(t, &rows)?;
        let each = pairs.iter().zip(f.chunks(LENGTH));
        let divergences: Vec<f64> = each.map(|((x0, x), f)| step_divergence(chain, t, x0, x, f)).collect();
        steps.push(Estimate::of(&divergences));
    }
    Ok(Bound::new(&steps, entropies(chain)))
}

/// `KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t))` in nats.
fn step_divergence(chain: &Binomial, t: usize, x0: &[bool], x: &[bool], f: &[f32]) -> f64 {
    let span = Span::last(t);
    let bit = |((x0, x), f): ((&bool, &bool), &f32)| {
        let (logit, _) = chain.reverse(span, *x, f64::from(*f));
        divergence(chain.posterior(span, *x, *x0), logit)
    };
    x0.iter().zip(x).zip(f).map(bit).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l_null_is_the_entropy_of_the_prior() {
        let e = entropies(&Binomial::linear(STEPS, PRIOR));
        assert!((e.null / crate::LN_2 + 14.4386).abs() < 5e-5);
        assert!((e.null + e.prior).abs() < 1e-12 && (e.last - e.prior).abs() < 1e-12);
    }

    /// The bound's own code over every x_t, by how many ones each phase has: given the counts, all sequences are alike.
    fn ceiling(steps: usize) -> f64 {
        let chain = Binomial::linear(steps, PRIOR);
        let data = data();
        let per_phase = LENGTH / PERIOD;
        let choose = [1.0, 4.0, 6.0, 4.0, 1.0];
        let mut estimates = Vec::new();
        for t in 2..=steps {
            let one = [false, true].map(|x0| chain.marginal(t, x0));
            let chance = |x0: usize, n: usize| {
                choose[n] * libm::pow(one[x0], n as f64) * libm::pow(1.0 - one[x0], (per_phase - n) as f64)
            };
            let mut mean = 0.0;
            for code in 0..5usize.pow(PERIOD as u32) {
                let counts: [usize; PERIOD] = core::array::from_fn(|k| code / 5usize.pow(k as u32) % 5);
                // Phases other than x_0's are alike: one order stands for all.
                if counts[1..].windows(2).any(|w| w[0] > w[1]) {
                    continue;
                }
                let orders = 24.0
                    / (0..5)
                        .map(|v| [1.0, 1.0, 2.0, 6.0, 24.0][counts[1..].iter().filter(|c| **c == v).count()])
                        .product::<f64>();
                let chance: f64 = counts
                    .iter()
                    .enumerate()
                    .map(|(k, n)| chance(usize::from(k == 0), *n))
                    .product();
                let x: Vec<bool> = (0..LENGTH).map(|i| i / PERIOD < counts[i % PERIOD]).collect();
                let f: Vec<f32> = data.best(&chain, t, &x).iter().map(|v| *v as f32).collect();
                mean += orders * chance * step_divergence(&chain, t, &data.rows[0], &x, &f);
            }
            estimates.push(Estimate { mean, variance: 0.0 });
        }
        Bound::new(&estimates, entropies(&chain)).k_bits
    }

    #[test]
    fn the_exact_reverse_process_reaches_the_known_ceilings() {
        for (steps, k) in [(50, -3.497_976), (200, -2.679_750), (2000, -2.368_335)] {
            let found = ceiling(steps);
            assert!((found - k).abs() < 1e-5, "T = {steps}: {found}, not {k}");
        }
    }

    #[test]
    fn the_drawn_bound_agrees_with_the_exact_one() {
        let (chain, data) = (Binomial::linear(50, PRIOR), data());
        let best = |t, rows: &[[bool; LENGTH]]| {
            let all = rows.iter().flat_map(|x| data.best(&chain, t, x));
            Ok::<_, FloatError>(all.map(|v| v as f32).collect())
        };
        let drawn = bound(&chain, 2000, 7, best).unwrap();
        assert!(drawn.standard_error_bits < 0.03, "{drawn:?}");
        assert!(
            (drawn.k_bits - ceiling(50)).abs() < 4.0 * drawn.standard_error_bits,
            "{drawn:?}"
        );
    }

    #[test]
    fn without_a_perturbation_the_bound_is_below_l_null() {
        let chain = Binomial::linear(50, PRIOR);
        let none = |_: usize, rows: &[[bool; LENGTH]]| Ok::<_, FloatError>(vec![0.0; rows.len() * LENGTH]);
        let none = bound(&chain, 100, 7, none).unwrap();
        assert!((none.k_bits - none.l_null_bits).abs() < 0.5, "{none:?}");
    }

    /// In many steps no bit of so few samples moves.
    #[test]
    fn a_known_sequence_is_sampled_as_it_is() {
        let truth: [bool; LENGTH] = core::array::from_fn(|i| i % PERIOD == 2);
        let known = truth.map(|bit| if bit { f64::INFINITY } else { f64::NEG_INFINITY });
        let samples = Heartbeat::new(50, 0).unwrap().sample(2, 1, &known).unwrap();
        assert_eq!(samples, [truth; 2]);
    }

    #[test]
    fn groups_cover_every_step_once() {
        for steps in [50, 200, 2000] {
            let h = Heartbeat::new(steps, 0).unwrap();
            assert_eq!(h.groups[..2], [1, 2]);
            assert_eq!(h.group(1), None);
            assert_eq!(h.group(2), Some(0));
            assert_eq!(h.group(steps), Some(h.groups.len() - 2));
        }
    }
}
