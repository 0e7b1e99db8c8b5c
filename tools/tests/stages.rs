//! The stages of a conversion know only those before them. `ops` and `program` are what all of them work on.

use std::path::{Path, PathBuf};

/// In the order that data takes. Importers come before them all: a crate of their own, which the compiler keeps from knowing any.
const STAGES: [&str; 6] = ["lower", "quantize", "plan", "emit", "widths", "convert"];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a stage is a folder");
    let paths = entries.map(|entry| entry.expect("its entries can be read").path());
    // Tests of a stage may use all of them.
    let kept = paths.filter(|path| path.file_stem().is_some_and(|name| name != "tests"));
    let below = |path: PathBuf| if path.is_dir() { sources(&path) } else { vec![path] };
    kept.flat_map(below).collect()
}

#[test]
fn stages_know_only_those_before_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let importers = std::fs::read_to_string(root.join("import/Cargo.toml")).expect("importers are a crate");
    assert!(!importers.contains("mote-tools"), "importers come before the tools");
    let root = root.join("src");
    for (place, stage) in STAGES.iter().enumerate() {
        let files = sources(&root.join(stage));
        assert!(!files.is_empty(), "{stage}");
        for file in files {
            let text = std::fs::read_to_string(&file).expect("sources are text");
            for later in &STAGES[place + 1..] {
                let uses = text.contains(&format!("crate::{later}::")) || text.contains(&format!("crate::{later};"));
                assert!(!uses, "{} uses {later}, which comes after {stage}", file.display());
            }
        }
    }
}
