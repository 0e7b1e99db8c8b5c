//! `mote bench --flash`: what the runtime alone takes of flash, and each of its parts.

use super::failure::Failure;
use super::print::{heading, table};
use super::progress;
use mote_firmware_sim::{Board, RuntimeFlash, runtime_flash};
use mote_tools::bench::{LEVELS, flash_boards, flash_sets};

/// Measures every set on the cores of `asked`, or of the default boards.
pub fn all(asked: &[&'static Board]) -> Result<Vec<RuntimeFlash>, Failure> {
    let (boards, sets) = (flash_boards(asked), flash_sets());
    let bar = progress::bar("compiling", (boards.len() * LEVELS.len() * sets.len()) as u64);
    let mut measured = Vec::new();
    for board in boards {
        for level in LEVELS {
            for (parts, trusted) in &sets {
                bar.set_message(format!("{} -O{level}: {}", board.core.name, parts.names().join(" ")));
                measured.push(
                    runtime_flash(board, level, parts, *trusted)
                        .map_err(|error| Failure::coded(mote_tools::ErrorKind::Failed, error))?,
                );
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
    for (parts, trusted) in flash_sets() {
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
