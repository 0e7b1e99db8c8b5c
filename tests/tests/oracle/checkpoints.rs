//! The bundled networks in every scheme.

use std::path::Path;
use std::sync::LazyLock;

use mote_engine::memory::AlignedBytes;
use mote_runtime::{Config, Model, Start};
use mote_tools::convert::{Options, convert};
use mote_tools::import::import;
use mote_tools::quantize::scheme::Scheme;

use crate::compare::assert_equal;

/// A converted model file.
pub struct File {
    /// Checkpoint and scheme.
    pub name: String,
    /// The file.
    pub memory: AlignedBytes,
}

/// Both checkpoints, every scheme.
pub static FILES: LazyLock<Vec<File>> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [
        root.join("data/digits8-micro"),
        root.join("../tools/assets/fashion16-tiny"),
    ];
    folders.iter().flat_map(|folder| files(folder)).collect()
});

fn files(folder: &Path) -> Vec<File> {
    let checkpoint = import(folder).expect("a bundled checkpoint");
    let schemes = [Scheme::F16, Scheme::W8A16, Scheme::W8A8, Scheme::W4A16, Scheme::W4A8].into_iter();
    let file = |scheme| {
        let converted = convert(&checkpoint, &Options::of(scheme), &|_| {}).expect("a convertible checkpoint");
        File {
            name: format!("{} {scheme}", checkpoint.name),
            memory: AlignedBytes::copy_of(&converted.emitted.bytes),
        }
    };
    schemes.map(file).collect()
}

#[test]
fn every_step_and_operator_is_the_oracles() {
    for file in FILES.iter() {
        let model = Model::parse(file.memory.bytes()).expect("a converted model");
        let config = Config {
            seed: 7,
            ..Config::of(model.header(), 5)
        };
        assert_equal(&file.memory, &config, &Start::Seed, &file.name);
        let noisy = Config {
            seed: u64::MAX - 3,
            eta_q16: 1 << 16,
            ..Config::of(model.header(), 3)
        };
        assert_equal(&file.memory, &noisy, &Start::Seed, &format!("{}, eta 1", file.name));
    }
}
