//! What a step costs: on this machine in time, on simulated boards in instructions, operator by operator.

mod flash;
mod profile;
mod traced;

pub use flash::{FlashSet, LEVELS, flash_boards, flash_sets};
pub use profile::{OperatorCost, complete};

use crate::Error;
use crate::backend::{Backend, BackendError, OpTimer, OpenModel, Sampling, board_options, time_limit};
use crate::condition::{Conditions, FixedPoint};
use crate::model_file::ModelFile;
use crate::report::OperatorRow;
use crate::request::Request;
use mote_cuda as cuda;
use mote_cuda::driver::Device;
use mote_cuda::{Executor, Gpu};
use mote_engine::memory::AlignedBytes;
use mote_engine::{Engine, Steps};
use mote_firmware_sim::{
    Board, Firmware, Image, ImageOptions, Observe, Parts, RunRequest, RuntimeFlash, SimError, runtime_flash,
};
use mote_runtime::internals::model::sampling::Prediction;
use mote_runtime::{Arena, Config, Model, Portable, Sampler, Start, arena_bytes};
use serde::Serialize;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Steps that are measured where no number is asked for.
const STEPS: u32 = 2;
/// Time over which steps on this machine are measured.
const MEASURED: Duration = Duration::from_millis(300);

/// A model whose step is measured, and how.
///
/// ```no_run
/// use mote_tools::{Backend, ModelFile};
/// use mote_tools::bench::Bench;
///
/// let file = ModelFile::open("my.mote")?;
/// let cost = Bench::new(&file, None, None)?.measure(Backend::Cpu);
/// println!("{:?} ms a step", cost.ms_per_step);
/// # Ok::<(), mote_tools::Error>(())
/// ```
#[derive(Debug)]
pub struct Bench<'m> {
    opened: OpenModel<'m>,
    config: Config,
    rows: Vec<OperatorRow>,
    /// Images that are made together.
    batch: u64,
    /// The condition of them all, in the model's fixed point; `None` for a model that takes none.
    condition: Option<Arc<[i32]>>,
}

/// Steps of an image, where images a second are shown.
pub const IMAGE_STEPS: u32 = 20;

/// A backend's measurements. Keys of `bench --json`; what a backend cannot measure is `null`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct BackendCost {
    /// The backend.
    pub name: String,
    /// Whether it can run here.
    pub available: bool,
    /// Why it gave nothing.
    pub why: Option<String>,
    /// Of a whole step, operators not watched.
    pub instructions_per_step: Option<u64>,
    /// The same by multiply-accumulate.
    pub instructions_per_mac: Option<f64>,
    /// Of one thread of this machine.
    pub ms_per_step: Option<f64>,
    /// Of the batch, over images and steps.
    pub ms_per_image_step: Option<f64>,
    /// Of all its threads.
    pub images_per_second: Option<f64>,
    /// Steps of an image in that.
    pub steps_per_image: u32,
    /// Activations and state.
    pub arena_bytes: u64,
    /// High-water mark.
    pub stack_bytes: Option<u64>,
    /// `.data` and `.bss`.
    pub statics_bytes: Option<u64>,
    /// Arena, statics and stack.
    pub ram_bytes: Option<u64>,
    /// Everything but the model.
    pub flash_code_bytes: Option<u64>,
    /// The runtime alone, with the parts that the model needs: most of `flash_code_bytes`, which also holds start-up, log and clock.
    pub flash_runtime_bytes: Option<u64>,
    /// Its modules.
    pub flash_runtime: Option<RuntimeFlash>,
    /// The model file.
    pub flash_model_bytes: u64,
    /// To check the model, once.
    pub parse_instructions: Option<u64>,
    /// Of the decoder, once an image; `None` where the model has none.
    pub decoder_instructions: Option<u64>,
    /// Every operator.
    pub operators: Vec<OperatorCost>,
    /// Their sums by kind.
    pub kinds: Vec<OperatorCost>,
}

impl<'m> Bench<'m> {
    /// Of `steps` steps (2, or what the file plans, by default) and `batch` images together (two a thread by default).
    ///
    /// # Errors
    /// Of kind `Refused` where the model cannot be run so.
    pub fn new(file: &'m ModelFile, steps: Option<u32>, batch: Option<u64>) -> Result<Self, Error> {
        let header = file.model().header();
        let usual = match header.schedule.plan() {
            Some(plan) => plan.steps,
            // A Gaussian chain takes all of its steps.
            None if matches!(header.prediction, Prediction::Kernel) => header.train_steps,
            None => STEPS.min(header.train_steps),
        };
        let config = Config::of(header, steps.unwrap_or(usual));
        config.validate_for(file.model())?;
        let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
        Ok(Self {
            opened: file.opened(),
            config,
            rows: OperatorRow::all(file.model()),
            batch: batch.unwrap_or(2 * threads),
            condition: middle(file.model()),
        })
    }

    /// On the first of these condition vectors. Without it: the middle of the model's range, as what a step costs does not depend on it.
    ///
    /// # Errors
    /// As [`Request::conditions`].
    pub fn on(mut self, conditions: Conditions) -> Result<Self, Error> {
        let request = Request {
            condition: Some(conditions),
            ..Request::default()
        };
        self.condition = request.conditions(self.opened.model, 1)?.pop();
        Ok(self)
    }

    /// The run that is measured.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }
}

/// The middle of the range for every number of a condition.
fn middle(model: &Model<'_>) -> Option<Arc<[i32]>> {
    let point = FixedPoint::of(model)?;
    let middle = ((i64::from(point.low) + i64::from(point.high)) / 2) as i32;
    Some(vec![middle; model.condition_len()].into())
}

impl Bench<'_> {
    /// Images from these seeds.
    fn sampling(&self, seeds: std::ops::Range<u64>) -> Sampling {
        let mut sampling = Sampling::of_seeds(self.config, seeds);
        sampling
            .images
            .iter_mut()
            .for_each(|image| image.condition.clone_from(&self.condition));
        sampling
    }

    /// A run on this machine, at its beginning.
    fn sampler<'a>(&'a self, arena: &'a mut Arena<'_>) -> Result<Sampler<'a, 'a>, BackendError> {
        let mut sampler = Sampler::new(self.opened.model, arena, &self.config, &Start::Seed)?;
        if let Some(condition) = &self.condition {
            sampler.condition(condition)?;
        }
        Ok(sampler)
    }

    /// Measures `backend`. What cannot run here, or fails, says why.
    #[must_use]
    pub fn measure(&self, backend: Backend) -> BackendCost {
        let empty = BackendCost {
            name: backend.to_string(),
            available: true,
            steps_per_image: IMAGE_STEPS,
            arena_bytes: arena_bytes(self.opened.model, &self.config) as u64,
            flash_model_bytes: self.opened.bytes.len() as u64,
            ..BackendCost::default()
        };
        let measured = backend.available().and_then(|()| match backend {
            Backend::Board(board, firmware) => self.board(board, firmware, empty.clone()).map_err(BackendError::from),
            Backend::Cuda(executor) => self.cuda(executor, empty.clone()),
            backend => self.host(backend, empty.clone()),
        });
        measured.unwrap_or_else(|error| BackendCost {
            available: !matches!(error, BackendError::Unavailable { .. }),
            why: Some(match error {
                BackendError::Unavailable { what, how, .. } => format!("{what}: {how}"),
                error => error.to_string(),
            }),
            ..empty
        })
    }

    /// The firmware for `board`, the condition in it.
    fn image(&self, board: &'static Board, firmware: Firmware) -> Result<Image, SimError> {
        let condition = self.condition.iter().flat_map(|condition| condition.iter());
        let options = ImageOptions {
            state: condition.copied().collect(),
            ..board_options(&self.config, firmware)
        };
        Image::link(board, self.opened.bytes, &options)
    }

    /// Instructions, twice: once for whole steps, once for operators, since watching them costs instructions as well.
    fn board(&self, board: &'static Board, firmware: Firmware, row: BackendCost) -> Result<BackendCost, SimError> {
        let image = self.image(board, firmware)?;
        let limit = time_limit(board, self.opened.model, &self.config, 1);
        let whole = image.run(&RunRequest {
            limit,
            ..RunRequest::new(self.config, [1])
        })?;
        let counts: Vec<u64> = whole
            .images
            .iter()
            .flat_map(|image| &image.steps)
            .filter_map(|step| step.instructions)
            .collect();
        let step = counts.iter().sum::<u64>().checked_div(counts.len() as u64);
        // The operators of the first step: a file that plans its run makes all of it.
        let planned = self.opened.model.header().schedule.plan().is_some();
        let one = Config {
            steps: if planned { self.config.steps } else { 1 },
            ..self.config
        };
        let each = image.run(&RunRequest {
            limit,
            observe: Observe::OpInstructions,
            ..RunRequest::new(one, [1])
        })?;
        let by_operator = each.images.iter().flat_map(|image| &image.ops);
        let operators = self
            .rows
            .iter()
            .zip(by_operator)
            .map(|(row, op)| OperatorCost::of(row, op.instructions, None))
            .collect();
        let (operators, kinds) = complete(operators, step);
        let sizes = whole.sizes;
        let parts = Parts::needed_by(self.opened.model).of_firmware(firmware);
        let runtime = runtime_flash(board, board.core.opt_level, &parts, false)?;
        let stack = whole.stack_bytes.max(each.stack_bytes);
        Ok(BackendCost {
            instructions_per_step: step,
            instructions_per_mac: step.map(|step| step as f64 / self.opened.model.header().macs.max(1) as f64),
            arena_bytes: sizes.arena_bytes,
            stack_bytes: Some(stack),
            statics_bytes: Some(sizes.statics_bytes),
            ram_bytes: Some(sizes.arena_bytes + sizes.statics_bytes + stack),
            flash_code_bytes: Some(sizes.flash_code_bytes),
            flash_runtime_bytes: Some(runtime.bytes),
            flash_runtime: Some(runtime),
            flash_model_bytes: sizes.flash_model_bytes,
            parse_instructions: Some(whole.parse_instructions),
            decoder_instructions: (whole.images.first())
                .filter(|image| image.picture.is_some())
                .map(|image| image.picture_instructions),
            operators,
            kinds,
            ..row
        })
    }

    /// Milliseconds of a step on one thread; images a second on all of them.
    fn host(&self, backend: Backend, row: BackendCost) -> Result<BackendCost, BackendError> {
        let (step, operators) = match backend {
            Backend::Cpu => {
                let engine = Engine::prepare(self.opened.model);
                (
                    self.median_step(&mut engine.worker())?,
                    self.timed_operators(&mut engine.worker())?,
                )
            }
            Backend::Portable => (self.median_step(&mut Portable)?, self.timed_operators(&mut Portable)?),
            backend => (self.seconds(backend, 1)? / f64::from(self.config.steps), vec![]),
        };
        let image_step = self.median_batch(backend)? / (self.batch as f64 * f64::from(self.config.steps));
        let (operators, kinds) = complete(operators, None);
        Ok(BackendCost {
            ms_per_step: Some(1e3 * step),
            ms_per_image_step: Some(1e3 * image_step),
            images_per_second: Some(1.0 / image_step / f64::from(IMAGE_STEPS)),
            operators,
            kinds,
            ..row
        })
    }

    /// Milliseconds of a step of one image; images a second of a batch. The kernels are loaded and run once before.
    fn cuda(&self, executor: Option<Executor>, row: BackendCost) -> Result<BackendCost, BackendError> {
        let mut gpu = Gpu::prepare(Device::open(0)?, self.opened.model)?;
        let mut seconds = |count: u64| -> Result<f64, BackendError> {
            let images: Vec<(u64, Start<'_>)> = (0..count).map(|seed| (seed, Start::Seed)).collect();
            let sampling = cuda::Sampling {
                config: self.config,
                images: &images,
                known: None,
                operators: false,
                executor,
                batch: None,
                recorded: true,
            };
            let mut times = Vec::new();
            for _ in 0..6 {
                let began = Instant::now();
                gpu.run(&sampling, |_| ControlFlow::Continue(()))?;
                times.push(began.elapsed().as_secs_f64());
            }
            // The first one warms up.
            times[1..].sort_by(f64::total_cmp);
            Ok(times[3])
        };
        let steps = f64::from(self.config.steps);
        let (one, batch) = (seconds(1)? / steps, seconds(self.batch)? / (self.batch as f64 * steps));
        Ok(BackendCost {
            ms_per_step: Some(1e3 * one),
            ms_per_image_step: Some(1e3 * batch),
            images_per_second: Some(1.0 / batch / f64::from(IMAGE_STEPS)),
            ..row
        })
    }

    /// Seconds of `images` images.
    fn seconds(&self, backend: Backend, images: u64) -> Result<f64, BackendError> {
        let sampling = self.sampling(0..images);
        let began = Instant::now();
        backend.run(self.opened, &sampling, &|| ())?;
        Ok(began.elapsed().as_secs_f64().max(1e-9))
    }

    /// Seconds of a batch: the median of five, or of as many as three times [`MEASURED`] has room for.
    fn median_batch(&self, backend: Backend) -> Result<f64, BackendError> {
        let (mut times, began) = (vec![self.seconds(backend, self.batch)?], Instant::now());
        while times.len() < 5 && began.elapsed() < 3 * MEASURED {
            times.push(self.seconds(backend, self.batch)?);
        }
        times.sort_by(f64::total_cmp);
        Ok(times[times.len() / 2])
    }

    /// Seconds of a step: the median over as many runs as [`MEASURED`] has room for, and two at least.
    fn median_step(&self, network: &mut impl Steps) -> Result<f64, BackendError> {
        let mut memory = AlignedBytes::for_run(self.opened.model, &self.config);
        let (mut times, began) = (Vec::new(), Instant::now());
        for run in 0.. {
            let mut arena = Arena::new(memory.bytes_mut())?;
            let mut sampler = self.sampler(&mut arena)?;
            loop {
                let start = Instant::now();
                if network.step(&mut sampler, None)?.is_none() {
                    break;
                }
                times.push(start.elapsed().as_secs_f64());
            }
            if run > 0 && began.elapsed() > MEASURED {
                break;
            }
        }
        times.sort_by(f64::total_cmp);
        Ok(times.get(times.len() / 2).copied().unwrap_or(0.0))
    }

    fn timed_operators(&self, network: &mut impl Steps) -> Result<Vec<OperatorCost>, BackendError> {
        let mut memory = AlignedBytes::for_run(self.opened.model, &self.config);
        let mut arena = Arena::new(memory.bytes_mut())?;
        let mut sampler = self.sampler(&mut arena)?;
        let mut timer = OpTimer::new(self.rows.len());
        while network.step(&mut sampler, Some(&mut timer))?.is_some() {}
        let ms = |spent: &Duration| 1e3 * spent.as_secs_f64() / f64::from(self.config.steps);
        Ok(self
            .rows
            .iter()
            .zip(&timer.spent)
            .map(|(row, spent)| OperatorCost::of(row, None, Some(ms(spent))))
            .collect())
    }
}
