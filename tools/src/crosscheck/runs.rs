//! Runs that references ask for, each made once.

use super::given::Given;
use super::keys::{ClipSetting, Setting};
use super::vectors::Vectors;
use super::{CrosscheckError, Reference};
use crate::import::Checkpoint;
use mote_graph::float::ddim::{Clip, guide};
use mote_graph::float::samplers::FloatRun;
use mote_graph::float::{Executor, Real, TimeFeatures};
use mote_graph::schedule::{self, Precision, PreviousRule, SchedulerConfig};
use mote_runtime::Method;
use mote_runtime::internals::sampler::Variance;

/// The arithmetics that references may have their timestep features in, in the order in which they are tried.
pub(super) const TIMES: [TimeFeatures; 5] = [
    TimeFeatures::F64,
    TimeFeatures::F32,
    TimeFeatures::Library,
    TimeFeatures::LibraryRates,
    TimeFeatures::F64Throughout,
];

/// A finished run over all noises. A trajectory holds one vector a step, each over all samples.
pub(super) struct Run<T> {
    /// x before each step, and after the last.
    pub(super) x: Vec<Vec<T>>,
    /// The network's output, after guidance.
    pub(super) out: Vec<Vec<T>>,
    /// The predicted clean sample.
    pub(super) pred_x0: Vec<Vec<T>>,
    /// Conditional and unconditional outputs, under guidance.
    pub(super) cond: Vec<Vec<T>>,
    pub(super) uncond: Vec<Vec<T>>,
}

/// The network in both arithmetics of schedule and timestep features, and the runs made so far.
pub(super) struct Runs<'a, T> {
    checkpoint: &'a Checkpoint,
    vectors: &'a Vectors,
    /// With timestep features in f32.
    single: Executor<'a>,
    /// With those of references in f64 throughout.
    pure: Executor<'a>,
    done: Vec<((Setting, bool), Run<T>)>,
}

impl<'a, T: Real> Runs<'a, T> {
    pub(super) fn new(checkpoint: &'a Checkpoint, vectors: &'a Vectors) -> Result<Self, CrosscheckError> {
        let executor =
            |time| Ok::<_, CrosscheckError>(Executor::new(&checkpoint.graph, T::DTYPE)?.with_time_features(time));
        Ok(Self {
            checkpoint,
            vectors,
            single: executor(TimeFeatures::F32)?,
            pure: executor(TimeFeatures::F64)?,
            done: Vec::new(),
        })
    }

    /// The network as `reference` computed its timestep features.
    pub(super) fn executor(&self, reference: Reference) -> &Executor<'a> {
        match reference {
            Reference::F64Pure => &self.pure,
            Reference::F32 | Reference::F64 => &self.single,
        }
    }

    /// Has references in f64 throughout compared with timestep features in that arithmetic from here on.
    pub(super) fn with_features(&mut self, time: TimeFeatures) {
        self.pure.set_time_features(time);
    }

    /// The run that `key` asks for.
    pub(super) fn get(
        &mut self,
        key: &str,
        setting: &Setting,
        reference: Reference,
    ) -> Result<&Run<T>, CrosscheckError> {
        let pure = reference == Reference::F64Pure;
        // A variant that names what the checkpoint says anyway is the same run.
        let same = Setting {
            spacing: Some(setting.spacing.unwrap_or(self.checkpoint.scheduler.timestep_spacing)),
            clip: self.clip_of(setting.clip),
            ..setting.clone()
        };
        let id = (same, pure);
        let index = match self.done.iter().position(|(done, _)| *done == id) {
            Some(index) => index,
            None => {
                let run = self.make(key, &id.0, reference)?;
                self.done.push((id, run));
                self.done.len() - 1
            }
        };
        Ok(&self.done[index].1)
    }

    fn clip_of(&self, clip: ClipSetting) -> ClipSetting {
        match (clip, self.checkpoint.scheduler.clip_sample) {
            (ClipSetting::AsSaved, _) if self.vectors.unclipped => ClipSetting::Off,
            (ClipSetting::AsSaved, true) => ClipSetting::Stock,
            (ClipSetting::AsSaved, false) => ClipSetting::Off,
            (other, _) => other,
        }
    }

    fn make(&self, key: &str, setting: &Setting, reference: Reference) -> Result<Run<T>, CrosscheckError> {
        let config = self.config(setting);
        let precision = if reference == Reference::F64Pure {
            Precision::F64
        } else {
            Precision::F32
        };
        let range = config.clip_sample_range;
        let clip = match self.clip_of(setting.clip) {
            ClipSetting::Stock => Clip::Stock { range },
            ClipSetting::Rederived => Clip::Rederived { range },
            ClipSetting::Off | ClipSetting::AsSaved => Clip::Off,
        };
        let noise = self.noise(key)?;
        let count = noise.len() / self.checkpoint.graph.sample_shape().iter().product::<usize>();
        let given = Given::of_runs(self.vectors, key, &self.checkpoint.graph, count)?;
        let (executor, each) = (self.executor(reference), noise.len());
        let mut run = Run {
            x: vec![noise.clone()],
            out: vec![],
            pred_x0: vec![],
            cond: vec![],
            uncond: vec![],
        };
        let method = self.method(setting);
        let learned = method.is_learned();
        let (cond, uncond) = (&mut run.cond, &mut run.uncond);
        let model = |x: &[T], t: f64| -> Result<Vec<T>, CrosscheckError> {
            let Some(weight) = setting.guidance else {
                let out = executor.run(x, &vec![t; count], given.conditions())?;
                let behind = if learned {
                    variances(&out, x.len(), count)
                } else {
                    vec![]
                };
                let mut out = means(out, x.len(), count);
                out.extend(behind);
                return Ok(out);
            };
            // References were made with the last label where the checkpoint names none; with another they are not held.
            let last = self.checkpoint.graph.classes.map_or(0, |classes| classes - 1);
            let dropped = self.checkpoint.graph.condition.and_then(|condition| condition.null);
            let both = given.guided(self.checkpoint.null_class.unwrap_or(last), dropped);
            let both = executor.run(&[x, x].concat(), &vec![t; 2 * count], both.conditions())?;
            let behind = if learned {
                variances(&both, 2 * x.len(), 2 * count)
            } else {
                vec![]
            };
            let mut both = means(both, 2 * x.len(), 2 * count);
            let second = both.split_off(x.len());
            let mut out = guide(&both, &second, weight);
            // Variances are those of what was asked for.
            out.extend(behind.into_iter().take(x.len()));
            cond.push(both);
            uncond.push(second);
            Ok(out)
        };
        let float = FloatRun {
            scheduler: &config,
            precision,
            steps: setting.steps,
            prev: rule(setting.method),
            method,
            clip,
            eta: 0.0,
        };
        let drawn = self.drawn(key, setting.steps, noise.len())?;
        let (x, out, pred_x0) = (&mut run.x, &mut run.out, &mut run.pred_x0);
        float.sample(
            noise,
            model,
            |index| Ok(drawn.get(index * each..).map_or_else(Vec::new, |z| z[..each].to_vec())),
            |shown| {
                x.push(shown.next.to_vec());
                out.push(shown.output.to_vec());
                pred_x0.push(shown.x0.to_vec());
            },
        )?;
        Ok(run)
    }

    /// The sampler that `setting` asks for, on the checkpoint's noise levels: the ancestral one takes variances that the network learned.
    fn method(&self, setting: &Setting) -> Method {
        match setting.method.on(self.checkpoint.scheduler.levels) {
            Method::Ddpm(_) if self.checkpoint.has_variances() => Method::Ddpm(Variance::Learned),
            Method::Ddpm(_) if self.checkpoint.scheduler.variance == schedule::Variance::FixedLarge => {
                Method::Ddpm(Variance::Large)
            }
            method => method,
        }
    }

    /// The noise of a run's steps, one after the other, where the vectors have it beside the run: `ddpm10.z` for `ddpm10.x0`.
    fn drawn(&self, key: &str, steps: usize, each: usize) -> Result<Vec<T>, CrosscheckError> {
        let expected = steps * each;
        let name = format!("{}.z", key.split('.').next().unwrap_or_default());
        if !self.vectors.has(&name) {
            return Ok(vec![]);
        }
        let noise = self.vectors.need(key, &name)?;
        if noise.data.len() != expected {
            return Err(self
                .vectors
                .shape(&name, format!("a noise a step, {steps} times that of `noise`")));
        }
        Ok(noise.data.iter().map(|v| T::of(*v)).collect())
    }

    /// The checkpoint's scheduler under `setting`.
    pub(super) fn config(&self, setting: &Setting) -> SchedulerConfig {
        let mut config = self.checkpoint.scheduler.clone();
        config.timestep_spacing = setting.spacing.unwrap_or(config.timestep_spacing);
        config.rescale_betas_zero_snr |= setting.zero_snr;
        config.set_alpha_to_one |= self.vectors.final_alpha == Some(1.0);
        config
    }

    fn noise(&self, key: &str) -> Result<Vec<T>, CrosscheckError> {
        let shape = self.checkpoint.graph.sample_shape();
        let noise = self.vectors.need(key, "noise")?;
        if noise.shape.len() != 4 || noise.shape[0] == 0 || noise.shape[1..] != shape {
            return Err(self
                .vectors
                .shape("noise", format!("[n, {}, {}, {}]", shape[0], shape[1], shape[2])));
        }
        if self.checkpoint.graph.output_shape() != shape && !self.checkpoint.has_variances() {
            return Err(self
                .vectors
                .shape("noise", "a network whose output has the sample's shape"));
        }
        Ok(noise.data.iter().map(|v| T::of(*v)).collect())
    }
}

/// What the timestep after a timestep is in diffusers' class of that sampler: DDIM's subtracts, all others go down their list.
pub(super) fn rule(method: Method) -> PreviousRule {
    match method {
        Method::Ddim => PreviousRule::Diffusers,
        _ => PreviousRule::List,
    }
}

/// Of the outputs of `count` samples, what follows their means.
fn variances<T: Copy>(out: &[T], samples: usize, count: usize) -> Vec<T> {
    let (each, own) = (out.len() / count.max(1), samples / count.max(1));
    let behind = out.chunks_exact(each.max(1)).flat_map(|one| &one[own.min(each)..]);
    behind.copied().collect()
}

/// Of the outputs of `count` samples, the parts that have the samples' sizes: what follows them are variances.
fn means<T: Copy>(out: Vec<T>, samples: usize, count: usize) -> Vec<T> {
    let (each, own) = (out.len() / count.max(1), samples / count.max(1));
    if each == own {
        return out;
    }
    out.chunks_exact(each.max(1))
        .flat_map(|one| &one[..own])
        .copied()
        .collect()
}
