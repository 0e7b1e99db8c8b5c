//! The samplers: start, steps, guidance, noise, known elements.

mod chain;
pub mod coefficients;
pub mod levels;
mod posterior;
pub mod timesteps;
mod variance;

mod rows;

use self::chain::{BitStep, KernelStep, bit_q24};
use self::coefficients::mixed;
use self::rows::{Row, Rows};
use self::timesteps::timestep;
use super::file::File;
use super::file::header::Prediction;
use super::network::Network;
use super::ops::Call;
use super::request::{Method, PrevRule, Request, Spacing, Start, UNKNOWN, Variance};
use super::scalar::digest::digest;
use super::scalar::noise::{normal_q24, uniform_word};
use super::scalar::rounding::{Rounding, saturate};
use super::scalar::sine::sin_cos_q30;
use super::{OracleError, OracleOptions, OracleStep};

/// One run.
pub struct Run<'a> {
    /// The model's file.
    pub model: &'a File<'a>,
    /// Its operators.
    pub network: &'a Network,
    /// What is asked of the run.
    pub config: &'a Request,
    /// What is asked of the oracle.
    pub options: OracleOptions,
    /// The known image, or nothing.
    pub known: Option<&'a [i32]>,
    /// How well a chain's elements are known.
    pub known_noise: u32,
    /// The condition vector, or nothing.
    pub condition: Option<&'a [i32]>,
}

/// What a run keeps from one call to the next.
struct State {
    x: Vec<i32>,
    /// The clean sample that was predicted before.
    clean: Option<Vec<i64>>,
}

impl Run<'_> {
    /// Runs every step; gives the last state.
    pub fn run(&self, start: &Start<'_>, on_step: &mut dyn FnMut(&OracleStep)) -> Result<Vec<i32>, OracleError> {
        self.check()?;
        let (x, first) = self.begin(start)?;
        let mut state = State { x, clean: None };
        let chain = self.model.header().prediction.is_chain();
        if chain {
            self.begin_seen(&mut state.x, first)?;
        } else {
            self.set_known(&mut state.x, self.rows().noising(first, 0))?;
        }
        for index in first..self.config.steps {
            let Some(time_q16) = self.rows().time_q16(index, 0) else {
                break;
            };
            let mut ops = Vec::new();
            self.step(&mut state, index, time_q16, &mut ops)?;
            if !chain {
                self.set_known(&mut state.x, self.rows().noising(index + 1, 0))?;
            }
            on_step(&OracleStep {
                index,
                timestep: time_q16 / 65_536,
                digest: digest(state.x.iter().copied()),
                op_digests: self.options.op_digests.then_some(ops),
            });
        }
        Ok(state.x)
    }

    fn rows(&self) -> Rows<'_> {
        Rows {
            model: self.model,
            config: self.config,
        }
    }

    /// The known elements as they are under a noising, or clean.
    fn set_known(&self, x: &mut [i32], noising: Option<[i128; 2]>) -> Result<(), OracleError> {
        let Some(known) = self.known else { return Ok(()) };
        if known.len() != x.len() {
            let (expected, found) = (x.len(), known.len());
            return Err(OracleError::Length { expected, found });
        }
        for i in (0..x.len()).filter(|&i| known[i] != UNKNOWN) {
            x[i] = noising.map_or(known[i], |[signal, noise]| {
                let z = normal_q24(self.config.seed, 0, i as u32);
                mixed(signal, known[i].into(), noise, z) as i32
            });
        }
        Ok(())
    }

    fn check(&self) -> Result<(), OracleError> {
        let (c, h) = (self.config, self.model.header());
        let refuse = |field| Err(OracleError::Config { field });
        if matches!(h.prediction, Prediction::Picture { .. }) {
            return refuse("model: it is a decoder, which samples nothing");
        }
        if h.schedule
            .plan()
            .is_some_and(|plan| (plan, h.clip) != (c.plan(), c.clip))
        {
            return refuse("plan");
        }
        let learned = c.method == Method::Ddpm(Variance::Learned);
        if learned && (!self.network.gives_variances() || h.schedule.plan().is_some()) {
            return refuse("variance");
        }
        let is_continuous = levels::are_continuous(h.prediction);
        if is_continuous != c.method.is_continuous() {
            return refuse("method");
        }
        let linspace = c.spacing == Spacing::Linspace && h.prediction == Prediction::Flow;
        if is_continuous && c.spacing != Spacing::Trailing && !linspace {
            return refuse("spacing");
        }
        if is_continuous && c.prev != PrevRule::List {
            return refuse("prev");
        }
        if c.steps == 0 || c.steps > h.train_steps {
            return refuse("steps");
        }
        if h.prediction == Prediction::Kernel && c.steps != h.train_steps {
            return refuse("steps");
        }
        if c.eta_q16 > if c.method == Method::Ddim { 1 << 16 } else { 0 } {
            return refuse("eta_q16");
        }
        if c.clip_range_q24 < 1 || c.clip_range_q24 > 1 << 30 {
            return refuse("clip_range_q24");
        }
        if c.class.is_some_and(|class| class >= h.classes) {
            return refuse("class");
        }
        if c.class.is_none() && h.classes > 0 && h.null_class.is_none() {
            return refuse("class");
        }
        let wanted = self.network.condition();
        let drops = h.null_class.is_some() || wanted.is_some_and(|wanted| wanted.has_null);
        if c.guidance_q16.is_some() && !drops {
            return refuse("guidance_q16");
        }
        if self.condition.map(<[i32]>::len) != wanted.map(|wanted| wanted.len) {
            return refuse("condition");
        }
        Ok(())
    }

    /// The first state, and the number of the step that it stands before.
    fn begin(&self, start: &Start<'_>) -> Result<(Vec<i32>, u32), OracleError> {
        let h = self.model.header();
        let len = usize::from(h.channels) * usize::from(h.rows) * usize::from(h.cols);
        let seed = self.config.seed;
        let fits = |given: &[i32]| {
            let found = given.len();
            if found == len {
                Ok(())
            } else {
                Err(OracleError::Length { expected: len, found })
            }
        };
        if let Prediction::Bits { prior_q31 } = h.prediction {
            return self.begin_bits(start, prior_q31, len);
        }
        match start {
            Start::Seed => Ok(((0..len).map(|i| normal_q24(seed, 0, i as u32) as i32).collect(), 0)),
            Start::Noise(noise) => fits(noise).map(|()| (noise.to_vec(), 0)),
            Start::Image {
                image_q24,
                strength_q16,
            } => {
                fits(image_q24)?;
                if *strength_q16 > 1 << 16 {
                    return Err(OracleError::Config { field: "strength_q16" });
                }
                let steps = self.config.steps;
                let left = Rounding::default().shift(i128::from(steps) * i128::from(*strength_q16), 16) as u32;
                let first = steps - left;
                let Some([signal, noise]) = self.rows().noising(first, 0) else {
                    return Ok((image_q24.to_vec(), first));
                };
                // Its steps are planned to follow each other.
                if first > 0 && h.schedule.plan().is_some() && self.rows().follow_each_other() {
                    return Err(OracleError::Config { field: "strength_q16" });
                }
                let noisy = |(i, x): (usize, &i32)| {
                    let z = normal_q24(seed, 0, i as u32);
                    mixed(signal, (*x).into(), noise, z) as i32
                };
                Ok((image_q24.iter().enumerate().map(noisy).collect(), first))
            }
            Start::Between { second, part_q16 } => {
                if *part_q16 > 1 << 16 {
                    return Err(OracleError::Config { field: "part_q16" });
                }
                let (sine, cosine) = sin_cos_q30(part_q16 * 16_384);
                let between = |i| {
                    let (a, b) = (normal_q24(seed, 0, i), normal_q24(*second, 0, i));
                    mixed(cosine.into(), a, sine.into(), b) as i32
                };
                Ok(((0..len as u32).map(between).collect(), 0))
            }
        }
    }

    fn begin_bits(&self, start: &Start<'_>, prior: u32, len: usize) -> Result<(Vec<i32>, u32), OracleError> {
        let noised = |alpha_bar: u64, (i, set): (usize, bool)| {
            let step = BitStep::new(alpha_bar, 1 << 62, prior, Rounding::default());
            bit_q24(step.forward(set, uniform_word(self.config.seed, 0, i as u32))) as i32
        };
        let (given, strength) = match start {
            Start::Seed => return Ok(((0..len).map(|i| noised(0, (i, false))).collect(), 0)),
            Start::Noise(noise) => (*noise, None),
            Start::Image {
                image_q24,
                strength_q16,
            } => (*image_q24, Some(*strength_q16)),
            Start::Between { .. } => return Err(OracleError::Config { field: "second" }),
        };
        if given.len() != len {
            return Err(OracleError::Length {
                expected: len,
                found: given.len(),
            });
        }
        let bits = given.iter().map(|x| *x > 0);
        let Some(strength) = strength else {
            return Ok((bits.map(|set| bit_q24(set) as i32).collect(), 0));
        };
        if strength > 1 << 16 {
            return Err(OracleError::Config { field: "strength_q16" });
        }
        let steps = self.config.steps;
        let left = Rounding::default().shift(i128::from(steps) * i128::from(strength), 16) as u32;
        let t = timestep(self.model.header(), self.config, steps - left);
        let alpha_bar = t.map_or(1 << 62, |t| self.model.alpha_bar_q62(t));
        Ok((
            bits.enumerate().map(|bit| noised(alpha_bar, bit)).collect(),
            steps - left,
        ))
    }

    /// A step of a chain: the state, from the network's output.
    fn chain_step(&self, x: &[i32], out: &[i64], [now, next]: [u64; 2], stream: u32) -> Vec<i32> {
        let (h, seed) = (self.model.header(), self.config.seed);
        let r = Rounding {
            broken: self.options.broken_rounding == Some("sampler"),
        };
        let each = x.iter().enumerate();
        if let Prediction::Bits { prior_q31 } = h.prediction {
            let step = BitStep::new(now, next, prior_q31, r);
            let moved = each.map(|(i, x)| {
                let word = uniform_word(seed, stream, i as u32);
                match self.seen(i) {
                    Some(seen) => seen.bit(&step, *x > 0, out[i], word),
                    None => step.apply(*x > 0, out[i], word),
                }
            });
            return moved.map(|set| bit_q24(set) as i32).collect();
        }
        let step = KernelStep::new(now, next, r);
        let channels = usize::from(h.channels);
        let moved = each.map(|(i, x)| {
            let (position, c) = (i / channels, i % channels);
            let [m, v] = [0, channels].map(|of| out[position * 2 * channels + of + c]);
            let z = normal_q24(seed, stream, i as u32);
            let moved = match self.seen(i) {
                Some(seen) => seen.value(&step, [(*x).into(), m, v, z]),
                None => step.apply((*x).into(), m, v, z),
            };
            moved as i32
        });
        moved.collect()
    }

    fn step(&self, state: &mut State, index: u32, time_q16: u32, ops: &mut Vec<u64>) -> Result<(), OracleError> {
        let rows = self.rows();
        if self.model.header().prediction.is_chain() {
            let (now, next) = rows.alphas(index, time_q16 / 65_536)?;
            let out = self.predict(&state.x, time_q16, ops)?;
            state.x = self.chain_step(&state.x, &out, [now, next], index + 1);
            return Ok(());
        }
        let follows = state.clean.is_some();
        for call in 0..rows.calls() {
            let Some(row) = rows.row(index, call, follows)? else {
                break;
            };
            if call > 0 {
                self.set_known(&mut state.x, Some(row.noising))?;
            }
            let seen = |x: &i32| Rounding::default().shift(i128::from(*x) * row.input_q30, 30) as i32;
            let seen: Vec<i32> = state.x.iter().map(seen).collect();
            let (out, variances) = self.means(self.predict(&seen, row.time_q16, ops)?);
            let noise = self.noise(&variances, index, row.time_q16 / 65_536)?;
            self.advance(state, &row, &out, &noise);
        }
        Ok(())
    }

    fn rounding(&self) -> Rounding {
        Rounding {
            broken: self.options.broken_rounding == Some("sampler"),
        }
    }

    /// Moves the state by the network's output.
    fn advance(&self, state: &mut State, row: &Row, out: &[i64], noise: &[i64]) {
        let by_output = self.rows().by_output();
        let before = state.clean.take();
        let mut clean = Vec::new();
        for (i, x) in state.x.iter_mut().enumerate() {
            let z = noise[i];
            let (range, r) = (self.config.clip_range_q24, self.rounding());
            if by_output {
                *x = row.coefficients.apply((*x).into(), out[i], z, range, r) as i32;
                continue;
            }
            let one = [(*x).into(), out[i], before.as_ref().map_or(0, |before| before[i]), z];
            let (x0, next) = row.coefficients.advance(one, range, r);
            clean.push(x0);
            *x = next as i32;
        }
        state.clean = Some(clean);
    }

    /// The network's output, after guidance.
    fn predict(&self, x: &[i32], time_q16: u32, ops: &mut Vec<u64>) -> Result<Vec<i64>, OracleError> {
        let null = self.model.header().null_class;
        let mut call = |class: u16, condition| {
            let call = Call {
                x_q24: x,
                time_q16,
                class,
                condition,
            };
            self.network.call(&call, self.options.broken_rounding, &mut |planes| {
                if self.options.op_digests {
                    ops.push(digest(planes.channels_last().map(|v| v as i32)));
                }
            })
        };
        let conditional = call(self.config.class.or(null).unwrap_or(0), self.condition)?;
        let Some(weight) = self.config.guidance_q16 else {
            return Ok(conditional);
        };
        // Label and vector are dropped, each where it can be.
        let dropped = self.network.condition().is_some_and(|wanted| wanted.has_null);
        let plain = call(null.unwrap_or(0), if dropped { None } else { self.condition })?;
        let per = self.channels();
        let guided = plain
            .iter()
            .zip(conditional)
            .enumerate()
            .map(|(i, (plain, conditional))| {
                // Variances are those of what was asked for.
                if self.network.gives_variances() && i % (2 * per) >= per {
                    return conditional;
                }
                let moved = i128::from(weight) * i128::from(conditional - plain);
                saturate(i128::from(*plain) + Rounding::default().shift(moved, 16), 32)
            });
        Ok(guided.collect())
    }
}
