//! The tutorials' commands are run as they stand, in a folder beside the repository's own.
//!
//! Left out, each with its reason: `python` needs PyTorch, which the tests do without; a trained folder is replaced by the one that the page names for
//! those who have no PyTorch. `cargo` would build what is built. Boards and projects have their own tests (`boards.rs`, `tests/tests/new`).

use crate::common::{folder, mote_at};
use std::path::Path;

/// A page's name, the folders that stand for others, the files that are left.
type Page = (
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static [&'static str],
);

/// The pages; what stands for the folder that Python trained; the files that are there at the end.
const PAGES: [Page; 6] = [
    (
        "mnist",
        &[],
        &[
            "digits.mote",
            "report/report.html",
            "digits.png",
            "my-digits/Cargo.toml",
        ],
    ),
    ("policy", &[], &["lander.mote", "plans.json"]),
    (
        "ecg",
        &[("ecg", "tests/data/ecg")],
        &["ecg.mote", "report/report.html", "wearable/Cargo.toml"],
    ),
    (
        "display",
        &[("digits-latent", "tests/data/digits-latent")],
        &["latent.mote", "pictures.png", "decoded.png"],
    ),
    (
        "module",
        &[("own", "tests/data/importers/onnx/image")],
        &["own.mote", "own.png"],
    ),
    ("c", &[], &["digits.png", "my-app/CMakeLists.txt"]),
];

/// Lines of the blocks of commands.
fn commands(page: &str) -> Vec<String> {
    let blocks = page.split("```console\n").skip(1);
    let lines = blocks
        .filter_map(|block| block.split("```").next())
        .flat_map(str::lines);
    lines.map(str::to_owned).collect()
}

#[test]
fn every_command_of_the_tutorials_runs_and_leaves_its_picture() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap();
    for (name, replaced, left) in PAGES {
        let page = std::fs::read_to_string(root.join("docs").join(name).with_extension("md")).unwrap();
        let folder = folder();
        for part in ["tests", "tools"] {
            std::os::unix::fs::symlink(root.join(part), folder.path().join(part)).unwrap();
        }
        for (trained, instead) in replaced {
            assert!(
                page.contains(&format!("`{instead}` in place of `{trained}`")),
                "{name}: {instead}"
            );
            std::os::unix::fs::symlink(root.join(instead), folder.path().join(trained)).unwrap();
        }
        let mut run = 0;
        for line in commands(&page) {
            let Some(words) = line.strip_prefix("mote ") else {
                assert!(
                    line.starts_with("python ") || line.starts_with("cargo run "),
                    "{name}: {line}"
                );
                continue;
            };
            if words.contains("board:") {
                continue;
            }
            let done = mote_at(folder.path(), words);
            assert_eq!(done.status, 0, "{name}: {line}\n{}{}", done.stdout, done.stderr);
            run += 1;
        }
        assert!(run >= 2, "{name}: {run} commands");
        for file in left {
            let length = std::fs::metadata(folder.path().join(file)).map_or(0, |found| found.len());
            assert!(length > 0, "{name} leaves no {file}");
        }
    }
}
