//! Converting a checkpoint for a board: what is left of the board decides the number formats, and what does not fit is refused.

use crate::backend::footprint::Fit;
use crate::convert::{ConvertError, Converted, Options, Progress, convert};
use crate::import::Checkpoint;
use crate::model_file::ModelFile;
use crate::plan::Arena;
use crate::quantize::scheme::Scheme;
use crate::target::Target;
use crate::widths::auto::{AutoError, Budget};
use crate::widths::trial::QuantizeError;
use crate::{Error, ErrorKind};
use mote_engine::memory::AlignedBytes;
use mote_firmware_sim::{Parts, boards};
use mote_runtime::{Feature, Model};

/// The parts of the runtime that the bundled checkpoint's model needs, as [`Scheme::Auto`] converts it: its firmware can be compiled while
/// it is converted.
pub const BUNDLED_PARTS: [Feature; 5] = [
    Feature::Integer,
    Feature::W16,
    Feature::Attention,
    Feature::NormConv,
    Feature::Schedule,
];

/// What is asked of a conversion: number formats, a board, an arena.
///
/// ```
/// use mote_tools::{Checkpoint, Conversion, Scheme};
///
/// let converted = Conversion::new(Scheme::F16).convert(&Checkpoint::bundled()?)?;
/// assert_eq!(converted.file()?.bytes(), converted.emitted.bytes);
/// # Ok::<(), mote_tools::Error>(())
/// ```
///
/// A board that is too small is an error, which says what would fit:
///
/// ```no_run
/// use mote_tools::{Checkpoint, Conversion, ErrorKind, Scheme, board_named};
///
/// let checkpoint = Checkpoint::bundled()?;
/// let error = Conversion::new(Scheme::Auto).for_board(board_named("microbit")?).convert(&checkpoint).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::TooLarge);
/// println!("{error}; {}", error.advice().unwrap_or_default());
/// # Ok::<(), mote_tools::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Conversion {
    scheme: Scheme,
    board: Option<Target>,
    arena: Option<Arena>,
    refine: bool,
}

impl Conversion {
    /// In these number formats, for no board in particular.
    #[must_use]
    pub fn new(scheme: Scheme) -> Self {
        Self {
            scheme,
            board: None,
            arena: None,
            refine: false,
        }
    }

    /// Within the flash and RAM of `board`: a simulated board, a chip, or one that is described ([`Target`]).
    #[must_use]
    pub fn for_board(self, board: impl Into<Target>) -> Self {
        Self {
            board: Some(board.into()),
            ..self
        }
    }

    /// With this arena, whether it fits or not. Without it: the fast one, or the small one where only that fits the board.
    #[must_use]
    pub fn in_arena(self, arena: Arena) -> Self {
        Self {
            arena: Some(arena),
            ..self
        }
    }

    /// With more of the model by measured error, of `w8a8`, `w8a16`, `w4a8` and `w4a16`: channels of like size, weights that are rounded
    /// together, and 16 bits for activations where no arena grows. The conversion takes longer, and the model's notes say what a step takes.
    #[must_use]
    pub fn refined(self) -> Self {
        Self { refine: true, ..self }
    }

    /// Converts `checkpoint`. The same checkpoint and conversion give the same bytes on every machine.
    ///
    /// # Errors
    /// Of kind `Input` where the checkpoint has no integer or f16 form, of kind `TooLarge` where the board cannot hold the model: the
    /// message says what is short, the advice what would fit.
    pub fn convert(&self, checkpoint: &Checkpoint) -> Result<Converted, Error> {
        self.convert_with(checkpoint, &|_| ())
    }

    /// The same; `progress` is told how far calibration and measuring are.
    ///
    /// # Errors
    /// As [`Conversion::convert`].
    pub fn convert_with(
        &self,
        checkpoint: &Checkpoint,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<Converted, Error> {
        let converted = self.unchecked(checkpoint, progress)?;
        if let Some(board) = &self.board {
            self.check_fit(board, checkpoint, &converted.file()?, progress)?;
        }
        Ok(converted)
    }

    /// Converts within the board's memory where `auto` can; whether the rest fits is not checked.
    fn unchecked(&self, checkpoint: &Checkpoint, progress: &(dyn Fn(Progress) + Sync)) -> Result<Converted, Error> {
        let options = Options {
            scheme: self.scheme,
            budget: self.board.as_ref().map(|board| budget(board, checkpoint)),
            arena: self.arena,
            refine: self.refine,
        };
        convert(checkpoint, &options, progress).map_err(|error| match (error, &self.board) {
            (ConvertError::Quantize(QuantizeError::Auto(error)), Some(board)) => too_small(board, checkpoint, &error),
            (error, _) => error.into(),
        })
    }

    /// Refuses a model that its board cannot hold, and says what would.
    fn check_fit(
        &self,
        board: &Target,
        from: &Checkpoint,
        file: &ModelFile,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<(), Error> {
        let fit = file.fit(board.clone());
        if fit.fits {
            return Ok(());
        }
        let smaller: &[Scheme] = match self.scheme {
            Scheme::F16 | Scheme::W16A16 => &[Scheme::W8A16, Scheme::W8A8, Scheme::W4A16, Scheme::W4A8],
            Scheme::W8A16 => &[Scheme::W8A8, Scheme::W4A16, Scheme::W4A8],
            Scheme::W8A8 | Scheme::W4A16 => &[Scheme::W4A8],
            Scheme::W4A8 | Scheme::Auto => &[],
        };
        let holds = |scheme: Scheme| {
            let converted = Self { scheme, ..self.clone() }.unchecked(from, progress).ok()?;
            let fits = converted.file().ok()?.fit(board.clone()).fits;
            fits.then(|| format!("--scheme {scheme} fits it"))
        };
        let mut help: Vec<String> = smaller.iter().find_map(|scheme| holds(*scheme)).into_iter().collect();
        let boards = fitting(file.model(), file.bytes().len());
        help.push(match boards.as_slice() {
            [] => "no board here holds this model".into(),
            boards => format!("this model fits {}", boards.join(", ")),
        });
        let what = format!(
            "{} as {} does not fit {}: it {}",
            from.name, self.scheme, fit.name, fit.why
        );
        Err(Error::of(ErrorKind::TooLarge, what).help(help.join("; ")))
    }
}

/// Names of the boards that hold a model of so many bytes.
#[must_use]
pub fn fitting(model: &Model<'_>, bytes: usize) -> Vec<String> {
    let all = Fit::of_all(model, bytes, false);
    all.into_iter().filter(|fit| fit.fits).map(|fit| fit.name).collect()
}

/// That `auto` found nothing for `board`, and which boards it would find something for.
fn too_small(board: &Target, checkpoint: &Checkpoint, error: &AutoError) -> Error {
    let parts = parts_of_integers(checkpoint);
    let needs = |board: &Target| {
        let flash = error.model_needed as u64 + board.code_bytes(&parts);
        (
            flash,
            error.arena_needed as u64 + ram_beside_activations(board, checkpoint),
        )
    };
    let fits = |board: &Target| {
        let (flash, ram) = needs(board);
        flash <= board.flash.bytes && ram <= board.ram_bytes()
    };
    let boards: Vec<String> = boards()
        .iter()
        .map(Target::from)
        .filter(fits)
        .map(|board| board.name)
        .collect();
    let (flash, ram) = needs(board);
    let what = format!(
        "{} does not fit {} with weights of 8 bits: at its smallest it needs {flash} bytes of flash, of {}, and {ram} bytes of RAM, of {}",
        checkpoint.name,
        board.name,
        board.flash.bytes,
        board.ram_bytes()
    );
    let int4 = if ram <= board.ram_bytes() {
        "try --scheme w4a8, whose weights take two fifths less flash; "
    } else {
        ""
    };
    Error::of(ErrorKind::TooLarge, what)
        .with_code_of(error)
        .help(match boards.as_slice() {
            [] => format!("{int4}no board here holds it: train a smaller network"),
            boards => format!("{int4}it fits {}; or train a smaller network", boards.join(", ")),
        })
}

/// State, statics and stack.
fn ram_beside_activations(board: &Target, checkpoint: &Checkpoint) -> u64 {
    let state = checkpoint.graph.sample_shape().iter().product::<usize>() as u64 * 4;
    state.next_multiple_of(16) + board.core.footprint.ram_bytes(true)
}

/// The parts of the runtime that the checkpoint needs as integers, from its f16 model, which takes no calibration; all where
/// there is none.
fn parts_of_integers(checkpoint: &Checkpoint) -> Parts {
    let parts = |converted: Converted| {
        let file = AlignedBytes::copy_of(&converted.emitted.bytes);
        let needed = Parts::needed_by(&Model::parse(file.bytes()).ok()?);
        let others = needed.features().iter().copied().filter(|part| *part != Feature::F16);
        Some(Parts::of(others).with([Feature::Integer, Feature::W16]))
    };
    let converted = convert(checkpoint, &Options::of(Scheme::F16), &|_| {});
    converted.ok().and_then(parts).unwrap_or_else(Parts::all)
}

/// What is left of a board for model file and arena.
fn budget(board: &Target, checkpoint: &Checkpoint) -> Budget {
    let left = |total: u64, taken: u64| total.saturating_sub(taken) as usize;
    Budget {
        model_bytes: left(board.flash.bytes, board.code_bytes(&parts_of_integers(checkpoint))),
        arena_bytes: left(board.ram_bytes(), ram_beside_activations(board, checkpoint)),
    }
}
