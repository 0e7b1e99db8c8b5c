//! Whether a board holds what is converted, and what would help where it does not.

use super::shown::fitting;
use super::{Args, with_bar};
use crate::failure::Failure;
use mote_firmware_sim::{Board, Parts};
use mote_host::memory::AlignedBytes;
use mote_runtime::{Feature, Model};
use mote_tools::backend::footprint::{Fit, firmware_of, ram_beside_arena};
use mote_tools::convert::{Converted, Options, convert};
use mote_tools::import::Checkpoint;
use mote_tools::plan;
use mote_tools::quantize::auto::{AutoError, Budget};
use mote_tools::quantize::scheme::Scheme;

/// That `auto` found nothing for `board`, and which boards it would find something for.
pub fn too_small(board: &'static Board, checkpoint: &Checkpoint, error: &AutoError) -> Failure {
    let parts = parts_of_integers(checkpoint);
    let needs = |board: &Board| {
        let flash = error.model_needed as u64 + firmware_of(board).code_for(&parts);
        (
            flash,
            error.arena_needed as u64 + ram_beside_activations(board, checkpoint),
        )
    };
    let fits = |board: &&Board| {
        let (flash, ram) = needs(board);
        flash <= board.flash.length.into() && ram <= board.ram.length.into()
    };
    let boards: Vec<&str> = mote_firmware_sim::boards()
        .iter()
        .filter(fits)
        .map(|board| board.name)
        .collect();
    let (flash, ram) = needs(board);
    let what = format!(
        "{} does not fit {} with weights of 8 bits: at its smallest it needs {flash} bytes of flash, of {}, and {ram} bytes of RAM, of {}",
        checkpoint.name, board.name, board.flash.length, board.ram.length
    );
    let int4 = if ram <= board.ram.length.into() {
        "try --scheme w4a8, whose weights take two fifths less flash; "
    } else {
        ""
    };
    Failure::new(what).help(match boards.as_slice() {
        [] => format!("{int4}no board here holds it: train a smaller network"),
        boards => format!("{int4}it fits {}; or train a smaller network", boards.join(", ")),
    })
}

/// State, statics and stack.
fn ram_beside_activations(board: &Board, checkpoint: &Checkpoint) -> u64 {
    let state = checkpoint.graph.sample_shape().iter().product::<usize>() as u64 * 4;
    state.next_multiple_of(16) + ram_beside_arena(board, true)
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
pub fn budget(board: &'static Board, checkpoint: &Checkpoint) -> Budget {
    let left = |total: u32, taken: u64| u64::from(total).saturating_sub(taken) as usize;
    Budget {
        model_bytes: left(
            board.flash.length,
            firmware_of(board).code_for(&parts_of_integers(checkpoint)),
        ),
        arena_bytes: left(board.ram.length, ram_beside_activations(board, checkpoint)),
    }
}

/// Refuses a model that its board cannot hold, and says what would.
pub fn check_fit(
    board: &'static Board,
    model: &Model<'_>,
    size: usize,
    args: &Args,
    from: &Checkpoint,
) -> Result<(), Failure> {
    let fit = Fit::of(board, model, size, false);
    if fit.fits {
        return Ok(());
    }
    let smaller: &[Scheme] = match args.scheme {
        Scheme::F16 => &[Scheme::W8A16, Scheme::W8A8, Scheme::W4A16, Scheme::W4A8],
        Scheme::W8A16 => &[Scheme::W8A8, Scheme::W4A16, Scheme::W4A8],
        Scheme::W8A8 | Scheme::W4A16 => &[Scheme::W4A8],
        Scheme::W4A8 | Scheme::Auto => &[],
    };
    let holds = |scheme: Scheme| {
        let file = AlignedBytes::copy_of(
            &with_bar(from, scheme, Some(board), args.arena.map(plan::Arena::from))
                .ok()?
                .emitted
                .bytes,
        );
        let model = Model::parse(file.bytes()).ok()?;
        Fit::of(board, &model, file.bytes().len(), false)
            .fits
            .then(|| format!("--scheme {scheme} fits it"))
    };
    let mut help: Vec<String> = smaller.iter().find_map(|scheme| holds(*scheme)).into_iter().collect();
    let boards = fitting(model, size);
    help.push(match boards.as_slice() {
        [] => "no board here holds this model".into(),
        boards => format!("this model fits {}", boards.join(", ")),
    });
    let what = format!(
        "{} as {} does not fit {}: it {}",
        from.name, args.scheme, fit.name, fit.why
    );
    Err(Failure::new(what).help(help.join("; ")))
}
