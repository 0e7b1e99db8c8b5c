//! The bundled checkpoints, and the reference vectors that PyTorch made from them.

use std::path::{Path, PathBuf};

use mote_tools::convert::{Converted, Options, convert};
use mote_tools::import::{Checkpoint, import};
use mote_tools::quantize::scheme::Scheme;
use safetensors::SafeTensors;

/// 8x8 digits: no attention, no clipping.
pub fn digits() -> PathBuf {
    root("tests/data/digits8-micro")
}

/// 16x16 clothes: attention, clipping.
pub fn fashion() -> PathBuf {
    root("tools/assets/fashion16-tiny")
}

/// Reference vectors of [`fashion`].
pub fn fashion_vectors() -> PathBuf {
    root("tests/data/fashion16-tiny/vectors.safetensors")
}

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The checkpoint in `path`.
pub fn checkpoint(path: &Path) -> Checkpoint {
    import(path).expect("the bundled checkpoint is readable")
}

/// The checkpoint in `path`, converted without a memory budget.
pub fn converted(path: &Path, scheme: Scheme) -> Converted {
    convert(&checkpoint(path), &Options::of(scheme), &|_| {}).expect("the bundled checkpoint converts")
}

/// What the float sampler makes of some starting noises.
#[derive(Debug, Clone)]
pub struct Vectors {
    /// x_T, image by image, `(row, col, channel)` of one channel.
    pub noise: Vec<f32>,
    /// The final images of float DDIM with 20 steps.
    pub x0: Vec<f32>,
}

/// Reads `noise` and `ddim20.x0`.
pub fn vectors(path: &Path) -> Vectors {
    let file = std::fs::read(path).expect("the bundled vectors are there");
    let tensors = SafeTensors::deserialize(&file).expect("the bundled vectors are safetensors");
    let floats = |key: &str| {
        let tensor = tensors.tensor(key).expect("the key is there");
        tensor
            .data()
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect()
    };
    Vectors {
        noise: floats("noise"),
        x0: floats("ddim20.x0"),
    }
}
