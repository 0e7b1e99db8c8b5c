//! `mote validate --worst`: the image that a conversion changes most, beside what it was.

use super::Args;
use crate::failure::Failure;
use mote_runtime::Model;
use mote_tools::files::{Format, OutputFile};
use mote_tools::images::{self, encode, grid};
use mote_tools::validate::FloatComparison;

/// Side of a pixel in the picture.
const ZOOM: usize = 8;

/// Where it goes, checked before anything is compared.
pub fn prepare(args: &Args, model: &Model<'_>) -> Result<Option<OutputFile>, Failure> {
    let Some(path) = &args.worst else { return Ok(None) };
    if !images::is_drawn(model) {
        return Err(Failure::usage(
            "--worst draws finished images, and this model's states are latents or points of the plane",
        )
        .help("leave --worst out; `mote sample` draws what the model makes"));
    }
    OutputFile::prepare(path, Format::Png, &args.inputs()).map(Some)
}

/// Draws it: the model's image on the left, the float network's on the right.
pub fn write(out: &OutputFile, model: &Model<'_>, float: &FloatComparison) -> Result<(), Failure> {
    let Some(pair) = images::worst(model, float) else {
        return Err(Failure::usage("--worst has no image to draw: none was compared").help("give --seeds 1 or more"));
    };
    out.write(&encode(&grid(&pair, 2).enlarged(ZOOM))?)?;
    Ok(())
}
