//! Samples that are no pictures: signals and actions, one row of positions in time.

use super::npz::{Npz, npz_tail};
use crate::Error;
use crate::backend::Trace;
use crate::tensors::{from_q24, to_chw};
use mote_runtime::internals::model::header::Header;
use serde_json::{Value, json};
use std::io::{Result as IoResult, Seek, Write};

/// Extents of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal {
    /// Channels.
    pub channels: usize,
    /// Points in time.
    pub times: usize,
}

impl Signal {
    /// That of a model's samples: those of one row, which a chain of 2015 draws in its own way. `None` for pictures.
    #[must_use]
    pub fn of(header: &Header) -> Option<Self> {
        let is_signal = header.rows == 1 && !header.prediction.is_chain();
        is_signal.then(|| Self {
            channels: header.channels.into(),
            times: header.cols.into(),
        })
    }

    /// That no picture holds it.
    #[must_use]
    pub fn no_picture(&self) -> Error {
        let Self { channels, times } = self;
        Error::usage(format_args!(
            "a sample of this model is a signal of {channels} channels and {times} points in time, and no picture"
        ))
        .help("write it as numbers: -o OUT.npz or -o OUT.json")
    }

    /// Writes `samples`, f32 `(sample, channel, time)`, then `seeds` and `digests`, u64, and the text that names the run.
    pub(super) fn write_npz(&self, to: impl Write + Seek, traces: &[Trace], run: &[u8]) -> IoResult<()> {
        let mut npz = Npz::new(to);
        let extents = [traces.len(), self.channels, self.times];
        npz.array("samples", "<f4", &extents, |to| {
            let values = traces.iter().flat_map(|trace| to_chw(&trace.state, self.channels));
            let bytes: Vec<u8> = values.flat_map(|x| (from_q24(x) as f32).to_le_bytes()).collect();
            to.write_all(&bytes)
        })?;
        let digests: Vec<(u64, u64)> = traces.iter().map(|trace| (trace.seed, trace.digest())).collect();
        npz_tail(&mut npz, &digests, run)
    }

    /// The same as one object: seed, digest and `(channel, time)` of every sample.
    pub(super) fn json(&self, traces: &[Trace]) -> Value {
        let one = |trace: &Trace| {
            let values: Vec<f64> = to_chw(&trace.state, self.channels).into_iter().map(from_q24).collect();
            let rows: Vec<&[f64]> = values.chunks(self.times.max(1)).collect();
            json!({ "seed": trace.seed, "digest": format!("{:016x}", trace.digest()), "values": rows })
        };
        json!({
            "axes": ["channel", "time"], "channels": self.channels, "times": self.times,
            "samples": traces.iter().map(one).collect::<Vec<_>>(),
        })
    }
}
