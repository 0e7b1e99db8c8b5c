//! `mote bench --flash`: what the runtime alone takes of flash, and each of its parts.

use super::failure::Failure;
use super::print::{heading, table};
use super::progress;
use mote_firmware_sim::{Board, Firmware, Parts, RuntimeFlash, runtime_flash};
use mote_runtime::Feature;

/// The boards whose cores are measured where none are named.
const DEFAULT_BOARDS: [&str; 2] = ["mps2-m0", "mps2-an386"];
/// For speed, and for size.
const LEVELS: [&str; 2] = ["3", "s"];

/// Sets of parts, and whether the model is trusted: integers alone, integers with each part, floats alone, everything; then what a
/// model of int16 weights needs, with and without a schedule, in fast and in compact firmware.
fn sets() -> Vec<(Parts, bool)> {
    let common = [Feature::Schedule, Feature::Fast];
    let alone = [Feature::Integer, Feature::F16];
    let with = Feature::ALL
        .into_iter()
        .filter(|part| !alone.contains(part) && !common.contains(part));
    let integers = Parts::of(common).with([Feature::Integer]);
    let mut sets = vec![integers.clone()];
    sets.extend(with.map(|part| integers.clone().with([part])));
    sets.extend([Parts::of(common).with([Feature::F16]), Parts::all()]);
    let wide = Parts::of([Feature::Integer, Feature::W16]);
    let firmwares = [Firmware::Fast, Firmware::Compact].into_iter().flat_map(|firmware| {
        let planned = wide.clone().of_firmware(firmware);
        [planned.clone().with([Feature::Schedule]), planned]
    });
    let others = firmwares.flat_map(|parts| [(parts.clone(), false), (parts, true)]);
    let mut sets: Vec<(Parts, bool)> = sets.into_iter().map(|parts| (parts, false)).collect();
    sets.extend(others.filter(|set| !sets.contains(set)).collect::<Vec<_>>());
    sets
}

/// Measures every set on the cores of `asked`, or of the default boards.
pub fn all(asked: &[&'static Board]) -> Result<Vec<RuntimeFlash>, Failure> {
    let boards: Vec<&'static Board> = if asked.is_empty() {
        DEFAULT_BOARDS.into_iter().filter_map(Board::named).collect()
    } else {
        asked.to_vec()
    };
    let bar = progress::bar("compiling", (boards.len() * LEVELS.len() * sets().len()) as u64);
    let mut measured = Vec::new();
    for board in boards {
        for level in LEVELS {
            for (parts, trusted) in sets() {
                bar.set_message(format!("{} -O{level}: {}", board.core, parts.names().join(" ")));
                measured.push(runtime_flash(board, level, &parts, trusted).map_err(Failure::new)?);
                bar.inc(1);
            }
        }
    }
    bar.finish_and_clear();
    Ok(measured)
}

/// A row a set, a column a core and level.
fn cells(measured: &[RuntimeFlash]) -> Vec<Vec<String>> {
    let column = |flash: &RuntimeFlash| format!("{}, -O{}", flash.core, flash.opt_level);
    let mut columns: Vec<String> = measured.iter().map(column).collect();
    columns.dedup();
    let mut rows = vec![[vec!["parts of the runtime".to_owned()], columns.clone()].concat()];
    for (parts, trusted) in sets() {
        let of = |name: &String| {
            let found = measured
                .iter()
                .find(|flash| column(flash) == *name && flash.features == parts.names() && flash.trusted == trusted);
            found.map_or("-".to_owned(), |flash| flash.bytes.to_string())
        };
        let title = parts.names().join(" ") + if trusted { ", model trusted" } else { "" };
        rows.push([vec![title], columns.iter().map(of).collect()].concat());
    }
    rows
}

/// For a terminal.
pub fn text(measured: &[RuntimeFlash]) -> String {
    let mut rows = cells(measured);
    rows.iter_mut().for_each(|row| row.push(String::new()));
    let title = heading("Flash of the runtime alone, bytes");
    format!("{title}\n{}", table(&rows))
}

/// For PERFORMANCE.md.
pub fn markdown(measured: &[RuntimeFlash]) -> String {
    let lines: Vec<String> = cells(measured)
        .iter()
        .map(|row| format!("| {} |\n", row.join(" | ")))
        .collect();
    let rule = format!("|{}\n", "---|".repeat(cells(measured)[0].len()));
    format!(
        "Flash of the runtime alone, bytes\n\n{}{rule}{}",
        lines[0],
        lines[1..].concat()
    )
}
