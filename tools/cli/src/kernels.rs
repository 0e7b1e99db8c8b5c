//! `mote bench --kernels`: what single operators cost.

use super::failure::Failure;
use super::print::{count, heading, table};
use super::progress;
use mote_firmware_sim::{Availability, Board};
use mote_tools::kernels::{Activations, Case, DEFAULT_BOARDS, KernelCount, cases, measure};
use std::fmt::Write as _;

/// Measures every case on `asked`, or on the default boards that are here.
pub fn all(asked: &[&'static Board]) -> Result<Vec<KernelCount>, Failure> {
    let boards: Vec<&'static Board> = if asked.is_empty() {
        let found = DEFAULT_BOARDS.into_iter().filter_map(Board::named);
        found.filter(|board| board.available() == Availability::Ok).collect()
    } else {
        asked.to_vec()
    };
    if boards.is_empty() {
        return Err(Failure::new("no simulated board can run here").help("`mote boards` says what is missing"));
    }
    let bar = progress::bar("measuring kernels", boards.len() as u64);
    let mut kernels = Vec::new();
    for board in boards {
        bar.set_message(board.name);
        kernels.extend(measure(board, &cases()).map_err(|error| Failure::coded(mote_tools::ErrorKind::Failed, error))?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(kernels)
}

/// A table a board, for a terminal.
pub fn text(kernels: &[KernelCount]) -> String {
    let mut out = String::new();
    for (board, kernels) in by_board(kernels) {
        let head = [
            "operator",
            "activations",
            "MACs",
            "instructions",
            "per MAC",
            "CMSIS-NN",
            "per element",
            "",
        ];
        let cells = |k: &KernelCount| {
            vec![
                k.shape.clone(),
                k.activations.to_owned(),
                count(k.macs),
                k.instructions.map_or("-".into(), count),
                number(k.instructions_per_mac),
                number(k.cmsis_nn),
                number(k.instructions_per_element),
                k.why.clone().unwrap_or_default(),
            ]
        };
        let lines: Vec<_> = std::iter::once(head.map(str::to_owned).to_vec())
            .chain(kernels.iter().map(cells))
            .collect();
        let _ = write!(out, "{}\n{}\n", heading(&board), table(&lines));
    }
    out + "  (instructions, not cycles; CMSIS-NN: arm_convolve_wrapper_s8, gcc 12 -O3, per MAC)\n"
}

/// The tables of PERFORMANCE.md: a column a board and number format.
pub fn markdown(kernels: &[KernelCount]) -> String {
    let boards: Vec<String> = by_board(kernels).into_iter().map(|(board, _)| board).collect();
    let find = |case: &Case, board: &str, activations: Activations| {
        kernels.iter().find(|k| {
            format!("{}, {}", k.board, k.core) == board && k.shape == case.name() && k.activations == activations.name()
        })
    };
    let shapes: Vec<Case> = cases()
        .into_iter()
        .filter(|case| case.activations == Activations::Eight)
        .collect();
    let mut out =
        String::from("Instructions a multiply-accumulate, int8 weights; int8 / int16 activations (CMSIS-NN, int8)\n\n");
    let row = |case: &Case, cell: &dyn Fn(&str) -> String| {
        let cells: Vec<String> = boards.iter().map(|board| cell(board)).collect();
        format!("| {} | {} |\n", case.name(), cells.join(" | "))
    };
    let head = format!(
        "| operator | {} |\n|---|{}\n",
        boards.join(" | "),
        "---|".repeat(boards.len())
    );
    out += &head;
    for case in shapes.iter().filter(|case| case.macs() > 0) {
        out += &row(case, &|board| {
            let per_mac = |activations| number(find(case, board, activations).and_then(|k| k.instructions_per_mac));
            let peer = find(case, board, Activations::Eight).and_then(|k| k.cmsis_nn);
            let peer = peer.map_or(String::new(), |v| format!(" ({v})"));
            format!(
                "{} / {}{peer}",
                per_mac(Activations::Eight),
                per_mac(Activations::Sixteen)
            )
        });
    }
    out += "\nInstructions an element, activations int8 / int16 / int16 to int8\n\n";
    out += &head;
    for case in shapes.iter().filter(|case| case.macs() == 0) {
        out += &row(case, &|board| {
            let formats = [Activations::Eight, Activations::Sixteen, Activations::Narrowing];
            let per_element =
                |activations| number(find(case, board, activations).and_then(|k| k.instructions_per_element));
            formats.map(per_element).join(" / ")
        });
    }
    out
}

fn by_board(kernels: &[KernelCount]) -> Vec<(String, &[KernelCount])> {
    let chunks = kernels.chunk_by(|a, b| a.board == b.board);
    chunks
        .map(|chunk| (format!("{}, {}", chunk[0].board, chunk[0].core), chunk))
        .collect()
}

fn number(value: Option<f64>) -> String {
    value.map_or("-".into(), |v| format!("{v:.2}"))
}
