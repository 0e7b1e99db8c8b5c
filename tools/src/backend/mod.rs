//! Whatever can run a model file, behind one question: these images, this configuration, which digests?
//!
//! - `cpu`: this machine, an image a thread, in the engine's kernels or in the runtime's own.
//! - `board`: the real firmware on a simulated board; compact, without the part `fast`, on request.
//! - `cuda`: an NVIDIA GPU, many images at once.
//! - `oracle`: the independent second implementation, slow.
//! - `wasm`: the module that the page of a report samples with, in an interpreter; of the Cargo feature `wasm`.
//! - [`predict`]: single network calls.
//! - [`footprint`]: what a model takes of a board, estimated without building anything.
//! - [`apart`]: the same of a model that is cut in two.

pub mod apart;
mod board;
mod cpu;
pub mod cuda;
pub mod footprint;
pub mod oracle;
mod pictures;
pub mod predict;
#[cfg(feature = "wasm")]
mod wasm;

pub use board::{options as board_options, time_limit};
pub use cpu::OpTimer;
pub use pictures::{Drawn, pictures};

use crate::condition::Images;
use mote_cuda::{CudaError, Executor};
use mote_firmware_sim::{Availability, Board, Chip, Firmware, SimError};
use mote_runtime::{Config, Feature, Model, RunError, Start};
use std::fmt;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

/// What stands after a board's name for its firmware without quick kernels.
const COMPACT: &str = "compact";

/// What a build without the Cargo feature `wasm` lacks, and how to get it.
const WITHOUT_WASM: &str = "this build has no interpreter of WebAssembly";
const WITH_WASM: &str =
    "build it with the Cargo feature `wasm`, as in `cargo run --release --features wasm -- sample ...`";

/// Images that [`Backend::stream`] makes at once where the backend has no batches of its own.
const CHUNK: usize = 256;

/// Something that runs models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// The independent implementation; with a deliberate error in operators of this kind where one is named.
    Oracle(Option<&'static str>),
    /// This machine, with the kernels that are fastest on it.
    Cpu,
    /// The runtime's own kernels, which are the device's, on this machine.
    Portable,
    /// A graphics processor; with this executor where one is named.
    Cuda(Option<Executor>),
    /// The module that the page of a report samples with; in builds with the Cargo feature `wasm`.
    Wasm,
    /// The firmware on a simulated board.
    Board(&'static Board, Firmware),
}

/// A model as its file and as what was parsed from it.
#[derive(Debug, Clone, Copy)]
pub struct OpenModel<'m> {
    /// The parsed file.
    pub model: &'m Model<'m>,
    /// The file.
    pub bytes: &'m [u8],
}

/// Where an image starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Noise from the image's seed.
    Seed,
    /// Given noise, Q24, `(row, col, channel)`.
    Noise(Vec<i32>),
    /// A clean image, noised.
    Image {
        /// Q24, `(row, col, channel)`; many images share it.
        image_q24: Arc<[i32]>,
        /// Share of the steps that are run, Q16.
        strength_q16: u32,
    },
    /// Between the noises of the image's seed and of another.
    Between {
        /// The other seed.
        second: u64,
        /// How far towards it, Q16.
        part_q16: u32,
    },
}

impl Origin {
    /// As the runtime takes it.
    pub fn start(&self) -> Start<'_> {
        match self {
            Self::Seed => Start::Seed,
            Self::Noise(noise) => Start::Noise(noise),
            Self::Image {
                image_q24,
                strength_q16,
            } => Start::Image {
                image_q24,
                strength_q16: *strength_q16,
            },
            Self::Between { second, part_q16 } => Start::Between {
                second: *second,
                part_q16: *part_q16,
            },
        }
    }
}

/// One image to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRequest {
    /// Seed of its noise.
    pub seed: u64,
    /// Where it starts.
    pub origin: Origin,
    /// Its condition vector, in the model's fixed point; `None` for a model that takes none.
    pub condition: Option<Arc<[i32]>>,
}

/// What to make, and what to watch meanwhile.
#[derive(Debug, Clone)]
pub struct Sampling {
    /// Everything but the seed.
    pub config: Config,
    /// The images.
    pub images: Vec<ImageRequest>,
    /// Elements that are known in every image, Q24, `(row, col, channel)`, [`UNKNOWN`](mote_runtime::internals::sampler::UNKNOWN) where they
    /// are not; `None` where all is to be made.
    pub known: Option<Vec<i32>>,
    /// How well the known elements of a chain are known ([`Sampler::posterior`](mote_runtime::Sampler::posterior)); 0 of other models.
    pub known_noise: u32,
    /// Digest every operator's output as well.
    pub operators: bool,
}

impl Sampling {
    /// An image from each seed.
    pub fn of_seeds(config: Config, seeds: impl IntoIterator<Item = u64>) -> Self {
        let seeds: Vec<u64> = seeds.into_iter().collect();
        Self::of_images(config, Images::from(&seeds))
    }

    /// An image from each seed, on its condition.
    pub fn of_images(config: Config, images: Images<'_>) -> Self {
        let wanted = |(seed, condition): (u64, Option<&Arc<[i32]>>)| ImageRequest {
            seed,
            origin: Origin::Seed,
            condition: condition.cloned(),
        };
        let images = images.each().into_iter().map(wanted).collect();
        Self {
            config,
            images,
            known: None,
            known_noise: 0,
            operators: false,
        }
    }

    /// The same for some of the images.
    pub(crate) fn part(&self, images: Range<usize>) -> Self {
        Self {
            config: self.config,
            images: self.images[images].to_vec(),
            operators: self.operators,
            known: self.known.clone(),
            known_noise: self.known_noise,
        }
    }

    fn config_of(&self, image: &ImageRequest) -> Config {
        Config {
            seed: image.seed,
            ..self.config
        }
    }
}

/// A finished step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepTrace {
    /// Number of the step, 0 first.
    pub index: u32,
    /// Training timestep.
    pub timestep: u32,
    /// Digest of the state after it.
    pub digest: u64,
    /// Digests of the operators' outputs in the order of execution, where asked for; under guidance the conditional call first.
    pub operators: Vec<u64>,
}

/// A finished image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    /// Its seed.
    pub seed: u64,
    /// Its steps.
    pub steps: Vec<StepTrace>,
    /// Its pixels, `(row, col, channel)`: of the state, or of the picture that the model's decoder makes of it.
    pub pixels: Vec<u8>,
    /// The final state, Q24, `(row, col, channel)`.
    pub state: Vec<i32>,
    /// The decoder's call after the last step, of a model that has one: the digest of the picture, whose pixels then are
    /// [`Trace::pixels`].
    pub picture: Option<StepTrace>,
}

impl Trace {
    /// Digest of the final state; 0 where no step was run.
    pub fn digest(&self) -> u64 {
        self.steps.last().map_or(0, |step| step.digest)
    }
}

/// Why a backend gave no images.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// It cannot run here.
    #[error("{name} cannot run here: {what}")]
    Unavailable {
        /// The backend.
        name: String,
        /// What is missing.
        what: String,
        /// How to get it.
        how: String,
    },
    /// The runtime refused the run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The oracle refused the run.
    #[error("oracle: {0}")]
    Oracle(#[from] mote_oracle::OracleError),
    /// The GPU failed.
    #[error(transparent)]
    Cuda(CudaError),
    /// The page's module was built without a part that the run needs.
    #[error("the run needs the feature '{0}', without which the module of the page was built")]
    NotInPage(Feature),
    /// The page's module failed.
    #[error("the module of the page: {0}")]
    Page(String),
    /// The board failed, or the model does not fit it.
    #[error(transparent)]
    Board(mote_firmware_sim::SimError),
}

impl From<SimError> for BackendError {
    fn from(error: SimError) -> Self {
        let unavailable = |what: String, how: String| Self::Unavailable {
            name: "the board".into(),
            what,
            how,
        };
        match error {
            SimError::Missing { what, how } => unavailable(format!("missing {what}"), how),
            SimError::NoSource(_) => unavailable(error.to_string(), "run it from the source tree".into()),
            error => Self::Board(error),
        }
    }
}

impl Backend {
    /// The backend of that name: `cpu`, `portable`, `oracle`, `wasm`, `cuda` (or `cuda:layered`, `cuda:resident`), `board:NAME` or
    /// `board:NAME/compact`.
    pub fn parse(name: &str) -> Result<Self, String> {
        match (name, name.strip_prefix("board:")) {
            ("cpu", _) => Ok(Self::Cpu),
            ("portable", _) => Ok(Self::Portable),
            ("cuda", _) => Ok(Self::Cuda(None)),
            ("cuda:layered", _) => Ok(Self::Cuda(Some(Executor::Layered))),
            ("cuda:resident", _) => Ok(Self::Cuda(Some(Executor::Resident))),
            ("oracle", _) => Ok(Self::Oracle(None)),
            ("wasm", _) => Ok(Self::Wasm),
            (_, Some(board)) => match board.split_once('/') {
                None => Ok(Self::Board(named_board(board)?, Firmware::Fast)),
                Some((board, COMPACT)) => Ok(Self::Board(named_board(board)?, Firmware::Compact)),
                Some((board, other)) => Err(format!(
                    "unknown firmware '{other}'; choose board:{board} or board:{board}/{COMPACT}"
                )),
            },
            _ => Err(format!(
                "unknown backend '{name}'; choose cpu, portable, oracle, wasm, cuda, board:NAME or board:NAME/{COMPACT}"
            )),
        }
    }

    /// Whether it can run here; otherwise what is missing and how to get it.
    pub fn available(&self) -> Result<(), BackendError> {
        let missing = |what: &str, how: &str| {
            Err(BackendError::Unavailable {
                name: self.to_string(),
                what: what.to_owned(),
                how: how.to_owned(),
            })
        };
        match self {
            Self::Oracle(_) | Self::Cpu | Self::Portable => Ok(()),
            Self::Wasm if cfg!(feature = "wasm") => Ok(()),
            Self::Wasm => missing(WITHOUT_WASM, WITH_WASM),
            Self::Cuda(_) => cuda::available(),
            Self::Board(board, _) => match board.available() {
                Availability::Ok => Ok(()),
                Availability::Missing { what, how } => {
                    missing(&format!("missing {}", what.join(", ")), &how.join("; "))
                }
            },
        }
    }

    /// Refuses what is known of a chain on a backend without the second factor.
    fn has_factor(&self, opened: OpenModel<'_>, sampling: &Sampling) -> Result<(), BackendError> {
        let known = sampling.known.is_some() && opened.model.header().prediction.is_chain();
        if !known || !matches!(self, Self::Cuda(_) | Self::Wasm) {
            return Ok(());
        }
        Err(BackendError::Unavailable {
            name: self.to_string(),
            what: "it does not have the second factor of chains".to_owned(),
            how: "run it on cpu, portable, oracle or a board, or leave --known out".to_owned(),
        })
    }

    /// Makes the images of `sampling`, in order; calls `on_step` after each step where it can.
    pub fn run(
        &self,
        opened: OpenModel<'_>,
        sampling: &Sampling,
        on_step: &(dyn Fn() + Sync),
    ) -> Result<Vec<Trace>, BackendError> {
        sampling.config.validate_for(opened.model)?;
        self.has_factor(opened, sampling)?;
        self.available()?;
        match self {
            Self::Cpu => cpu::run(opened, sampling, on_step),
            Self::Portable => cpu::run_portable(opened, sampling, on_step),
            Self::Oracle(fault) => oracle::run(opened, sampling, *fault, on_step),
            #[cfg(feature = "wasm")]
            Self::Wasm => wasm::run(opened, sampling, on_step),
            #[cfg(not(feature = "wasm"))]
            Self::Wasm => self.available().map(|()| vec![]),
            Self::Board(board, firmware) => board::run(board, *firmware, opened, sampling, on_step),
            Self::Cuda(executor) => {
                let mut traces = Vec::with_capacity(sampling.images.len());
                cuda::stream(opened, sampling, *executor, &mut |batch| {
                    batch
                        .iter()
                        .for_each(|trace| trace.steps.iter().for_each(|_| on_step()));
                    traces.extend(batch);
                    ControlFlow::Continue(())
                })?;
                Ok(traces)
            }
        }
    }

    /// Makes the images of `sampling` and hands them on in order, some at a time, for as long as `take` wants more: however many there are,
    /// memory holds few.
    pub fn stream(
        &self,
        opened: OpenModel<'_>,
        sampling: &Sampling,
        take: &mut dyn FnMut(Vec<Trace>) -> ControlFlow<()>,
    ) -> Result<(), BackendError> {
        self.stream_with(opened, sampling, &|| (), take)
    }

    /// The same; calls `on_step` after each step where it can.
    pub fn stream_with(
        &self,
        opened: OpenModel<'_>,
        sampling: &Sampling,
        on_step: &(dyn Fn() + Sync),
        take: &mut dyn FnMut(Vec<Trace>) -> ControlFlow<()>,
    ) -> Result<(), BackendError> {
        if let Self::Cuda(executor) = self {
            sampling.config.validate_for(opened.model)?;
            self.has_factor(opened, sampling)?;
            return cuda::stream(opened, sampling, *executor, &mut |batch| {
                batch.iter().flat_map(|trace| &trace.steps).for_each(|_| on_step());
                take(batch)
            });
        }
        for images in sampling.images.chunks(CHUNK) {
            let part = Sampling {
                config: sampling.config,
                images: images.to_vec(),
                operators: sampling.operators,
                known: sampling.known.clone(),
                known_noise: sampling.known_noise,
            };
            if take(self.run(opened, &part, on_step)?).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Oracle(None) => f.write_str("oracle"),
            Self::Oracle(Some(kind)) => write!(f, "oracle (broken {kind})"),
            Self::Cpu => f.write_str("cpu"),
            Self::Portable => f.write_str("portable"),
            Self::Wasm => f.write_str("wasm"),
            Self::Cuda(None) => f.write_str("cuda"),
            Self::Cuda(Some(Executor::Layered)) => f.write_str("cuda:layered"),
            Self::Cuda(Some(Executor::Resident)) => f.write_str("cuda:resident"),
            Self::Board(board, Firmware::Fast) => write!(f, "board:{}", board.name),
            Self::Board(board, Firmware::Compact) => write!(f, "board:{}/{COMPACT}", board.name),
        }
    }
}

/// The simulated board of that name.
///
/// # Errors
/// Of kind `Usage`, with the names that there are.
pub fn board_named(name: &str) -> Result<&'static Board, crate::Error> {
    named_board(name).map_err(crate::Error::usage)
}

/// The board of that name, or the names that there are.
pub fn named_board(name: &str) -> Result<&'static Board, String> {
    if let (None, Some(chip)) = (Board::named(name), Chip::named(name)) {
        let refused = crate::target::Target::from(chip).emulator();
        return refused.map_err(|error| format!("{error}; {}", error.advice().unwrap_or_default()));
    }
    Board::named(name).ok_or_else(|| {
        let names: Vec<&str> = mote_firmware_sim::boards().iter().map(|board| board.name).collect();
        format!("unknown board '{name}'; there are {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for name in [
            "cpu",
            "portable",
            "cuda",
            "cuda:layered",
            "cuda:resident",
            "oracle",
            "wasm",
            "board:microbit",
            "board:microbit/compact",
        ] {
            assert_eq!(Backend::parse(name).unwrap().to_string(), name);
        }
        assert!(Backend::parse("board:toaster").unwrap_err().contains("microbit"));
        assert!(
            Backend::parse("board:toaster/compact")
                .unwrap_err()
                .contains("microbit")
        );
        let error = Backend::parse("board:microbit/small").unwrap_err();
        assert!(
            error.contains("'small'") && error.contains("board:microbit/compact"),
            "{error}"
        );
        assert!(Backend::parse("gpu").is_err());
    }

    #[cfg(not(feature = "wasm"))]
    #[test]
    fn a_build_without_the_interpreter_says_how_to_get_it() {
        let Err(BackendError::Unavailable { how, .. }) = Backend::Wasm.available() else {
            panic!("there is no interpreter");
        };
        assert!(how.contains("--features wasm"), "{how}");
    }
}
