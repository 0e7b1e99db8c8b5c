//! Standard output, and numbers for people.

use super::failure::Failure;
use super::progress;
use mote_tools::Checkpoint;
use serde::Serialize;
use std::io::{ErrorKind, Write};

/// Whether what was checked held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It did, or nothing was checked.
    Yes,
    /// It did not: exit status 1.
    No,
}

impl From<bool> for Verdict {
    fn from(held: bool) -> Self {
        if held { Self::Yes } else { Self::No }
    }
}

/// Writes text to stdout, with its colours where stdout is a terminal. A reader that has gone away is no error.
pub fn text(text: &str) -> Result<(), Failure> {
    progress::clear();
    let mut stdout = anstream::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(format_args!("cannot write to standard output: {error}"))
                .help("free space, or redirect it elsewhere"))
        }
        _ => Ok(()),
    }
}

/// Writes one JSON object and a newline to stdout.
pub fn json(value: &impl Serialize) -> Result<(), Failure> {
    let line = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::new(format_args!("cannot write JSON: {error}")))?;
    text(&(line + "\n"))
}

/// A remark on stderr.
pub fn note(remark: impl std::fmt::Display) {
    progress::clear();
    let yellow = anstyle::AnsiColor::Yellow.on_default().bold();
    let _ = writeln!(anstream::stderr(), "{yellow}note{yellow:#}: {remark}");
}

/// A checkpoint, after what should be known of how it was read.
pub fn noted(checkpoint: Checkpoint) -> Checkpoint {
    checkpoint.notes.iter().for_each(note);
    checkpoint
}

/// A line of progress on stderr. Whoever read it may have gone: the work goes on.
pub fn progress_line(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// `held` or `NOT HELD`, in colour.
pub fn verdict(held: bool) -> String {
    let (word, color) = if held {
        ("held", anstyle::AnsiColor::Green)
    } else {
        ("NOT HELD", anstyle::AnsiColor::Red)
    };
    let style = color.on_default().bold();
    format!("{style}{word}{style:#}")
}

/// A heading.
pub fn heading(text: &str) -> String {
    let bold = anstyle::Style::new().bold();
    format!("{bold}{text}{bold:#}")
}

/// Bytes in binary units: `1.5 KiB`.
pub fn bytes(n: u64) -> String {
    match n {
        0..1024 => format!("{n} B"),
        1024..1_048_576 => format!("{:.1} KiB", n as f64 / 1024.0),
        _ => format!("{:.2} MiB", n as f64 / 1_048_576.0),
    }
}

/// A count in decimal units: `12.3 M`.
pub fn count(n: u64) -> String {
    match n {
        0..10_000 => n.to_string(),
        10_000..1_000_000 => format!("{:.1} k", n as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} M", n as f64 / 1e6),
        _ => format!("{:.2} G", n as f64 / 1e9),
    }
}

/// Columns: the first to the left, the others to the right, except the last, which is free text.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| {
        rows.iter()
            .filter_map(|row| row.get(c))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let cells = row.iter().enumerate().map(|(c, cell)| match c {
            0 => format!("{cell:<w$}", w = widths[c]),
            c if c + 1 == columns => cell.clone(),
            c => format!("{cell:>w$}", w = widths[c]),
        });
        out.push_str("  ");
        out.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        out.push('\n');
    }
    out
}
