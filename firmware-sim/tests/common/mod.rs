//! What the tests on boards share.

#![allow(dead_code, reason = "each test binary uses a part of it")]

mod tiny_model;

use std::fmt::Write as _;

use mote_firmware_sim::{Availability, Board, ImageRecord, StepRecord};
use mote_runtime::{Arena, Config, Model, Sampler, Start};

pub use tiny_model::tiny_model;

/// The board of that name, or `None` (with a line on stderr) where it cannot run here and that is allowed.
///
/// # Panics
/// Where the board cannot run here, unless `MOTE_ALLOW_MISSING_QEMU=1`.
pub fn board(name: &str) -> Option<&'static Board> {
    let board = Board::named(name).expect("a board of the table");
    let Availability::Missing { what, how } = board.available() else {
        return Some(board);
    };
    let mut line = format!("{name} could not run: missing {}", what.join(", "));
    write!(line, " ({}; MOTE_ALLOW_MISSING_QEMU=1 skips it)", how.join("; ")).expect("a string takes any text");
    assert!(
        std::env::var_os("MOTE_ALLOW_MISSING_QEMU").is_some_and(|value| value == "1"),
        "{line}"
    );
    eprintln!("SKIPPED: {line}");
    None
}

/// The configuration that the tests use, of the tiny model.
pub fn config(steps: u32) -> Config {
    with_model(&tiny_model(), |model| Config::of(model.header(), steps))
}

/// What the desktop makes of the same model: no instructions, everything else.
pub fn desktop(model: &[u8], config: &Config, start: &Start<'_>) -> ImageRecord {
    desktop_known(model, config, start, None)
}

/// The same with a known image.
pub fn desktop_known(model: &[u8], config: &Config, start: &Start<'_>, known: Option<&[i32]>) -> ImageRecord {
    with_model(model, |model| {
        let mut memory = vec![0u128; 4096];
        let bytes = mote_runtime::arena_bytes(model, config);
        let mut arena = Arena::new(&mut bytemuck::cast_slice_mut(&mut memory)[..bytes]).expect("aligned");
        let mut run = Sampler::new(model, &mut arena, config, start).expect("a good configuration");
        if let Some(known) = known {
            run.inpaint(known).expect("of the sample's length");
        }
        let mut image = ImageRecord {
            seed: config.seed,
            ..ImageRecord::default()
        };
        while let Some(step) = run.step().expect("a good model") {
            let (index, t, digest) = (step.index, step.timestep, step.digest);
            image.steps.push(StepRecord {
                index,
                t,
                digest,
                instructions: None,
            });
        }
        image.state = run.state().to_vec();
        image.pixels = vec![0; image.state.len()];
        run.image(&mut image.pixels).expect("a byte a pixel");
        image
    })
}

fn with_model<T>(bytes: &[u8], work: impl FnOnce(&Model<'_>) -> T) -> T {
    let mut memory = vec![0u128; bytes.len().div_ceil(16)];
    let aligned = &mut bytemuck::cast_slice_mut(&mut memory)[..bytes.len()];
    aligned.copy_from_slice(bytes);
    work(&Model::parse(aligned).expect("a good model"))
}
