//! The stages of the compiler know only those before them. `ops` and `program` are what all of them work on.

use std::path::{Path, PathBuf};

/// In the order that data takes. Importers come before them all: a crate of their own, which Rust's compiler keeps from knowing any.
/// `convert` comes behind them, in the tools, which this crate cannot know.
const STAGES: [&str; 5] = ["lower", "quantize", "plan", "emit", "widths"];

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
    let tools = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("a folder of the tools");
    let manifest =
        |name: &str| std::fs::read_to_string(tools.join(name).join("Cargo.toml")).expect("a crate of its own");
    for later in ["mote-tools", "mote-compile"] {
        assert!(!manifest("import").contains(later), "importers come before {later}");
    }
    assert!(
        !manifest("compile").contains("mote-tools"),
        "the compiler comes before the tools"
    );
    let root = tools.join("compile/src");
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
