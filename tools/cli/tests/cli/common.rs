//! Running the command.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// What a run left behind.
pub struct Done {
    /// Exit status.
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Runs `mote` with the words of `line`; `{name}` of `places` is replaced by its path.
pub fn mote(line: &str, places: &[(&str, &Path)]) -> Done {
    done(command(line, places).output().expect("mote can be started"))
}

/// [`mote`] beside the model: `{model}`, its checkpoint `{digits}`, and a folder `{dir}`.
pub fn mote_in(dir: &Path, line: &str) -> Done {
    mote(line, &[("model", model()), ("digits", &digits()), ("dir", dir)])
}

/// [`mote`] with firmware that holds what its model needs and no more, whatever the environment says.
pub fn mote_with_needed_parts(line: &str, places: &[(&str, &Path)]) -> Done {
    let mut command = command(line, places);
    let output = command.env_remove("MOTE_FIRMWARE_PARTS").output();
    done(output.expect("mote can be started"))
}

/// [`mote`] from within a folder.
pub fn mote_at(dir: &Path, line: &str) -> Done {
    done(
        command(line, &[])
            .current_dir(dir)
            .output()
            .expect("mote can be started"),
    )
}

/// [`mote`] with a variable of the environment.
pub fn mote_with(line: &str, places: &[(&str, &Path)], (name, value): (&str, &str)) -> Done {
    let output = command(line, places).env(name, value).output();
    done(output.expect("mote can be started"))
}

fn command(line: &str, places: &[(&str, &Path)]) -> Command {
    let word = |word: &str| {
        places.iter().fold(word.to_owned(), |word, (name, path)| {
            word.replace(&format!("{{{name}}}"), &path.display().to_string())
        })
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_mote"));
    // Lines that a slow machine would add say nothing of the command.
    command.env("MOTE_PROGRESS", "0");
    command.args(line.split_whitespace().map(word));
    command
}

fn done(output: Output) -> Done {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("mote writes UTF-8");
    let done = Done {
        status: output.status.code().unwrap_or(-1),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    };
    assert!(!done.stderr.contains("panicked"), "{}", done.stderr);
    done
}

impl Done {
    /// The one JSON object on stdout of a run that held.
    pub fn json(&self) -> Value {
        assert_eq!(self.status, 0, "{}{}", self.stdout, self.stderr);
        self.any_json()
    }

    /// The one JSON object on stdout.
    pub fn any_json(&self) -> Value {
        let value: Value = serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}", self.stdout));
        assert!(value.is_object());
        value
    }
}

/// The bundled checkpoint of 8x8 digits.
pub fn digits() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/digits8-micro")
}

/// The bundled checkpoint of 16x16 clothes.
pub fn fashion() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/fashion16-tiny")
}

/// Its reference vectors.
pub fn vectors() -> PathBuf {
    digits().join("vectors.safetensors")
}

/// The digits that it was trained on.
pub fn images() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/digits8.npz")
}

/// A folder that goes away.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// The digits as w8a16, converted once.
pub fn model() -> &'static Path {
    static MODEL: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = MODEL.get_or_init(|| {
        let folder = folder();
        let path = folder.path().join("digits.mote");
        let done = mote(
            "convert {digits} -o {path} --scheme w8a16",
            &[("digits", &digits()), ("path", &path)],
        );
        assert_eq!(done.status, 0, "{}", done.stderr);
        (folder, path)
    });
    path
}

/// Fails unless `value` has all of `keys`.
pub fn has_keys(value: &Value, keys: &[&str]) {
    for key in keys {
        assert!(value.get(key).is_some(), "no `{key}` in {value}");
    }
}

/// Names of what is in a folder.
pub fn listing(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("the folder is there");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
