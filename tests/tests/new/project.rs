//! Projects around the digits.

use std::path::{Path, PathBuf};

use mote_engine::memory::AlignedBytes;
use mote_runtime::{Config, Model, Start};
use mote_tests::checkpoints::{converted, digits};
use mote_tests::running::finish;
use mote_tools::Target;
use mote_tools::project::{Kind, NewProject, Written};
use mote_tools::quantize::scheme::Scheme;

/// A folder that goes away, with the model in it.
pub struct Place {
    folder: tempfile::TempDir,
    pub model: PathBuf,
}

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let model = folder.path().join("digits.mote");
        std::fs::write(&model, bytes()).expect("it can be written");
        Self { folder, model }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A project in this folder.
    pub fn project(&self, name: &str, kind: Kind, board: &str) -> (PathBuf, Written) {
        let folder = self.path().join(name);
        let project = NewProject {
            folder: folder.clone(),
            kind,
            model: self.model.clone(),
            board: Target::named(board).unwrap_or_else(|error| panic!("{error}")),
            steps: None,
            mote: None,
        };
        let written = project.write().unwrap_or_else(|error| panic!("{error}"));
        (folder, written)
    }
}

/// The model: digits8-micro as w8a8.
pub fn bytes() -> Vec<u8> {
    converted(&digits(), Scheme::W8A8).emitted.bytes
}

/// The lines that every project logs of its steps, as this machine makes them.
pub fn steps() -> Vec<String> {
    let bytes = bytes();
    let memory = AlignedBytes::copy_of(&bytes);
    let model = Model::parse(memory.bytes()).expect("the model is valid");
    let config = Config {
        seed: 7,
        ..Config::of(model.header(), 20)
    };
    let run = finish(&model, &config, &Start::Seed).expect("it runs here");
    let line = |step: &mote_runtime::Step| format!("step {} {:016x}", step.index, step.digest);
    run.steps.iter().map(line).collect()
}
