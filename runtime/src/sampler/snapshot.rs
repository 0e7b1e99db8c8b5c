//! A run saved between two steps, to be resumed to the same bits after a reset.
//!
//! `MSNP`, the model's CRC-32, the next step's number, the length of the configuration, the configuration (postcard), the state
//! (i32 little-endian), CRC-32 of all before.

use super::{Config, Sampler};
use crate::arena::Arena;
use crate::blob::crc::crc32;
use crate::blob::layout::read_u32;
use crate::blob::model::Model;
use crate::error::RunError;

const MAGIC: [u8; 4] = *b"MSNP";
const PREFIX: usize = 16;
/// More than any configuration encodes to.
const CONFIG_MAX: usize = 64;

impl<'m, 'a> Sampler<'m, 'a> {
    /// Bytes that a snapshot of this model may need.
    pub fn snapshot_bytes(model: &Model<'_>) -> usize {
        PREFIX + CONFIG_MAX + model.header().sample_len() * 4 + 4
    }

    /// Saves the run into `to`; gives the bytes written.
    pub fn snapshot(&self, to: &mut [u8]) -> Result<usize, RunError> {
        let needed = Self::snapshot_bytes(self.model);
        let short = RunError::Length {
            expected: needed as u32,
            found: to.len() as u32,
        };
        let mut config = [0; CONFIG_MAX];
        let config = postcard::to_slice(&self.config, &mut config).map_err(|_| RunError::Snapshot)?;
        let mut at = 0;
        let mut put = |bytes: &[u8]| -> Result<(), RunError> {
            to.get_mut(at..at + bytes.len()).ok_or(short)?.copy_from_slice(bytes);
            at += bytes.len();
            Ok(())
        };
        put(&MAGIC)?;
        put(&self.model.crc().to_le_bytes())?;
        put(&self.index.to_le_bytes())?;
        put(&(config.len() as u32).to_le_bytes())?;
        put(config)?;
        for x in self.x.iter() {
            put(&x.to_le_bytes())?;
        }
        let crc = crc32(to.get(..at).ok_or(short)?);
        to.get_mut(at..at + 4).ok_or(short)?.copy_from_slice(&crc.to_le_bytes());
        Ok(at + 4)
    }

    /// Resumes a run from a snapshot of the same model.
    pub fn resume(model: &'m Model<'m>, arena: &'a mut Arena<'_>, from: &[u8]) -> Result<Self, RunError> {
        let (body, crc) = from.split_last_chunk::<4>().ok_or(RunError::Snapshot)?;
        let genuine = crc32(body) == u32::from_le_bytes(*crc) && body.get(..4) == Some(&MAGIC);
        if !genuine || body.len() < PREFIX || read_u32(body, 4) != model.crc() {
            return Err(RunError::Snapshot);
        }
        let config_end = PREFIX.saturating_add(read_u32(body, 12) as usize);
        let config = body.get(PREFIX..config_end).ok_or(RunError::Snapshot)?;
        let config: Config = postcard::from_bytes(config).map_err(|_| RunError::Snapshot)?;
        let state = &body[config_end..];
        let mut sampler = Self::bare(model, arena, &config)?;
        sampler.index = read_u32(body, 8);
        if state.len() != sampler.x.len() * 4 || sampler.index > config.steps {
            return Err(RunError::Snapshot);
        }
        for (x, bytes) in sampler.x.iter_mut().zip(state.chunks_exact(4)) {
            *x = read_u32(bytes, 0) as i32;
        }
        Ok(sampler)
    }
}
