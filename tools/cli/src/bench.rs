//! `mote bench`: what a step costs.

use super::args;
use super::cost::{IMAGE_STEPS, Row, markdown, text};
use super::failure::Failure;
use super::flash;
use super::kernels;
use super::model_file::ModelFile;
use super::print::{self, Held};
use super::profile::{self, Operator};
use super::progress;
use super::validate::choices;
use mote_firmware_sim::{Board, Firmware, Image, Observe, Parts, RunRequest, RuntimeFlash, SimError, runtime_flash};
use mote_host::cuda::driver::Device;
use mote_host::cuda::{self, Executor, Gpu};
use mote_host::engine::Engine;
use mote_host::memory::AlignedBytes;
use mote_runtime::sampler::arena_bytes;
use mote_runtime::{Arena, Config, Network, Portable, Sampler, Start, Unobserved};
use mote_tools::backend::{Backend, BackendError, Job, OpTimer, Target, board_options, time_limit};
use mote_tools::kernels::Kernel;
use mote_tools::report::OperatorRow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Steps that are measured where no number is asked for.
const STEPS: u32 = 2;
/// Time over which steps on this machine are measured.
const MEASURED: Duration = Duration::from_millis(300);

/// Measure a step on this machine and on simulated boards
///
/// Boards give instructions, counted by the simulator and the same on every run: instructions, not cycles. This machine gives
/// milliseconds. Flash, RAM and stack are those of the firmware that ran.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  mote bench my.mote
  mote bench my.mote --backends board:mps2-an386,board:virt --operators --json
  mote bench --kernels --board mps2-m0,mps2-an386")]
pub struct Args {
    /// The model file
    #[arg(required_unless_present_any = ["kernels", "flash"])]
    model: Option<PathBuf>,
    /// Backends, separated by commas: cpu, portable, cuda:layered, cuda:resident, board:NAME, board:NAME/compact (smaller, slower) [default: cpu and boards that are here]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = args::backend)]
    backends: Vec<Backend>,
    /// Steps to measure [default: 2, or what the file plans]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    steps: Option<u32>,
    /// Images that are made together on this machine, where images a second are measured [default: two a thread]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    batch: Option<u64>,
    /// Show every operator (--json always does)
    #[arg(long)]
    operators: bool,
    /// Measure single operators of standard shapes on simulated boards, beside CMSIS-NN's figures
    #[arg(long)]
    kernels: bool,
    /// Compile parts of the runtime alone, for speed and for size, and show what each takes of flash
    #[arg(long)]
    flash: bool,
    /// Boards for --kernels and --flash, separated by commas [default: a core of each class]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = kernels::board)]
    board: Vec<&'static Board>,
    /// Print the tables in Markdown
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What `counts` says in JSON.
const COUNTS: &str = "instructions, not cycles";

/// What is measured without a model.
struct Single {
    kernels: Vec<Kernel>,
    flash: Vec<RuntimeFlash>,
}

impl Single {
    fn text(&self, markdown: bool) -> String {
        let mut out = String::new();
        if !self.kernels.is_empty() {
            let table = if markdown { kernels::markdown } else { kernels::text };
            out += &(table(&self.kernels) + "\n");
        }
        if !self.flash.is_empty() {
            let table = if markdown { flash::markdown } else { flash::text };
            out += &(table(&self.flash) + "\n");
        }
        out
    }
}

/// Everything that the backends share.
struct Bench<'m> {
    target: Target<'m>,
    config: Config,
    rows: Vec<OperatorRow>,
    /// Images that are made together.
    batch: u64,
}

/// Runs it.
pub fn run(args: &Args) -> Result<Held, Failure> {
    let single = Single {
        kernels: if args.kernels {
            kernels::all(&args.board)?
        } else {
            vec![]
        },
        flash: if args.flash { flash::all(&args.board)? } else { vec![] },
    };
    let Some(path) = &args.model else {
        if args.json {
            print::json(&serde_json::json!({
                "counts": COUNTS, "backends": [], "kernels": single.kernels, "runtime_flash": single.flash,
            }))?;
        } else {
            print::text(&single.text(args.markdown))?;
        }
        return Ok(Held::Yes);
    };
    let file = ModelFile::read(path)?;
    let model = file.parse()?;
    let header = model.header();
    let usual = header.schedule.plan().map_or(STEPS, |plan| plan.steps);
    let config = Config::of(header, args.steps.unwrap_or(usual).min(header.train_steps));
    config.validate(header)?;
    let target = Target {
        model: &model,
        bytes: file.bytes(),
    };
    let bench = Bench {
        target,
        config,
        rows: OperatorRow::all(&model),
        batch: args
            .batch
            .unwrap_or(2 * std::thread::available_parallelism().map_or(1, usize::from) as u64),
    };
    let chosen = choices(&args.backends, target, &config).into_iter();
    // The oracle is there to be right, not to be quick.
    let chosen: Vec<_> = chosen
        .filter(|choice| choice.asked || !matches!(choice.backend, Backend::Oracle(_)))
        .collect();
    let bar = progress::bar("measuring", chosen.len() as u64);
    let (mut measured, mut held) = (Vec::new(), true);
    for choice in chosen {
        bar.set_message(choice.backend.to_string());
        let row = bench.row(choice.backend);
        held &= row.why.is_none() || (!row.available && !choice.asked);
        measured.push(row);
        bar.inc(1);
    }
    bar.finish_and_clear();
    if args.json {
        print::json(&serde_json::json!({
            "file": file.path().display().to_string(), "macs_per_step": model.header().macs, "steps": config.steps,
            "counts": COUNTS, "backends": measured, "kernels": single.kernels, "runtime_flash": single.flash,
        }))?;
    } else {
        let table = if args.markdown {
            markdown(&measured)
        } else {
            text(&measured, args.operators)
        };
        print::text(&(single.text(args.markdown) + &table))?;
    }
    Ok(held.into())
}

impl Bench<'_> {
    fn row(&self, backend: Backend) -> Row {
        let empty = Row {
            name: backend.to_string(),
            available: true,
            steps_per_image: IMAGE_STEPS,
            arena_bytes: arena_bytes(self.target.model, &self.config) as u64,
            flash_model_bytes: self.target.bytes.len() as u64,
            ..Row::default()
        };
        let measured = backend.available().and_then(|()| match backend {
            Backend::Board(board, firmware) => self.board(board, firmware, empty.clone()).map_err(BackendError::from),
            Backend::Cuda(executor) => self.cuda(executor, empty.clone()),
            backend => self.host(backend, empty.clone()),
        });
        measured.unwrap_or_else(|error| Row {
            available: !matches!(error, BackendError::Unavailable { .. }),
            why: Some(match error {
                BackendError::Unavailable { what, how, .. } => format!("{what}: {how}"),
                error => error.to_string(),
            }),
            ..empty
        })
    }

    /// Instructions, twice: once for whole steps, once for operators, since watching them costs instructions as well.
    fn board(&self, board: &'static Board, firmware: Firmware, row: Row) -> Result<Row, SimError> {
        let image = Image::link(board, self.target.bytes, &board_options(&self.config, firmware))?;
        let limit = time_limit(self.target.model, &self.config, 1);
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
        let planned = self.target.model.header().schedule.plan().is_some();
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
            .map(|(row, op)| Operator::of(row, op.instructions, None))
            .collect();
        let (operators, kinds) = profile::complete(operators, step);
        let sizes = whole.sizes;
        let parts = Parts::needed_by(self.target.model).of_firmware(firmware);
        let runtime = runtime_flash(board, board.opt_level, &parts, false)?;
        let stack = whole.stack_bytes.max(each.stack_bytes);
        Ok(Row {
            instructions_per_step: step,
            instructions_per_mac: step.map(|step| step as f64 / self.target.model.header().macs.max(1) as f64),
            arena_bytes: sizes.arena_bytes,
            stack_bytes: Some(stack),
            statics_bytes: Some(sizes.statics_bytes),
            ram_bytes: Some(sizes.arena_bytes + sizes.statics_bytes + stack),
            flash_code_bytes: Some(sizes.flash_code_bytes),
            flash_runtime_bytes: Some(runtime.bytes),
            flash_runtime: Some(runtime),
            flash_model_bytes: sizes.flash_model_bytes,
            parse_instructions: Some(whole.parse_instructions),
            operators,
            kinds,
            ..row
        })
    }

    /// Milliseconds of a step on one thread; images a second on all of them.
    fn host(&self, backend: Backend, row: Row) -> Result<Row, BackendError> {
        let (step, operators) = match backend {
            Backend::Cpu => {
                let engine = Engine::prepare(self.target.model);
                (
                    self.median_step(&mut engine.worker())?,
                    self.timed_operators(&mut engine.worker())?,
                )
            }
            Backend::Portable => (self.median_step(&mut Portable)?, self.timed_operators(&mut Portable)?),
            backend => (self.seconds(backend, 1)? / f64::from(self.config.steps), vec![]),
        };
        let image_step = self.median_batch(backend)? / (self.batch as f64 * f64::from(self.config.steps));
        let (operators, kinds) = profile::complete(operators, None);
        Ok(Row {
            ms_per_step: Some(1e3 * step),
            ms_per_image_step: Some(1e3 * image_step),
            images_per_second: Some(1.0 / image_step / f64::from(IMAGE_STEPS)),
            operators,
            kinds,
            ..row
        })
    }

    /// Milliseconds of a step of one image; images a second of a batch. The kernels are loaded and run once before.
    fn cuda(&self, executor: Option<Executor>, row: Row) -> Result<Row, BackendError> {
        let mut gpu = Gpu::prepare(Device::open(0)?, self.target.model)?;
        let mut seconds = |count: u64| -> Result<f64, BackendError> {
            let images: Vec<(u64, Start<'_>)> = (0..count).map(|seed| (seed, Start::Seed)).collect();
            let job = cuda::Job {
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
                gpu.run(&job, |_| ())?;
                times.push(began.elapsed().as_secs_f64());
            }
            // The first one warms up.
            times[1..].sort_by(f64::total_cmp);
            Ok(times[3])
        };
        let steps = f64::from(self.config.steps);
        let (one, batch) = (seconds(1)? / steps, seconds(self.batch)? / (self.batch as f64 * steps));
        Ok(Row {
            ms_per_step: Some(1e3 * one),
            ms_per_image_step: Some(1e3 * batch),
            images_per_second: Some(1.0 / batch / f64::from(IMAGE_STEPS)),
            ..row
        })
    }

    /// Seconds of `images` images.
    fn seconds(&self, backend: Backend, images: u64) -> Result<f64, BackendError> {
        let job = Job::of_seeds(self.config, 0..images);
        let began = Instant::now();
        backend.run(self.target, &job, &|| ())?;
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
    fn median_step(&self, network: &mut impl Network) -> Result<f64, BackendError> {
        let mut memory = AlignedBytes::for_run(self.target.model, &self.config);
        let (mut times, began) = (Vec::new(), Instant::now());
        for run in 0.. {
            let mut arena = Arena::new(memory.bytes_mut())?;
            let mut sampler = Sampler::new(self.target.model, &mut arena, &self.config, &Start::Seed)?;
            loop {
                let start = Instant::now();
                if sampler.step_by(network, &mut Unobserved)?.is_none() {
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

    fn timed_operators(&self, network: &mut impl Network) -> Result<Vec<Operator>, BackendError> {
        let mut memory = AlignedBytes::for_run(self.target.model, &self.config);
        let mut arena = Arena::new(memory.bytes_mut())?;
        let mut sampler = Sampler::new(self.target.model, &mut arena, &self.config, &Start::Seed)?;
        let mut timer = OpTimer::new(self.rows.len());
        while sampler.step_by(network, &mut timer)?.is_some() {}
        let ms = |spent: &Duration| 1e3 * spent.as_secs_f64() / f64::from(self.config.steps);
        Ok(self
            .rows
            .iter()
            .zip(&timer.spent)
            .map(|(row, spent)| Operator::of(row, None, Some(ms(spent))))
            .collect())
    }
}
