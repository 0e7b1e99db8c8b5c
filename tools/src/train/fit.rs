//! The widest network of a preset's form that a board holds.

use super::preset::{Choice, Preset};
use crate::backend::footprint::Fit;
use crate::convert::{ConvertError, Options, convert};
use crate::import::{ImportError, fresh};
use crate::plan::Arena;
use crate::quantize::scheme::Scheme;
use crate::target::Target;
use mote_engine::memory::AlignedBytes;
use mote_runtime::Model;

/// Why no width can be chosen.
#[derive(Debug, thiserror::Error)]
pub enum FitError {
    /// Even the narrowest is too large.
    #[error("no network of this form fits {board}: the narrowest {why}")]
    None {
        /// The board.
        board: String,
        /// What is short.
        why: String,
    },
    /// A trial network cannot be made.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// A trial network cannot be converted.
    #[error(transparent)]
    Convert(#[from] ConvertError),
}

/// Widths that are tried, as shares of the preset's in eighths.
const EIGHTHS: [usize; 12] = [2, 4, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64];

/// `preset` with the most channels that fit `board` as int8 in the small arena.
pub fn fitted(preset: &Preset, choice: Choice, board: &Target) -> Result<Preset, FitError> {
    let mut widths: Vec<Preset> = EIGHTHS.iter().map(|eighths| scaled(preset, *eighths)).collect();
    widths.dedup();
    // Wider never needs less: the first that does not fit is searched for by halves.
    let (mut fits, mut too_wide) = (0, widths.len());
    let mut why = short(&widths[0], choice, board)?;
    if !why.is_empty() {
        let board = board.name.clone();
        return Err(FitError::None { board, why });
    }
    while too_wide - fits > 1 {
        let middle = (fits + too_wide) / 2;
        why = short(&widths[middle], choice, board)?;
        if why.is_empty() {
            fits = middle
        } else {
            too_wide = middle
        }
    }
    Ok(widths.swap_remove(fits))
}

/// A preset of other channels: whole groups, at least one.
fn scaled(preset: &Preset, eighths: usize) -> Preset {
    let channels = |c: &usize| (c * eighths / 8 / preset.groups).max(1) * preset.groups;
    Preset {
        channels: preset.channels.iter().map(channels).collect(),
        ..preset.clone()
    }
}

/// What is short on the board; empty where it fits.
fn short(preset: &Preset, choice: Choice, board: &Target) -> Result<String, FitError> {
    // The variance is for other samplers: a board runs the prediction alone.
    let choice = Choice {
        learned_variance: false,
        ..choice
    };
    let (unet, scheduler) = (preset.unet(choice).to_string(), preset.scheduler(choice).to_string());
    let made = fresh(preset.name, &unet, &scheduler, 0)?;
    let options = Options {
        arena: Some(Arena::Small),
        ..Options::of(Scheme::W8A8)
    };
    let bytes = convert(&made, &options, &|_| {})?.emitted.bytes;
    let file = AlignedBytes::copy_of(&bytes);
    let model = Model::parse(file.bytes()).map_err(ConvertError::from)?;
    Ok(Fit::of(board, &model, bytes.len(), choice.classes > 0).why)
}
