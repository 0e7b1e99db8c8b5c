//! The samplers: start, steps, guidance, noise, known elements.

pub mod coefficients;
pub mod timesteps;

mod ddpm;
mod dpm_solver;
mod heun;

use mote_runtime::sampler::UNKNOWN;
use mote_runtime::schedule::coefficients::Prediction;
use mote_runtime::{Config, Method, Model};

use self::coefficients::{Coefficients, mixed, noised};
use self::timesteps::{previous, timestep};
use super::network::{Call, Network};
use super::scalar::digest::digest;
use super::scalar::noise::normal_q24;
use super::scalar::rounding::{Rounding, saturate};
use super::scalar::sine::sin_cos_q30;
use super::{OracleError, OracleOptions, OracleStart, OracleStep};

/// One run.
pub struct Run<'a> {
    /// The model.
    pub model: &'a Model<'a>,
    /// Its operators.
    pub network: &'a Network,
    /// What is asked of the run.
    pub config: &'a Config,
    /// What is asked of the oracle.
    pub options: OracleOptions,
    /// The known image, or nothing.
    pub known: Option<&'a [i32]>,
}

/// What a run holds from one step to the next.
struct Held {
    /// The state.
    x: Vec<i32>,
    /// The clean sample that was predicted before.
    sample: Option<Vec<i64>>,
}

impl Run<'_> {
    /// Runs every step; gives the last state.
    pub fn run(&self, start: &OracleStart<'_>, on_step: &mut dyn FnMut(&OracleStep)) -> Result<Vec<i32>, OracleError> {
        self.check()?;
        let (x, first) = self.begin(start)?;
        let mut held = Held { x, sample: None };
        self.set_known(&mut held.x, timestep(self.model.header(), self.config, first))?;
        for index in first..self.config.steps {
            let Some(t) = timestep(self.model.header(), self.config, index) else {
                break;
            };
            let mut ops = Vec::new();
            self.step(&mut held, index, t, &mut ops)?;
            self.set_known(&mut held.x, timestep(self.model.header(), self.config, index + 1))?;
            on_step(&OracleStep {
                index,
                timestep: t,
                digest: digest(held.x.iter().copied()),
                op_digests: self.options.op_digests.then_some(ops),
            });
        }
        Ok(held.x)
    }

    /// The known elements as they are at timestep `t`, or clean.
    fn set_known(&self, x: &mut [i32], t: Option<u32>) -> Result<(), OracleError> {
        let Some(known) = self.known else { return Ok(()) };
        if known.len() != x.len() {
            let (expected, found) = (x.len(), known.len());
            return Err(OracleError::Length { expected, found });
        }
        for i in (0..x.len()).filter(|&i| known[i] != UNKNOWN) {
            x[i] = t.map_or(known[i], |t| {
                let z = normal_q24(self.config.seed, 0, i as u32);
                noised(self.model.alpha_bar_q62(t), known[i].into(), z) as i32
            });
        }
        Ok(())
    }

    fn check(&self) -> Result<(), OracleError> {
        let (c, h) = (self.config, self.model.header());
        let refuse = |field| Err(OracleError::Config { field });
        if c.steps == 0 || c.steps > h.train_steps {
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
        if c.guidance_q16.is_some() && h.null_class.is_none() {
            return refuse("guidance_q16");
        }
        Ok(())
    }

    /// The first state, and the number of the step that it stands before.
    fn begin(&self, start: &OracleStart<'_>) -> Result<(Vec<i32>, u32), OracleError> {
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
        match start {
            OracleStart::Seed => Ok(((0..len).map(|i| normal_q24(seed, 0, i as u32) as i32).collect(), 0)),
            OracleStart::Noise(noise) => fits(noise).map(|()| (noise.to_vec(), 0)),
            OracleStart::Image {
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
                let Some(t) = timestep(h, self.config, first) else {
                    return Ok((image_q24.to_vec(), first));
                };
                let alpha_bar = self.model.alpha_bar_q62(t);
                let noisy =
                    |(i, x): (usize, &i32)| noised(alpha_bar, (*x).into(), normal_q24(seed, 0, i as u32)) as i32;
                Ok((image_q24.iter().enumerate().map(noisy).collect(), first))
            }
            OracleStart::Between { second, part_q16 } => {
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

    fn step(&self, held: &mut Held, index: u32, t: u32, ops: &mut Vec<u64>) -> Result<(), OracleError> {
        let (c, h) = (self.config, self.model.header());
        let (prediction, clip) = (h.prediction, c.clip);
        let now = self.model.alpha_bar_q62(t);
        if now == 0 && prediction == Prediction::Epsilon {
            return Err(OracleError::ZeroSnr { timestep: t });
        }
        let there = previous(h, c, index);
        let end = if c.method == Method::Ddim {
            h.final_alpha_bar_q62
        } else {
            1 << 62
        };
        let next = there.map_or(end, |t| self.model.alpha_bar_q62(t)).min(1 << 62);
        let out = self.predict(&held.x, t, ops)?;
        match c.method {
            Method::Ddim => {
                let step = Coefficients::ddim(now, next, c.eta_q16, prediction, clip);
                let noisy = c.eta_q16 != 0;
                for (i, (x, out)) in held.x.iter_mut().zip(out).enumerate() {
                    let z = self.noise(noisy, index, i);
                    *x = step.apply((*x).into(), out, z, c.clip_range_q24, self.rounding()) as i32;
                }
            }
            Method::Ddpm(variance) => {
                let step = ddpm::coefficients(now, next, variance, prediction, clip);
                self.advance(held, &step, &out, Some(index));
            }
            Method::DpmSolver2M => {
                let before = held.sample.is_some().then(|| timestep(h, c, index - 1)).flatten();
                let before = before.map(|t| self.model.alpha_bar_q62(t));
                let step = dpm_solver::coefficients(before, now, next, prediction, clip);
                self.advance(held, &step, &out, None);
            }
            Method::Heun => {
                self.advance(held, &heun::euler(now, next, prediction, clip), &out, None);
                if let Some(there) = there {
                    self.set_known(&mut held.x, Some(there))?;
                    let out = self.predict(&held.x, there, ops)?;
                    self.advance(held, &heun::correction(now, next, prediction, clip), &out, None);
                }
            }
        }
        Ok(())
    }

    fn rounding(&self) -> Rounding {
        Rounding {
            broken: self.options.broken_rounding == Some("sampler"),
        }
    }

    fn noise(&self, noisy: bool, index: u32, i: usize) -> i64 {
        if noisy {
            normal_q24(self.config.seed, index + 1, i as u32)
        } else {
            0
        }
    }

    /// A step over (x0, held, x, z), with the noise of step `noisy`.
    fn advance(&self, held: &mut Held, step: &Coefficients, out: &[i64], noisy: Option<u32>) {
        let before = held.sample.take();
        let mut sample = Vec::new();
        for (i, x) in held.x.iter_mut().enumerate() {
            let z = noisy.map_or(0, |index| self.noise(true, index, i));
            let one = [(*x).into(), out[i], before.as_ref().map_or(0, |before| before[i]), z];
            let (x0, next) = step.advance(one, self.config.clip_range_q24, self.rounding());
            sample.push(x0);
            *x = next as i32;
        }
        held.sample = Some(sample);
    }

    /// The network's output, after guidance.
    fn predict(&self, x: &[i32], timestep: u32, ops: &mut Vec<u64>) -> Result<Vec<i64>, OracleError> {
        let null = self.model.header().null_class;
        let mut call = |class: u16| {
            let call = Call {
                x_q24: x,
                timestep,
                class,
            };
            self.network.call(&call, self.options.broken_rounding, &mut |planes| {
                if self.options.op_digests {
                    ops.push(digest(planes.channels_last().map(|v| v as i32)));
                }
            })
        };
        let conditional = call(self.config.class.or(null).unwrap_or(0))?;
        let (Some(weight), Some(null)) = (self.config.guidance_q16, null) else {
            return Ok(conditional);
        };
        let plain = call(null)?;
        let guided = plain.iter().zip(conditional).map(|(plain, conditional)| {
            let moved = i128::from(weight) * i128::from(conditional - plain);
            saturate(i128::from(*plain) + Rounding::default().shift(moved, 16), 32)
        });
        Ok(guided.collect())
    }
}
