//! Instructions, flash and RAM, held to `tests/data/budgets.json`.
//!
//! Counts are exact and the same on every machine that has the compiler named in that file; with another compiler they are shown
//! and not held. Write the file anew with
//!
//! ```text
//! MOTE_UPDATE_BUDGETS=1 cargo test --release -p mote-tests --test budgets
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mote_engine::memory::AlignedBytes;
use mote_firmware_sim::{Board, Firmware, Image, ImageOptions, Parts, RunRequest, runtime_flash};
use mote_runtime::{Config, Feature, Model, Start};
use mote_tests::boards::board;
use mote_tests::checkpoints::{converted, digits};
use mote_tests::running::finish;
use mote_tools::backend::Backend;
use mote_tools::emit::planned::planned;
use mote_tools::kernels::{cases, measure};
use mote_tools::quantize::scheme::Scheme;
use serde_json::{Map, Value, json};

/// A count may grow by this share before the test fails.
const ALLOWANCE: f64 = 0.02;

/// Boards whose kernels are held: Cortex-M0 and Cortex-M4F.
const KERNEL_BOARDS: [&str; 2] = ["mps2-m0", "mps2-an386"];
/// Boards on which a network is held.
const NETWORK_BOARDS: [&str; 2] = ["microbit", "mps2-an386"];
/// What runs there.
const NETWORK: &str = "digits8-micro w8a8";
/// Optimization level at which the runtime's flash is held.
const FLASH_LEVEL: &str = "s";

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/budgets.json")
}

/// Everything that is held, by name; and the compiler.
fn measured() -> Option<(BTreeMap<String, u64>, String)> {
    let mut counts = BTreeMap::new();
    for name in KERNEL_BOARDS {
        for kernel in measure(board(name)?, &cases()).unwrap_or_else(|error| panic!("{error}")) {
            let count = kernel.instructions.expect("every case fits an MPS2 board");
            counts.insert(
                format!("instructions: {name}: {}: {}", kernel.shape, kernel.activations),
                count,
            );
        }
    }
    let bytes = converted(&digits(), Scheme::W8A8).emitted.bytes;
    let plan = two_steps(&bytes);
    let mut compiler = String::new();
    for name in NETWORK_BOARDS {
        let board = board(name)?;
        for firmware in [Firmware::Fast, Firmware::Compact] {
            compiler = network(board, firmware, &bytes, NETWORK, &mut counts);
            let parts = Parts::of([Feature::Integer, Feature::W16]).of_firmware(firmware);
            for parts in [parts.clone().with([Feature::Schedule]), parts] {
                for trusted in [false, true] {
                    let flash =
                        runtime_flash(board, FLASH_LEVEL, &parts, trusted).unwrap_or_else(|error| panic!("{error}"));
                    let what = format!(
                        "runtime's flash bytes: {}, -O{FLASH_LEVEL}: {}{}",
                        board.core.name,
                        flash.features.join(" "),
                        if trusted { ", trusted model" } else { "" }
                    );
                    counts.insert(what, flash.bytes);
                }
            }
        }
        network(
            board,
            Firmware::Fast,
            &plan,
            &format!("{NETWORK}, planned"),
            &mut counts,
        );
    }
    Some((counts, compiler))
}

/// The model with two steps in place of its schedule.
fn two_steps(bytes: &[u8]) -> Vec<u8> {
    let memory = AlignedBytes::copy_of(bytes);
    let model = Model::parse(memory.bytes()).expect("the model is valid");
    planned(bytes, &Config::of(model.header(), 2)).expect("the run can be planned")
}

/// A step of a model, its flash and its RAM; gives the compiler.
fn network(
    board: &'static Board,
    firmware: Firmware,
    bytes: &[u8],
    name: &str,
    counts: &mut BTreeMap<String, u64>,
) -> String {
    let memory = AlignedBytes::copy_of(bytes);
    let model = Model::parse(memory.bytes()).expect("the model is valid");
    let config = Config::of(model.header(), 2);
    let options = ImageOptions {
        parts: Some(Parts::needed_by(&model).of_firmware(firmware)),
        ..ImageOptions::default()
    };
    let image = Image::link(board, bytes, &options).unwrap_or_else(|error| panic!("{error}"));
    let report = image
        .run(&RunRequest::new(config, [config.seed]))
        .unwrap_or_else(|error| panic!("{error}"));
    let steps = &report.images[0].steps;
    // A count of a run that went wrong would mean nothing.
    let here = finish(&model, &config, &Start::Seed).expect("it runs here").steps;
    assert_eq!(
        steps.iter().map(|step| step.digest).collect::<Vec<_>>(),
        here.iter().map(|step| step.digest).collect::<Vec<_>>()
    );
    let each = steps.iter().map(|step| step.instructions.expect("steps are timed"));
    let sizes = report.sizes;
    let backend = Backend::Board(board, firmware).to_string();
    let backend = backend.trim_start_matches("board:");
    let mut hold = |what: &str, value| counts.insert(format!("{what}: {backend}: {name}"), value);
    hold("instructions a step", each.sum::<u64>() / steps.len() as u64);
    hold(
        "RAM bytes",
        sizes.arena_bytes + sizes.statics_bytes + report.stack_bytes,
    );
    hold("flash code bytes, firmware included", sizes.flash_code_bytes);
    report.compiler
}

#[test]
fn counts_stay_within_their_budgets() {
    let Some((counts, compiler)) = measured() else {
        return;
    };
    if std::env::var_os("MOTE_UPDATE_BUDGETS").is_some() {
        let text = json!({ "compiler": compiler, "counts": counts });
        let text = serde_json::to_string_pretty(&text).expect("plain values") + "\n";
        std::fs::write(file(), text).expect("the file can be written");
        return;
    }
    let text = std::fs::read_to_string(file()).expect("tests/data/budgets.json is there");
    let budgets: Value = serde_json::from_str(&text).expect("tests/data/budgets.json is JSON");
    let none = Map::new();
    let complaints = compare(&counts, budgets["counts"].as_object().unwrap_or(&none));
    if complaints.is_empty() {
        return;
    }
    let complaints = complaints.join("\n  ");
    let theirs = budgets["compiler"].as_str().unwrap_or_default();
    if compiler != theirs {
        eprintln!("SKIPPED: budgets are held with '{theirs}', here is '{compiler}'");
        println!("beyond their budgets:\n  {complaints}");
        return;
    }
    panic!(
        "beyond their budgets in {}:\n  {complaints}\nWhere a change is worth that: \
         MOTE_UPDATE_BUDGETS=1 cargo test --release -p mote-tests --test budgets",
        file().display()
    );
}

/// What grew by more than the allowance, and what only one side names.
fn compare(counts: &BTreeMap<String, u64>, budgets: &Map<String, Value>) -> Vec<String> {
    let grown = counts
        .iter()
        .filter_map(|(what, &count)| match budgets.get(what).and_then(Value::as_u64) {
            None => Some(format!("{what}: {count}, no budget")),
            Some(budget) if count as f64 > budget as f64 * (1.0 + ALLOWANCE) => {
                let percent = 100.0 * (count as f64 / budget as f64 - 1.0);
                Some(format!("{what}: {count}, budget {budget}: {percent:.1} % more"))
            }
            Some(_) => None,
        });
    let gone = budgets.keys().filter(|what| !counts.contains_key(*what));
    grown
        .chain(gone.map(|what| format!("{what}: not measured any more")))
        .collect()
}

#[test]
fn growth_and_gaps_are_found() {
    let counts = |pairs: &[(&str, u64)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect();
    let budgets = json!({ "a": 1000, "b": 1000, "gone": 1 });
    let found = compare(
        &counts(&[("a", 1020), ("b", 1021), ("new", 5)]),
        budgets.as_object().unwrap(),
    );
    assert_eq!(found.len(), 3);
    assert!(found[0].starts_with("b: 1021, budget 1000: 2.1 % more"), "{}", found[0]);
    assert!(found[1].starts_with("new") && found[2].starts_with("gone"));
}
