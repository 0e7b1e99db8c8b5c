//! Mote's tools: trained diffusion models become files for microcontrollers, and the files are run, checked and measured.
//!
//! ```
//! use mote_tools::{Checkpoint, Conversion, Request, RunOptions, Scheme, board_named};
//!
//! // A checkpoint as diffusers saves it (`Checkpoint::open("folder")`), or the one that is bundled.
//! let checkpoint = Checkpoint::bundled()?;
//!
//! // Its model file, here in f16; a board's memory can bound it.
//! let file = Conversion::new(Scheme::F16).for_board(board_named("mps2-an386")?).convert(&checkpoint)?.file()?;
//!
//! // Images: the same bytes on this machine and on the board.
//! let run = RunOptions { steps: Some(2), ..RunOptions::default() };
//! let images = file.sample(&Request { run, seed: 7, ..Request::default() })?;
//! println!("{} pixels, digest {:016x}", images[0].pixels.len(), images[0].digest());
//! # Ok::<(), mote_tools::Error>(())
//! ```
//!
//! # The front door
//!
//! | to | use |
//! |---|---|
//! | read a checkpoint | [`Checkpoint::open`] |
//! | convert it, for a board, in a [`Scheme`] | [`Conversion`]; whatever lies at a path, [`ConversionRequest`] |
//! | open, inspect, plan, report on a model file | [`ModelFile`] |
//! | ask for images | [`Request`], [`RunOptions`], [`StartFrom`], [`ModelFile::sample`] |
//! | write them | [`images::sheet`], [`images::ImageSink`] |
//! | spread a run over machines | [`Shard`], [`merge`] |
//! | hold every [`Backend`] to the same bits | [`Validation`], [`ModelFile::validate`] |
//! | compare with the float network, or with PyTorch | [`ModelFile::compare`], [`crosscheck::crosscheck`] |
//! | name a board, a chip, or describe one | [`target::Target`] |
//! | know what it takes of a board, and what a step costs | [`ModelFile::fit`], [`bench::Bench`] |
//! | compare two model files | [`diff::difference`] |
//! | see which tools are here | [`doctor::examine`] |
//! | measure a checkpoint: bits, likelihood, samplers | [`eval::Subject`] |
//! | close a policy's loop: history, actions, scaling | [`policy_loop::PolicyLoop`] |
//! | begin a firmware project around a model | [`project::NewProject`] |
//! | train a checkpoint | [`train`], [`data`] |
//!
//! What of it takes a moment, in one run:
//!
//! ```
//! use mote_tools::project::{Kind, NewProject};
//! use mote_tools::{Backend, Checkpoint, Conversion, FloatDevice, ModelFile, Request, RunOptions, Scheme};
//! use mote_tools::{diff, doctor, images, target::Target};
//!
//! let checkpoint = Checkpoint::bundled()?;
//! let file = Conversion::new(Scheme::F16).convert(&checkpoint)?.file()?;
//! # let folder = tempfile::tempdir()?;
//! # let [path, picture, project] = ["clothes.mote", "sheet.png", "wearable"].map(|name| folder.path().join(name));
//!
//! // The file: written, opened, inspected; planned for one run; cut in two for external flash; drawn as a page.
//! file.write(&path)?;
//! assert_eq!(ModelFile::open(&path)?.sha256(), ModelFile::from_bytes(file.bytes())?.sha256());
//! assert_eq!(file.inspect()["scheme"], file.provenance()["scheme"]);
//! let run = RunOptions { steps: Some(2), ..RunOptions::default() };
//! let planned = file.planned(&run)?;
//! assert!(file.split().is_ok() && file.report("a command").starts_with("<!DOCTYPE html>"));
//!
//! // Images on any backend, and a sheet of them.
//! let request = Request { run, count: Some(2), ..Request::default() };
//! let made = file.sample_on(Backend::Portable, &request, &|| ())?;
//! assert_eq!(made[0].digest(), file.sample(&request)?[0].digest());
//! std::fs::write(&picture, images::encode(&images::sheet(&made, file.model(), None, 4))?)?;
//!
//! // How far it is from the float network, and from another file.
//! let float = file.compare(&checkpoint, &request, 1, FloatDevice::Cpu)?;
//! assert!(float.x0_psnr_db_mean > 40.0);
//! let found = diff::difference([&file, &file], Some(&request))?;
//! assert!(found.same_bytes && found.images.is_some_and(|images| images.equal == 2));
//!
//! // Boards and chips; a firmware project; the tools that are here.
//! let board = Target::named("mps2-an386")?;
//! assert!(file.fit(board.clone()).fits && file.fits().len() > 5);
//! NewProject { folder: project, kind: Kind::Rust, model: path, board, steps: None, mote: None }.write()?;
//! assert!(!doctor::examine().is_empty());
//! # let _ = planned;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Every function of the table fails with [`Error`], which says what is wrong and what to do; [`Checkpoint::open`] with one that `?` makes it of. The command `mote` (`tools/cli`) is these
//! functions with arguments and printing; `examples/` shows the first four.
//!
//! # Behind it
//!
//! Ignore the other modules, unless you work on this repository. They are the stages that data passes, in this order, and may change:
//!
//! 1. [`import`], the crate `mote-import`: a checkpoint's folder becomes a float graph and a noise schedule.
//! 2. The crate `mote-compile`: [`lower`], [`quantize`], [`plan`], [`emit`] and [`widths`] make a model file of the graph.
//! 3. [`convert`] runs 1 and 2.
//!
//! Before them all: [`data`] reads images and [`train`] makes a checkpoint of them.
//! [`chain`] does the same for a diffusion chain of 2015, which is trained here.
//!
//! What is asked afterwards: [`backend`] runs a model file on this machine, on simulated boards and by an independent
//! implementation; [`validate`] compares them bit by bit, and with the float network; [`crosscheck`] compares the float network with
//! PyTorch. [`mod@bench`] and [`kernels`] measure what steps and single operators cost. [`report`] draws it all as one page. [`images`],
//! [`tensors`], [`files`] and [`names`] read and write what goes in and out.

pub mod backend;
pub mod bench;
pub mod chain;
pub mod condition;
pub mod convert;
pub mod crosscheck;
pub mod data;
pub mod diff;
pub mod doctor;
pub mod estimate;
pub mod eval;
pub mod files;
pub mod images;
pub mod inspect;
pub mod kernels;
pub mod names;
pub mod policy_loop;
pub mod project;
pub mod report;
pub mod request;
pub mod samplers;
pub mod shard;
pub mod target;
pub mod tensors;
pub mod train;
pub mod validate;

mod conversion;
mod error;
mod model_file;

pub use mote_compile::{emit, lower, ops, plan, program, quantize, widths};

pub use backend::footprint::Fit;
pub use backend::{Backend, Trace, board_named};
pub use condition::Conditions;
pub use conversion::{BUNDLED_PARTS, Conversion, fitting};
pub use convert::{Converted, Progress};
pub use error::code::{self, Code};
pub use error::{Error, ErrorKind, escaped};
pub use model_file::ModelFile;
pub use mote_firmware_sim::{Board, boards};
pub use mote_import as import;
pub use mote_import::Checkpoint;
pub use mote_runtime::Method;
pub use plan::Arena;
pub use quantize::scheme::Scheme;
pub use request::conversion::ConversionRequest;
pub use request::{Request, RunOptions, SecondFactor, StartFrom};
pub use shard::{Merged, Shard, merge};
pub use target::Target;
pub use validate::{FloatDevice, Validation};
