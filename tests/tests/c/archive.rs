//! What is in the archive: the header's functions, no panic, and little more than the runtime of a firmware in Rust.

use std::collections::BTreeSet;

use mote_firmware_sim::{CArchive, Firmware, Parts, runtime_flash, rust_flash_bytes};
use mote_runtime::Feature;
use mote_tests::boards::board;

use crate::tools::root;

/// What digits8-micro needs.
pub fn digits_parts() -> Parts {
    Parts::of([Feature::Integer, Feature::W16, Feature::Schedule, Feature::Fast])
}

/// The functions that the header declares.
fn declared() -> BTreeSet<String> {
    let header = std::fs::read_to_string(root("runtime/c/include/mote.h")).expect("the header is there");
    // What stands under a condition is of parts that the archive below is built without.
    let mut left_out = false;
    let code = header.lines().filter(|line| {
        let line = line.trim_start();
        left_out = (left_out || line.starts_with("#if defined(MOTE_")) && !line.starts_with("#endif");
        !left_out && !line.starts_with("//")
    });
    code.filter_map(|line| {
        let name = line.split('(').next()?.split([' ', '*']).next_back()?;
        (line.contains('(') && name.starts_with("mote_")).then(|| name.to_owned())
    })
    .collect()
}

/// Panic-free by link: nothing in the archive of a compact runtime refers to the handler of panics.
#[test]
fn the_archive_has_what_the_header_declares_and_cannot_panic() {
    for name in ["microbit", "mps2-an386", "virt"] {
        let Some(board) = board(name) else { return };
        let parts = digits_parts().of_firmware(Firmware::Compact);
        let archive = CArchive::build(board, &parts).unwrap_or_else(|error| panic!("{error}"));
        let symbols = archive.symbols().unwrap_or_else(|error| panic!("{error}"));
        let exported = symbols
            .iter()
            .filter(|(name, exported)| *exported && name.starts_with("mote_"));
        let exported: BTreeSet<String> = exported
            .map(|(name, _)| name.clone())
            .filter(|name| !name.contains("::"))
            .collect();
        assert_eq!(exported, declared(), "{name}");
        let panics: Vec<&String> = symbols
            .iter()
            .map(|(name, _)| name)
            .filter(|name| {
                ["panic", "begin_unwind", "slice_index_fail"]
                    .iter()
                    .any(|part| name.contains(part))
            })
            .collect();
        assert!(panics.is_empty(), "{name}: {panics:?}");
    }
}

/// What is held of the flash beside a firmware in Rust; 1.025 was measured, 1.02 is aimed at. Of the 1,022 bytes reading and filling in a
/// configuration take 310, and checks of what a caller gave 400. The rest is what Rust compiles into one function, and C calls as five.
const SHARE_OF_RUST: f64 = 1.03;

/// Flash beside a firmware in Rust that does the same: it keeps why it failed, and each step's digest.
#[test]
fn it_takes_little_more_flash_than_rust() {
    let Some(board) = board("mps2-an386") else { return };
    let parts = digits_parts();
    let rust = rust_flash_bytes(board, &parts).unwrap_or_else(|error| panic!("{error}"));
    let least = runtime_flash(board, board.core.opt_level, &parts, false).unwrap_or_else(|error| panic!("{error}"));
    let archive = CArchive::build(board, &parts).unwrap_or_else(|error| panic!("{error}"));
    let functions = ["mote_open", "mote_config_init", "mote_start", "mote_step", "mote_image"];
    let c = archive
        .flash_bytes(&functions)
        .unwrap_or_else(|error| panic!("{error}"));
    println!(
        "runtime's flash from Rust {rust} bytes ({} where only seed and steps are chosen), from C {c}",
        least.bytes
    );
    assert!(c as f64 <= rust as f64 * SHARE_OF_RUST, "C {c}, Rust {rust}");
}

/// What a firmware grows by that has its weights, its snapshots or pieces of steps from the library.
#[test]
fn what_streaming_and_the_store_take() {
    let Some(board) = board("mps2-an386") else { return };
    let parts = digits_parts().with([Feature::Streamed]);
    let archive = CArchive::build_whole(board, &parts).unwrap_or_else(|error| panic!("{error}"));
    let least = ["mote_config_init", "mote_start", "mote_image"];
    let bytes = |more: &[&str]| {
        let functions = [&least[..], more].concat();
        archive
            .flash_bytes(&functions)
            .unwrap_or_else(|error| panic!("{error}"))
    };
    let plain = bytes(&["mote_open", "mote_step"]);
    let streamed = bytes(&[
        "mote_open_apart",
        "mote_stream_bytes",
        "mote_stream_open",
        "mote_step_streamed",
    ]);
    let saved = bytes(&["mote_open", "mote_step", "mote_save", "mote_resume"]);
    let store = [
        "mote_store_open",
        "mote_store_load",
        "mote_store_save",
        "mote_store_clear",
    ];
    let stored = bytes(&[&["mote_open", "mote_step", "mote_save", "mote_resume"], &store[..]].concat());
    let pieces = bytes(&[
        "mote_open",
        "mote_begin_step",
        "mote_split_step",
        "mote_run_operators",
        "mote_finish_step",
    ]);
    let more = |all: u64, without: u64| all as i64 - without as i64;
    println!(
        "{plain} bytes; streamed {:+}, snapshots {:+}, the store {:+}, pieces {:+}",
        more(streamed, plain),
        more(saved, plain),
        more(stored, saved),
        more(pieces, plain)
    );
    assert!(more(streamed, plain) <= mote_tools::backend::apart::STREAMED_BYTES as i64);
    assert!((1..2048).contains(&more(stored, saved)));
}

/// Each part of the runtime is a feature of the archive.
#[test]
fn every_part_can_be_built_by_its_name() {
    let manifest = std::fs::read_to_string(root("runtime/c/Cargo.toml")).expect("the manifest is there");
    for part in Feature::ALL {
        let name = part.name();
        let line = format!("\n{name} = [\"mote-runtime/{name}\"]\n");
        assert!(manifest.contains(&line), "runtime/c/Cargo.toml lacks {line}");
    }
}
