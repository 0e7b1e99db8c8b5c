//! What a user asks of a conversion, whatever lies at the path: a network, a decoder alone, or a chain of 2015.
//!
//! [`Conversion`] is the work on a network; a [`ConversionRequest`] finds out what there is, says of it what the checkpoint does not say, and
//! refuses what would do nothing.

use super::noise_of_file;
use crate::backend::footprint::Fit;
use crate::chain::convert::convert as convert_chain;
use crate::chain::files::{Chain, TENSORS, is_chain};
use crate::convert::decoder::{DecoderOptions, Drawing, convert_decoder, noise};
use crate::convert::{Converted, Progress};
use crate::files::{Expected, read_file, sha256};
use crate::images::Shape;
use crate::import::{Decoder, autoencoder};
use crate::plan::Arena;
use crate::quantize::scheme::Scheme;
use crate::report::assemble;
use crate::target::Target;
use crate::{Checkpoint, Conversion, Error, ErrorKind, ModelFile, fitting};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Longest name of a model, bytes.
const LONGEST_NAME: usize = 200;
/// Rows and columns of a latent, at most.
const LARGEST_SIDE: usize = 8192;

/// What is asked of a conversion. `None` and `false` leave it to the checkpoint.
///
/// ```no_run
/// use mote_tools::{ConversionRequest, Scheme};
///
/// let request = ConversionRequest { null_class: Some(10), ..ConversionRequest::of(Scheme::W8A8) };
/// let made = request.convert("my-checkpoint".as_ref(), &|_| ())?;
/// made.file.write("my.mote")?;
/// # Ok::<(), mote_tools::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ConversionRequest {
    /// Number formats.
    pub scheme: Scheme,
    /// The board whose memory bounds the model.
    pub board: Option<Target>,
    /// What the arena is planned for.
    pub arena: Option<Arena>,
    /// Whether measured error decides more of the model ([`Conversion::refined`]).
    pub refine: bool,
    /// The model's name.
    pub name: Option<String>,
    /// The label that stands for no class.
    pub null_class: Option<usize>,
    /// Keep the labels below this one, and that of no class.
    pub labels: Option<usize>,
    /// Condition vectors to calibrate with, `FILE[:KEY]`; of a decoder its latents.
    pub calibration: Option<OsString>,
    /// The least and the largest number of a condition vector.
    pub condition_range: Option<[f64; 2]>,
    /// The number that stood for every number of a condition vector where training dropped it.
    pub condition_null: Option<f64>,
    /// Rows and columns of a latent, for a decoder alone.
    pub latent: Option<[usize; 2]>,
    /// Whether variances that the network learned stay in the file.
    pub keep_variances: bool,
    /// Whether names and provenance are left out of the file.
    pub strip: bool,
    /// Whether a page is made of the conversion; what it says that it was made by.
    pub report: Option<String>,
}

/// What lies at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A network, or what should be one.
    Network,
    /// An autoencoder in this folder, and no network beside it.
    Decoder(PathBuf),
    /// A chain of 2015.
    Chain,
}

impl Found {
    /// Looks at `path`.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        match autoencoder::alone(path) {
            _ if is_chain(path) => Self::Chain,
            Some(folder) => Self::Decoder(folder),
            None => Self::Network,
        }
    }
}

/// A chain that was converted.
#[derive(Debug)]
pub struct ConvertedChain {
    /// The chain.
    pub chain: Chain,
    /// The number formats that were chosen.
    pub scheme: Scheme,
    /// SHA-256 of its tensors.
    pub sha256: String,
    /// What was made of it.
    pub converted: Converted,
}

/// What a conversion made, of whatever it was asked.
#[derive(Debug)]
pub struct Made {
    /// The file.
    pub file: ModelFile,
    /// What a user should know, a sentence each.
    pub notes: Vec<String>,
    /// The conversion, for training; `None` of a decoder and of a chain.
    pub converted: Option<Converted>,
    /// The page about it, where that was asked for.
    pub report: Option<String>,
}

impl ConversionRequest {
    /// These number formats, and all else as the checkpoint says.
    #[must_use]
    pub fn of(scheme: Scheme) -> Self {
        Self {
            scheme,
            board: None,
            arena: None,
            refine: false,
            name: None,
            null_class: None,
            labels: None,
            calibration: None,
            condition_range: None,
            condition_null: None,
            latent: None,
            keep_variances: false,
            strip: false,
            report: None,
        }
    }

    /// Checks what needs no file.
    ///
    /// # Errors
    /// Of kind `Usage`.
    pub fn check(&self) -> Result<(), Error> {
        if let Some(problem) = self.name.as_deref().and_then(|name| checked_name(name).err()) {
            return Err(Error::usage(problem).help("give another --name, or leave it out"));
        }
        if self.refine && !matches!(self.scheme, Scheme::W8A8 | Scheme::W8A16 | Scheme::W4A8 | Scheme::W4A16) {
            return Err(Error::usage(format_args!(
                "--refine would do nothing for {}: it is for schemes of 4 or 8 bits that are given",
                self.scheme
            ))
            .help("add --scheme w8a8, w8a16, w4a8 or w4a16, or leave --refine out"));
        }
        if let Some(range) = self.condition_range
            && !is_range(range)
        {
            let [low, high] = range;
            return Err(
                Error::usage(format_args!("--condition-range is {low},{high}, which is no range"))
                    .help("give two finite numbers, the least first"),
            );
        }
        if self.condition_null.is_some_and(|null| !null.is_finite()) {
            return Err(Error::usage("--condition-null is no finite number").help("give a number, such as 0"));
        }
        match self.latent {
            Some(sides) if !is_latent(sides) => Err(Error::usage(format_args!(
                "--latent is {}x{}, which is no extent",
                sides[0], sides[1]
            ))
            .help(format_args!("give rows and columns from 1 to {LARGEST_SIDE}"))),
            _ => Ok(()),
        }
    }

    /// Converts what lies at `path`. `progress` is told how far calibration and measuring are.
    ///
    /// # Errors
    /// Of kind `Usage` for what would do nothing, of kind `Input` for what is not supported, of kind `TooLarge` where a board is too small.
    pub fn convert(&self, path: &Path, progress: &(dyn Fn(Progress) + Sync)) -> Result<Made, Error> {
        match Found::at(path) {
            Found::Chain => {
                let made = self.chain(path)?;
                Ok(Made {
                    file: made.converted.file()?,
                    notes: made.converted.notes,
                    converted: None,
                    report: None,
                })
            }
            Found::Decoder(folder) => {
                let (_, drawing) = self.decoder(&folder)?;
                Ok(Made {
                    file: ModelFile::from_bytes(&drawing.emitted.bytes)?,
                    notes: drawing.notes,
                    converted: None,
                    report: None,
                })
            }
            Found::Network => {
                let checkpoint = self.checkpoint(path)?;
                let converted = self.network(&checkpoint, progress)?;
                let page = |by: &String| assemble::of_conversion(&converted, &checkpoint, by);
                Ok(Made {
                    file: converted.file()?,
                    notes: checkpoint.notes.iter().chain(&converted.notes).cloned().collect(),
                    report: self.report.as_ref().map(page).transpose()?,
                    converted: Some(converted),
                })
            }
        }
    }

    /// The network's checkpoint, with what is said in place of what it says itself.
    ///
    /// # Errors
    /// As [`Checkpoint::open`]; of kind `Usage` where something is said of what the network does not have.
    pub fn checkpoint(&self, path: &Path) -> Result<Checkpoint, Error> {
        let mut checkpoint = Checkpoint::open(path)?;
        self.said_of(&mut checkpoint)?;
        Ok(checkpoint)
    }

    /// Says it of a checkpoint that is open.
    ///
    /// # Errors
    /// As [`ConversionRequest::checkpoint`].
    pub fn said_of(&self, checkpoint: &mut Checkpoint) -> Result<(), Error> {
        self.check()?;
        if self.latent.is_some() {
            return Err(
                Error::usage("--latent: a network's own configuration says how large its samples are")
                    .help("leave --latent out"),
            );
        }
        if let Some(name) = &self.name {
            checkpoint.name.clone_from(name);
        }
        if let Some(label) = self.null_class {
            let help = "give --null-class the label that the network was trained to take for none, or leave it out";
            let set = checkpoint.set_null_class(label);
            set.map_err(|error| Error::coded(ErrorKind::Usage, error).help(help))?;
        }
        if let Some(count) = self.labels {
            let help = "give --labels from 1 to the number of the network's labels, or leave it out";
            let kept = checkpoint.keep_labels(count);
            kept.map_err(|error| Error::coded(ErrorKind::Usage, error).help(help))?;
        }
        if self.keep_variances {
            let help = "save the scheduler that the network was trained with, or leave --learned-variance out";
            let kept = checkpoint.keep_variances();
            kept.map_err(|error| Error::usage(error).help(help))?;
        }
        self.condition_of(checkpoint)
    }

    fn condition_of(&self, checkpoint: &mut Checkpoint) -> Result<(), Error> {
        let said = self.condition_range.is_some() || self.condition_null.is_some();
        match &mut checkpoint.graph.condition {
            Some(condition) => {
                condition.range = self.condition_range.or(condition.range);
                condition.null = self.condition_null.or(condition.null);
            }
            None if said => {
                return Err(Error::usage("the network takes no condition vector")
                    .help("leave --condition-range and --condition-null out"));
            }
            None => {}
        }
        if let Some(calibration) = &self.calibration {
            checkpoint.calibration = Some(calibration.clone());
        }
        Ok(())
    }

    /// Converts a network's checkpoint, of which all is said.
    ///
    /// # Errors
    /// As [`Conversion::convert`].
    pub fn network(&self, checkpoint: &Checkpoint, progress: &(dyn Fn(Progress) + Sync)) -> Result<Converted, Error> {
        let mut conversion = Conversion::new(self.scheme);
        if self.refine {
            let trained = checkpoint.trained.as_ref();
            if trained.is_some_and(|trained| trained.scheme == self.scheme.name()) {
                return Err(Error::usage("--refine would do nothing: the checkpoint was trained under the number formats of its quantization.json, which stand")
                    .help("leave --refine out, or remove the file"));
            }
            conversion = conversion.refined();
        }
        if let Some(board) = &self.board {
            conversion = conversion.for_board(board.clone());
        }
        if let Some(arena) = self.arena {
            conversion = conversion.in_arena(arena);
        }
        let mut converted = conversion.convert_with(checkpoint, progress)?;
        if self.strip {
            converted.emitted.strip()?;
        }
        Ok(converted)
    }

    /// Converts the decoder of the autoencoder in `folder`.
    ///
    /// # Errors
    /// As [`ConversionRequest::convert`].
    pub fn decoder(&self, folder: &Path) -> Result<(Decoder, Drawing), Error> {
        self.check()?;
        let taken = ["--calibration", "--latent"];
        if let Some((option, _)) = (self.given().iter()).find(|(option, given)| *given && !taken.contains(option)) {
            return Err(Error::usage(format_args!("{option}: a decoder alone has none"))
                .help(format_args!("leave {option} out")));
        }
        let latent = self.latent.map(|[rows, cols]| [0, rows, cols]);
        let decoder = autoencoder::read(folder, latent)?;
        let [channels, rows, cols] = decoder.graph.sample_shape();
        let latents = match &self.calibration {
            Some(file) => noise_of_file(file, Shape { rows, cols, channels })?,
            None => noise(&decoder),
        };
        let options = DecoderOptions {
            scheme: self.scheme,
            arena: self.arena.unwrap_or(Arena::Fast),
            enough: 0,
        };
        let mut made = convert_decoder(&decoder, &latents, options)?;
        if self.calibration.is_none() {
            let note = "calibrated on latents of normal noise: --calibration FILE.safetensors[:KEY] takes real ones";
            made.notes.insert(0, note.to_owned());
        }
        if self.strip {
            made.emitted.strip()?;
        }
        self.holds("the decoder", &ModelFile::from_bytes(&made.emitted.bytes)?)?;
        Ok((decoder, made))
    }

    /// Converts the chain in `folder`.
    ///
    /// # Errors
    /// As [`ConversionRequest::convert`].
    pub fn chain(&self, folder: &Path) -> Result<ConvertedChain, Error> {
        self.check()?;
        if let Some((option, _)) = self.given().iter().find(|(_, given)| *given) {
            let why = match *option {
                "--null-class" | "--labels" => "has no labels",
                "--latent" => "makes no latents",
                "--name" => "is called as its preset",
                "--learned-variance" => "has no variances of a network",
                "--refine" => "has no activations of 8 bits",
                "--report" => {
                    return Err(Error::usage("--report: a chain's conversion has none")
                        .help("leave --report out: `mote train` wrote the chain's own, report.html in its folder"));
                }
                _ => "takes no condition vector",
            };
            return Err(
                Error::usage(format_args!("{option} would do nothing: a chain of 2015 {why}"))
                    .help(format_args!("leave {option} out")),
            );
        }
        let (chain, _) = Chain::read(folder)
            .map_err(|error| Error::coded(ErrorKind::Input, error).help("train it again: `mote train --preset`"))?;
        let scheme = chain
            .scheme(self.scheme)
            .map_err(|problem| Error::usage(problem).help("choose --scheme auto, f16, w8a16 or w16a16"))?;
        let tensors = Expected::any("a chain's tensors", "give a chain's folder", 1 << 32);
        let hash = sha256(&read_file(&folder.join(TENSORS), &tensors)?);
        let mut converted =
            convert_chain(&chain, scheme, self.arena, &hash).map_err(|error| Error::coded(ErrorKind::Failed, error))?;
        if self.strip {
            converted.emitted.strip()?;
        }
        self.holds(&format!("the {}", chain.preset()), &converted.file()?)?;
        Ok(ConvertedChain {
            chain,
            scheme,
            sha256: hash,
            converted,
        })
    }

    /// Options that not everything has a use for, and whether they are given.
    fn given(&self) -> [(&'static str, bool); 10] {
        [
            ("--calibration", self.calibration.is_some()),
            ("--condition-range", self.condition_range.is_some()),
            ("--condition-null", self.condition_null.is_some()),
            ("--null-class", self.null_class.is_some()),
            ("--labels", self.labels.is_some()),
            ("--latent", self.latent.is_some()),
            ("--name", self.name.is_some()),
            ("--learned-variance", self.keep_variances),
            ("--report", self.report.is_some()),
            ("--refine", self.refine),
        ]
    }

    /// Refuses what the board cannot hold.
    fn holds(&self, what: &str, file: &ModelFile) -> Result<(), Error> {
        let (model, size) = (file.model(), file.bytes().len());
        let fit = self.board.as_ref().map(|board| Fit::of(board, model, size, false));
        match fit.filter(|fit| !fit.fits) {
            None => Ok(()),
            Some(fit) => {
                let what = format!("{what} does not fit {}: it {}", fit.name, fit.why);
                Err(Error::of(ErrorKind::TooLarge, what)
                    .help(format_args!("it fits {}", fitting(model, size).join(", "))))
            }
        }
    }
}

/// A model's name: a line.
///
/// # Errors
/// Where it is none.
pub fn checked_name(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > LONGEST_NAME || text.chars().any(char::is_control) {
        return Err(format!(
            "a name has 1 to {LONGEST_NAME} bytes and no control characters"
        ));
    }
    Ok(text.to_owned())
}

/// Whether it is a least number and a larger one.
#[must_use]
pub fn is_range([low, high]: [f64; 2]) -> bool {
    low.is_finite() && high.is_finite() && low < high
}

/// Whether these are rows and columns of a latent.
#[must_use]
pub fn is_latent(sides: [usize; 2]) -> bool {
    sides.iter().all(|side| (1..=LARGEST_SIDE).contains(side))
}
