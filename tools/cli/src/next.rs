//! `mote` alone: what can be done next with what lies in this folder.

use super::failure;
use super::print::{self, heading};
use mote_tools::files::{Found, look_around};
use std::path::Path;
use std::process::ExitCode;

/// Files of a kind whose commands are shown; the others are counted.
const MOST: usize = 1;

/// What there is to do here; `None` where there is nothing of Mote's.
pub fn suggestions(folder: &Path) -> Option<String> {
    let found = look_around(folder);
    if found.is_empty() {
        return None;
    }
    let mut text = String::new();
    let mut group = |title: &str, kind: fn(&Found) -> Option<Vec<String>>| {
        let lines: Vec<Vec<String>> = found.iter().filter_map(kind).collect();
        if !lines.is_empty() {
            text += &format!("{}\n", heading(title));
            lines
                .iter()
                .take(MOST)
                .flatten()
                .for_each(|line| text += &format!("  {line}\n"));
            if lines.len() > MOST {
                text += &format!("  and so for {} more\n", lines.len() - MOST);
            }
        }
    };
    group("Checkpoints, to convert", |found| match found {
        Found::Checkpoint(name) => Some(vec![
            format!("mote convert {} -o {}.mote", quoted(name), quoted(stem(name))),
            format!(
                "mote convert {} -o {}.mote --board nrf52840",
                quoted(name),
                quoted(stem(name))
            ),
        ]),
        _ => None,
    });
    group(
        "Model files, to draw from, to check, and to put into firmware",
        |found| match found {
            Found::Model(name) => Some(vec![
                format!("mote inspect {}", quoted(name)),
                format!("mote sample {} -o grid.png --count 16", quoted(name)),
                format!("mote validate {}", quoted(name)),
                format!("mote new my-app --model {} --board microbit", quoted(name)),
            ]),
            _ => None,
        },
    );
    group("Images, to train on", |found| match found {
        Found::Images(name) => Some(vec![format!("mote train --data {} -o my-checkpoint", quoted(name))]),
        _ => None,
    });
    group("Reports, to open in a browser", |found| match found {
        Found::Report(name) => Some(vec![name.clone()]),
        _ => None,
    });
    text += &format!(
        "{}\n  mote demo\n  mote doctor\n  mote --help\n",
        heading("Everything on the bundled checkpoint; the tools here; all commands")
    );
    Some(text)
}

/// Says it.
pub fn run(text: &str) -> ExitCode {
    print::text(text).map_or_else(|error| failure::report(&error, false), |()| ExitCode::SUCCESS)
}

/// A name without its last ending.
fn stem(name: &str) -> &str {
    let name = match name.trim_end_matches('/') {
        "." => "my",
        name => name,
    };
    name.rsplit_once('.')
        .filter(|(stem, _)| !stem.is_empty())
        .map_or(name, |(stem, _)| stem)
}

/// A name as a shell takes it: in quotes where it has more than letters, digits and `._-/`.
fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "._-/".contains(c);
    if name.chars().all(plain) && !name.starts_with('-') {
        return name.to_owned();
    }
    format!("'{}'", mote_tools::escaped(name).replace('\'', "'\\''"))
}
