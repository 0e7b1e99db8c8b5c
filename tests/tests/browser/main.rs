//! The page that samples: the WebAssembly in it is of this source, and gives the runtime's digests in a browser.
//!
//! The browser is Chromium with its driver (`.ci/setup` installs them). Without them this fails, unless `MOTE_ALLOW_MISSING_BROWSER=1` says
//! that it is known.

mod driver;
mod matrix;
mod page;

use mote_tools::report::assemble::of_conversion;
use mote_tools::{Checkpoint, Converted};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

#[test]
fn the_module_is_of_this_source() {
    let mut files = Vec::new();
    for folder in ["runtime/src", "runtime/c/src"] {
        sources(&root(folder), folder, &mut files);
    }
    files.sort();
    let mut hash = Sha256::new();
    for (_, path) in files {
        hash.update(std::fs::read(path).unwrap());
    }
    let hash: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let said = std::fs::read_to_string(root("tools/assets/browser/source")).unwrap();
    assert_eq!(said.trim(), hash, "run runtime/c/wasm/build");
}

/// Names and paths of the Rust files in a folder and below.
fn sources(folder: &Path, name: &str, to: &mut Vec<(String, PathBuf)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{name}/{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            sources(&path, &name, to);
        } else if name.ends_with(".rs") {
            to.push((name, path));
        }
    }
}

/// The report of a conversion, written into a folder.
fn page_of(converted: &Converted, checkpoint: &Checkpoint, folder: &Path) -> PathBuf {
    let page = folder.join("report.html");
    std::fs::write(&page, of_conversion(converted, checkpoint, "").unwrap()).unwrap();
    page
}
