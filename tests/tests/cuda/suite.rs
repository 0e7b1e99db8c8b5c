//! The problems that every device must solve: the runtime's digests of every operator and every step, by both executors.

use mote_cuda::launch::Launcher;
use mote_cuda::{CudaError, Executor, Gpu, Image, Sampling, Start};
use mote_engine::memory::AlignedBytes;
use mote_runtime::internals::digest::Digest;
use mote_runtime::internals::ops::Op;
use mote_runtime::internals::tensor::view::View;
use mote_runtime::{Arena, Config, Model, Observer, Sampler, StepObserver};
use std::ops::ControlFlow;

/// A model and what to do with it.
pub struct Problem {
    pub name: String,
    pub file: AlignedBytes,
    pub configs: Vec<Config>,
    pub seeds: Vec<u64>,
    /// Elements that are known in every image.
    pub known: Option<Vec<i32>>,
}

/// Digests of operators as the runtime computes them.
#[derive(Default)]
struct Digests(Vec<u64>);

impl Observer for Digests {
    fn after(&mut self, _index: u16, _op: &Op, output: &View<'_>) {
        self.0.push(Digest::of((0..output.len()).map(|i| output.get(i))).0);
    }
}

impl StepObserver for Digests {}

/// What the runtime makes of an image.
pub fn expected(model: &Model<'_>, config: &Config, seed: u64, start: &Start<'_>, known: Option<&[i32]>) -> Image {
    let config = Config { seed, ..*config };
    let mut memory = AlignedBytes::for_run(model, &config);
    let mut arena = Arena::new(memory.bytes_mut()).expect("aligned");
    let mut run = Sampler::new(model, &mut arena, &config, start).expect("a valid configuration");
    if let Some(known) = known {
        run.inpaint(known).expect("a known image that fits");
    }
    let mut image = Image {
        seed,
        ..Image::default()
    };
    let mut digests = Digests::default();
    while let Some(step) = run.step_observed(&mut digests).expect("a valid run") {
        image.steps.push(mote_cuda::run::ImageStep {
            index: step.index,
            timestep: step.timestep,
            digest: step.digest,
            operators: std::mem::take(&mut digests.0),
        });
    }
    image.state = run.state().to_vec();
    image
}

/// The first difference of two images, named.
pub fn difference(model: &Model<'_>, expected: &Image, found: &Image) -> Option<String> {
    let kinds: Vec<&str> = model.ops().map(|op| op.kind()).collect();
    if expected.seed != found.seed || expected.steps.len() != found.steps.len() {
        return Some("another image, or other steps".into());
    }
    for (e, f) in expected.steps.iter().zip(&found.steps) {
        let operator = e.operators.iter().zip(&f.operators).position(|(a, b)| a != b);
        let at = format!("seed {}, step {}", expected.seed, e.index);
        if let Some(i) = operator.filter(|_| !f.operators.is_empty()) {
            let op = model.ops().nth(i % kinds.len());
            return Some(format!("{at}, operator {i} ({}): {op:?}", kinds[i % kinds.len()]));
        }
        if (e.index, e.timestep, e.digest) != (f.index, f.timestep, f.digest) {
            return Some(format!("{at}: the state"));
        }
    }
    (expected.state != found.state).then(|| "the final state".into())
}

/// Runs a problem on a device by both executors; the first difference, or what failed.
pub fn solve(device: impl Launcher, problem: &Problem) -> Result<(), String> {
    solve_by(
        device,
        problem,
        &[(Executor::Layered, true), (Executor::Resident, false)],
    )
}

/// The same, with every kernel launched by itself as well: recorded or not, the bits are the same.
pub fn solve_all(device: impl Launcher, problem: &Problem) -> Result<(), String> {
    let ways = [
        (Executor::Layered, false),
        (Executor::Layered, true),
        (Executor::Resident, false),
    ];
    solve_by(device, problem, &ways)
}

fn solve_by(device: impl Launcher, problem: &Problem, ways: &[(Executor, bool)]) -> Result<(), String> {
    let model = Model::parse(problem.file.bytes()).expect("a valid model");
    let mut gpu = Gpu::prepare(device, &model).map_err(|error| error.to_string())?;
    let images: Vec<(u64, Start<'_>)> = problem.seeds.iter().map(|seed| (*seed, Start::Seed)).collect();
    for config in &problem.configs {
        let expected: Vec<Image> = images
            .iter()
            .map(|(seed, start)| expected(&model, config, *seed, start, problem.known.as_deref()))
            .collect();
        for &(executor, recorded) in ways {
            let sampling = Sampling {
                config: *config,
                images: &images,
                known: problem.known.as_deref(),
                operators: true,
                executor: Some(executor),
                batch: None,
                recorded,
            };
            let what = format!("{}, {executor:?}, recorded: {recorded}", problem.name);
            let mut found = Vec::new();
            match gpu.run(&sampling, |batch| {
                found.extend(batch);
                ControlFlow::Continue(())
            }) {
                // A model too large for a block's shared memory is for the other executor.
                Err(CudaError::Shared { .. }) if executor == Executor::Resident => continue,
                Err(error) => return Err(format!("{what}: {error}")),
                Ok(()) => {}
            }
            if found.len() != expected.len() {
                return Err(format!("{what}: {} images of {}", found.len(), expected.len()));
            }
            let first = expected.iter().zip(&found).find_map(|(e, f)| difference(&model, e, f));
            if let Some(first) = first {
                return Err(format!("{what}: {first}"));
            }
        }
    }
    Ok(())
}
