//! A model that no flash of a board holds, cut in two: what would stay there, and what the buffers take.

use super::footprint::Fit;
use crate::emit::split::split;
use mote_runtime::{Model, stream_bytes};

/// Code that reads weights in blocks takes at most so much flash: see `--test c` (`what_streaming_and_the_store_take`).
pub const STREAMED_BYTES: u64 = 6 * 1024;

/// What a cut model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Bytes of the file that the core addresses.
    pub model_bytes: u64,
    /// Bytes of the file of weights, in another memory.
    pub weight_bytes: u64,
    /// RAM for two blocks, at least.
    pub buffer_bytes: u64,
}

impl Cut {
    /// Of the model file `bytes`; `None` of one that cannot be cut.
    #[must_use]
    pub fn of(model: &Model<'_>, bytes: &[u8]) -> Option<Self> {
        let cut = split(bytes).ok()?;
        Some(Self {
            model_bytes: cut.model.len() as u64,
            weight_bytes: cut.weights.len() as u64,
            buffer_bytes: stream_bytes(model, 1) as u64,
        })
    }

    /// What to do where the file `bytes` is too large for a board's flash and would fit if it were cut; `more` is RAM and flash that is needed beside.
    #[must_use]
    pub fn remedy(fit: &Fit, model: &Model<'_>, bytes: &[u8], [flash, ram]: [u64; 2]) -> Option<String> {
        if fit.flash_bytes + flash <= fit.flash_total_bytes {
            return None;
        }
        let cut = Self::of(model, bytes)?;
        let flash = fit.flash_bytes + flash + STREAMED_BYTES + cut.model_bytes - bytes.len() as u64;
        let ram = fit.ram_bytes + ram + cut.buffer_bytes;
        let kib = |bytes: u64| format!("{:.1} KiB", bytes as f64 / 1024.0);
        (flash <= fit.flash_total_bytes && ram <= fit.ram_total_bytes).then(|| {
            format!(
                "or keep its weights in external flash: `mote split` leaves {} here and {} there, for {} of buffers (docs/firmware.md)",
                kib(cut.model_bytes),
                kib(cut.weight_bytes),
                kib(cut.buffer_bytes)
            )
        })
    }
}
