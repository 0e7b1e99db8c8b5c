//! Checkpoints by their folder, and the one that is bundled.

use crate::{Checkpoint, ImportError, Parts, import, import_parts};
use std::path::Path;

const NAME: &str = "fashion16-tiny";
const CONFIG: &str = include_str!("../../assets/fashion16-tiny/unet/config.json");
const SCHEDULER: &str = include_str!("../../assets/fashion16-tiny/scheduler/scheduler_config.json");
const WEIGHTS: &[u8] = include_bytes!("../../assets/fashion16-tiny/unet/diffusion_pytorch_model.safetensors");

impl Checkpoint {
    /// Reads the checkpoint in `path`: a diffusers pipeline folder, or its `unet/` folder; `net.pt2` of `torch.export.save` or `net.onnx` of
    /// `torch.onnx.export`, or its folder with `mote.json`; a policy's `.ckpt`, or its folder.
    ///
    /// # Errors
    /// With file, field and value, for whatever is not there or not supported.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ImportError> {
        import(path.as_ref())
    }

    /// A small network for images of clothes, 16 x 16, trained in PyTorch.
    ///
    /// # Errors
    /// None, as long as the importer reads what it was tested with.
    pub fn bundled() -> Result<Self, ImportError> {
        import_parts(Parts {
            name: NAME,
            config: CONFIG,
            weights: WEIGHTS,
            scheduler: SCHEDULER,
        })
    }
}
