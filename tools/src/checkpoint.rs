//! Checkpoints by their folder, and the one that is bundled.

use crate::Error;
use crate::import::{Checkpoint, Parts, import, import_parts};
use mote_runtime::Feature;
use std::path::Path;

const NAME: &str = "fashion16-tiny";
const CONFIG: &str = include_str!("../assets/fashion16-tiny/unet/config.json");
const SCHEDULER: &str = include_str!("../assets/fashion16-tiny/scheduler/scheduler_config.json");
const WEIGHTS: &[u8] = include_bytes!("../assets/fashion16-tiny/unet/diffusion_pytorch_model.safetensors");

impl Checkpoint {
    /// The parts of the runtime that the bundled checkpoint's model needs, as [`Scheme::Auto`](crate::Scheme::Auto) converts it: its
    /// firmware can be compiled while it is converted.
    pub const BUNDLED_PARTS: [Feature; 5] = [
        Feature::Integer,
        Feature::W16,
        Feature::Attention,
        Feature::NormConv,
        Feature::Schedule,
    ];

    /// Reads the checkpoint in `path`: a diffusers pipeline folder, or its `unet/` folder; `net.pt2` of `torch.export.save` or `net.onnx` of
    /// `torch.onnx.export`, or its folder with `mote.json`; a policy's `.ckpt`, or its folder.
    ///
    /// # Errors
    /// Of kind `Input`, with file, field and value, for whatever is not there or not supported.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Ok(import(path.as_ref())?)
    }

    /// A small network for images of clothes, 16 x 16, trained in PyTorch.
    ///
    /// # Errors
    /// None, as long as the importer reads what it was tested with.
    pub fn bundled() -> Result<Self, Error> {
        Ok(import_parts(Parts {
            name: NAME,
            config: CONFIG,
            weights: WEIGHTS,
            scheduler: SCHEDULER,
        })?)
    }
}
