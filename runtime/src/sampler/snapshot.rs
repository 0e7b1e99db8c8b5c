//! A run saved between two steps, to be resumed to the same bits after a reset.
//!
//! `MSN2`, the model's CRC-32, the next step's number, the length of the configuration, the configuration (postcard), the known
//! image's tag (0 without one), the state, the sample that the next step needs of the one before, if it does (i32 little-endian),
//! the condition vector's tag, if the model takes one (0 before it is given), CRC-32 of all before. `MSNP`, the first layout, had neither tag nor sample nor a sampler in its configuration.

use super::{Config, Memories, Sampler};
use crate::error::RunError;
use crate::model::Model;
use crate::model::crc::crc32;
use crate::model::layout::read_u32;
use crate::tensor::arena::Arena;

const MAGIC: [u8; 4] = *b"MSN2";
const FIRST_MAGIC: [u8; 4] = *b"MSNP";
const PREFIX: usize = 16;
/// More than any configuration encodes to.
const CONFIG_MAX: usize = 64;

impl<'m, 'a> Sampler<'m, 'a> {
    /// Bytes that a snapshot of a run under `config` may need.
    pub fn snapshot_bytes(model: &Model<'_>, config: &Config) -> usize {
        let tensors = 1 + usize::from(config.method.holds_between_steps());
        let condition = 4 * usize::from(model.condition().is_some());
        PREFIX + CONFIG_MAX + 4 + tensors * model.header().sample_len() * 4 + condition + 4
    }

    /// Saves the run into `to`; gives the bytes written.
    pub fn snapshot(&self, to: &mut [u8]) -> Result<usize, RunError> {
        let needed = Self::snapshot_bytes(self.model, &self.config);
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
        #[cfg(feature = "posterior")]
        put(&self.saved_tag().to_le_bytes())?;
        #[cfg(not(feature = "posterior"))]
        put(&self.known_tag.to_le_bytes())?;
        let kept = self.config.method.holds_between_steps() && self.follows;
        let sample: &[i32] = if kept { self.kept } else { &[] };
        for value in self.x.iter().chain(sample) {
            put(&value.to_le_bytes())?;
        }
        if let Some(tag) = self.condition_tag() {
            put(&tag.to_le_bytes())?;
        }
        let crc = crc32(to.get(..at).ok_or(short)?);
        to.get_mut(at..at + 4).ok_or(short)?.copy_from_slice(&crc.to_le_bytes());
        Ok(at + 4)
    }

    /// [`resume`](Self::resume) from a snapshot that stands at the beginning of `slot`, whatever follows it: padding to a word of flash, or
    /// the rest of a page.
    ///
    /// # Errors
    /// Those of [`resume`](Self::resume).
    #[inline(always)]
    pub fn resume_slot(model: &'m Model<'m>, arena: &'a mut Arena<'_>, slot: &[u8]) -> Result<Self, RunError> {
        Self::resume(model, arena, snapshot_in(model, slot))
    }

    /// Resumes a run from a snapshot of the same model. A run with a known image is given it again
    /// ([`inpaint`](Self::inpaint)) before the next step, and so is one with a condition ([`condition`](Self::condition)).
    pub fn resume(model: &'m Model<'m>, arena: &'a mut Arena<'_>, from: &[u8]) -> Result<Self, RunError> {
        Self::resumed(model, (arena.bytes, None), from)
    }

    /// [`resume_slot`](Self::resume_slot) with state and activations in two memories, as [`new_apart`](Self::new_apart).
    ///
    /// # Errors
    /// Those of [`resume`](Self::resume).
    #[inline(always)]
    pub fn resume_apart(
        model: &'m Model<'m>,
        state: &'a mut Arena<'_>,
        activations: &'a mut Arena<'_>,
        slot: &[u8],
    ) -> Result<Self, RunError> {
        let memory = (&mut *state.bytes, Some(&mut *activations.bytes));
        Self::resumed(model, memory, snapshot_in(model, slot))
    }

    /// From the bytes of a snapshot.
    pub(super) fn resumed(model: &'m Model<'m>, memory: Memories<'a>, from: &[u8]) -> Result<Self, RunError> {
        let (body, crc) = from.split_last_chunk::<4>().ok_or(RunError::Snapshot)?;
        let whole = crc32(body) == u32::from_le_bytes(*crc);
        if whole && body.get(..4) == Some(&FIRST_MAGIC) {
            return Err(RunError::SnapshotVersion);
        }
        let genuine = whole && body.get(..4) == Some(&MAGIC);
        if !genuine || body.len() < PREFIX || read_u32(body, 4) != model.crc() {
            return Err(RunError::Snapshot);
        }
        let config_end = PREFIX.saturating_add(read_u32(body, 12) as usize);
        let config = body.get(PREFIX..config_end).ok_or(RunError::Snapshot)?;
        let config: Config = postcard::from_bytes(config).map_err(|_| RunError::Snapshot)?;
        let rest = body.get(config_end..).ok_or(RunError::Snapshot)?;
        let (tag, mut tensors) = rest.split_first_chunk::<4>().ok_or(RunError::Snapshot)?;
        let mut sampler = Self::bare(model, memory, &config)?;
        sampler.index = read_u32(body, 8);
        sampler.known_tag = u32::from_le_bytes(*tag);
        if sampler.condition_tag().is_some() {
            let (rest, tag) = tensors.split_last_chunk::<4>().ok_or(RunError::Snapshot)?;
            sampler.set_condition_tag(u32::from_le_bytes(*tag));
            tensors = rest;
        }
        let state_bytes = sampler.x.len() * 4;
        sampler.follows = config.method.holds_between_steps() && tensors.len() > state_bytes;
        let expected = state_bytes * (1 + usize::from(sampler.follows));
        if tensors.len() != expected || sampler.index > config.steps {
            return Err(RunError::Snapshot);
        }
        let values = sampler.x.iter_mut().chain(sampler.kept.iter_mut());
        for (value, bytes) in values.zip(tensors.chunks_exact(4)) {
            *value = read_u32(bytes, 0) as i32;
        }
        Ok(sampler)
    }
}

/// The snapshot that stands at the beginning of `slot`; all of `slot` where none is whole. A snapshot says what is in it but for the sample
/// that some steps need of the one before: it is the length whose checksum is right.
#[inline(never)]
pub(super) fn snapshot_in<'s>(model: &Model<'_>, slot: &'s [u8]) -> &'s [u8] {
    let tensor = model.header().sample_len() * 4;
    let condition = 4 * usize::from(model.condition().is_some());
    let config_end = PREFIX.saturating_add(read_u32(slot, 12) as usize);
    for tensors in 1..=2 {
        let body = config_end.saturating_add(4 + tensors * tensor + condition);
        let Some((body, crc)) = slot
            .get(..body.saturating_add(4))
            .and_then(|whole| whole.split_at_checked(body))
        else {
            break;
        };
        if crc32(body) == read_u32(crc, 0) {
            return slot.get(..body.len() + 4).unwrap_or(slot);
        }
    }
    slot
}
