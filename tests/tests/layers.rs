//! Layers know only what is below them: an arrow that runs back is found with its file and line.

use std::fs;
use std::path::{Path, PathBuf};

/// The runtime's layers, the lowest first; modules of one layer may know each other.
const RUNTIME: [&[&str]; 8] = [
    &["features", "error", "digest"],
    &["numeric"],
    &["tensor"],
    &["family"],
    &["ops"],
    &["model"],
    &["schedule"],
    &["sampler"],
];

/// What a file of Rust names of its own crate: line, and the module at its root.
fn arrows(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        for (at, path) in code.match_indices("crate::") {
            // Another crate's path that ends in these letters, or a macro's own.
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '$')) {
                continue;
            }
            let rest = &code[at + path.len()..];
            let roots: Vec<&str> = match rest.strip_prefix('{') {
                Some(list) => list.split(',').map(str::trim).collect(),
                None => vec![rest],
            };
            for root in roots {
                let name: String = root.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if !name.is_empty() {
                    found.push((index + 1, name));
                }
            }
        }
    }
    found
}

/// Every file of Rust under a folder.
fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("an entry of a folder").path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            into.push(path);
        }
    }
}

/// The layer of a module.
fn layer(layers: &[&[&str]], module: &str) -> Option<usize> {
    layers.iter().position(|layer| layer.contains(&module))
}

/// Arrows that run back in the crate whose sources are in `root`.
fn wrong_arrows(root: &Path, layers: &[&[&str]]) -> Vec<String> {
    let mut files = Vec::new();
    sources(root, &mut files);
    files.sort();
    let mut wrong = Vec::new();
    for file in files {
        let relative = file.strip_prefix(root).expect("it is below");
        let first = relative
            .components()
            .next()
            .expect("a file")
            .as_os_str()
            .to_string_lossy();
        let module = first.trim_end_matches(".rs");
        // The root itself names all of them; tests may look at what is above.
        if module == "lib"
            || relative
                .components()
                .any(|part| part.as_os_str().to_string_lossy().starts_with("tests"))
        {
            continue;
        }
        let Some(own) = layer(layers, module) else {
            wrong.push(format!("{}: no layer holds '{module}'", relative.display()));
            continue;
        };
        let text = fs::read_to_string(&file).expect("a source is text");
        // Tests stand last in a file.
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        let code = code
            .split("#[cfg(test)]\npub(crate) mod tests")
            .next()
            .unwrap_or_default();
        for (line, name) in arrows(code) {
            match layer(layers, &name) {
                Some(other) if other > own => {
                    wrong.push(format!(
                        "{}:{line}: '{module}' knows '{name}', which is above it",
                        relative.display()
                    ));
                }
                Some(_) => {}
                None => wrong.push(format!("{}:{line}: no layer holds '{name}'", relative.display())),
            }
        }
    }
    wrong
}

#[test]
fn the_runtime_knows_only_what_is_below() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/src");
    let wrong = wrong_arrows(&root, &RUNTIME);
    assert!(
        wrong.is_empty(),
        "arrows that run back in runtime/src:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn an_arrow_that_runs_back_is_found_with_its_line() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in [
        ("lib.rs", "pub mod model;\npub mod numeric;\nuse crate::sampler::Any;\n"),
        (
            "numeric.rs",
            "// crate::model::Model is not known here\nuse crate::features::Feature;\nuse crate::{error, model::Model};\n",
        ),
        (
            "model.rs",
            "use crate::numeric::x;\nfn f() { other_crate::sampler::g(); crate::sampler::g() }\n",
        ),
        ("stray.rs", ""),
    ] {
        fs::write(folder.path().join(name), text).expect("a file");
    }
    let wrong = wrong_arrows(folder.path(), &RUNTIME);
    let expected = [
        "model.rs:2: 'model' knows 'sampler', which is above it",
        "numeric.rs:3: 'numeric' knows 'model', which is above it",
        "stray.rs: no layer holds 'stray'",
    ];
    assert_eq!(wrong, expected);
}
