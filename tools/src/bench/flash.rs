//! What the runtime alone takes of flash, and each of its parts.

use mote_firmware_sim::{Board, Firmware, Parts};
use mote_runtime::Feature;

/// The boards whose cores are measured where none are named.
const DEFAULT_BOARDS: [&str; 2] = ["mps2-m0", "mps2-an386"];
/// Optimization levels that are measured: for speed, and for size.
pub const LEVELS: [&str; 2] = ["3", "s"];

/// Parts of the runtime that are compiled together, and whether the model is trusted.
pub type FlashSet = (Parts, bool);

/// `asked`, or the boards that are measured where none are named.
#[must_use]
pub fn flash_boards(asked: &[&'static Board]) -> Vec<&'static Board> {
    if asked.is_empty() {
        DEFAULT_BOARDS.into_iter().filter_map(Board::named).collect()
    } else {
        asked.to_vec()
    }
}

/// Sets of parts, and whether the model is trusted: integers alone, integers with each part, floats alone, everything; then what a
/// model of int16 weights needs, with and without a schedule, in fast and in compact firmware.
#[must_use]
pub fn flash_sets() -> Vec<FlashSet> {
    let common = [Feature::Schedule, Feature::Fast];
    let alone = [Feature::Integer, Feature::F16];
    let with = Feature::ALL
        .into_iter()
        // What is measured reads no weights in blocks.
        .filter(|part| !alone.contains(part) && !common.contains(part) && *part != Feature::Streamed);
    let integers = Parts::of(common).with([Feature::Integer]);
    let mut sets = vec![integers.clone()];
    sets.extend(with.map(|part| integers.clone().with([part])));
    sets.extend([Parts::of(common).with([Feature::F16]), Parts::addressed()]);
    let wide = Parts::of([Feature::Integer, Feature::W16]);
    let firmwares = [Firmware::Fast, Firmware::Compact].into_iter().flat_map(|firmware| {
        let planned = wide.clone().of_firmware(firmware);
        [planned.clone().with([Feature::Schedule]), planned]
    });
    let others = firmwares.flat_map(|parts| [(parts.clone(), false), (parts, true)]);
    let mut sets: Vec<FlashSet> = sets.into_iter().map(|parts| (parts, false)).collect();
    sets.extend(others.filter(|set| !sets.contains(set)).collect::<Vec<_>>());
    sets
}
