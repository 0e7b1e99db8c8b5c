//! What of Mote's lies in a folder, by names and first bytes; nothing is read further.

use crate::import::EXPORTED_FILES;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Entries of a folder that are looked at.
const MOST_ENTRIES: usize = 10_000;
/// Folders that are nobody's checkpoint; the demo writes the second.
const PASSED: [&str; 3] = ["target", "mote-demo", "node_modules"];
/// Bytes of a page in which it names its maker.
const HEAD: u64 = 2048;

/// Something that a command takes, by its name in the folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Found {
    /// A checkpoint: a folder, or one file.
    Checkpoint(String),
    /// A model file.
    Model(String),
    /// Raw images.
    Images(String),
    /// A report.
    Report(String),
}

/// What lies in `folder` and in the folders in it, in the order of names. A folder that cannot be read holds nothing.
#[must_use]
pub fn look_around(folder: &Path) -> Vec<Found> {
    let mut found = Vec::new();
    if is_checkpoint(folder) {
        found.push(Found::Checkpoint(".".into()));
    }
    let entries = folder.read_dir().into_iter().flatten().flatten();
    for entry in entries.take(MOST_ENTRIES) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            found.extend(classify(&entry.path(), name));
        }
    }
    found.sort();
    found
}

fn classify(path: &Path, name: String) -> Option<Found> {
    if path.is_dir() {
        let checkpoint = !PASSED.contains(&name.as_str()) && is_checkpoint(path);
        return checkpoint.then(|| Found::Checkpoint(name + "/"));
    }
    let ending = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    if ending(&[".mote"]) && begins(path, 4) == b"MOTE" {
        Some(Found::Model(name))
    } else if ending(&[".pt2", ".onnx", ".ckpt"]) {
        Some(Found::Checkpoint(name))
    } else if ending(&[".npz", "-idx3-ubyte", "-idx3-ubyte.gz"]) {
        Some(Found::Images(name))
    } else if ending(&[".html"]) && String::from_utf8_lossy(&begins(path, HEAD)).contains("Mote") {
        Some(Found::Report(name))
    } else {
        None
    }
}

/// Whether a folder looks like one that `mote convert` takes.
fn is_checkpoint(folder: &Path) -> bool {
    let has = |name: &str| folder.join(name).exists();
    let weights = || {
        let mut entries = folder.read_dir().into_iter().flatten().flatten().take(MOST_ENTRIES);
        entries.any(|entry| entry.file_name().to_string_lossy().ends_with(".safetensors"))
    };
    let pipeline =
        has("chain.json") || has("model_index.json") || has("unet/config.json") || has("transformer/config.json");
    pipeline || EXPORTED_FILES.iter().any(|name| has(name)) || has("config.json") && weights()
}

/// The first bytes of a regular file.
fn begins(path: &Path, count: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if path.is_file()
        && let Ok(file) = File::open(path)
    {
        // A file that cannot be read is nothing that could be taken.
        let _ = file.take(count).read_to_end(&mut bytes);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_commands_take_is_found_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(look_around(folder.path()), []);
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("b.mote", "MOTE and more");
        write("not.mote", "something else");
        write("net/unet/config.json", "{}");
        write("mote-demo/model_index.json", "{}");
        write("policy/net.onnx", "");
        write("src/config.json", "{}");
        write("beat/chain.json", "{}");
        write(".hidden/model_index.json", "{}");
        write("page.html", "<title>A page</title>");
        write("report.html", "<title>Mote</title>");
        let expected = [
            Found::Checkpoint("beat/".into()),
            Found::Checkpoint("net/".into()),
            Found::Checkpoint("policy/".into()),
            Found::Model("b.mote".into()),
            Found::Report("report.html".into()),
        ];
        assert_eq!(look_around(folder.path()), expected);
        assert_eq!(look_around(&folder.path().join("net")), [Found::Checkpoint(".".into())]);
    }
}
