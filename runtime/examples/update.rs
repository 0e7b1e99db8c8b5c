//! A model that comes over the air: written into the slot that is not in use, and used once it is whole.
//!
//! ```text
//! cargo run --release -p mote-runtime --example update -- old.mote new.mote
//! ```

use std::error::Error;

use mote_runtime::{Model, ParseError};

/// Two slots of flash, and which of them counts. A product keeps the number in flash too (`mote-store` does).
#[derive(Debug)]
pub struct Slots {
    slots: [Vec<u128>; 2],
    used: usize,
}

impl Slots {
    /// Erased slots of so many bytes.
    pub fn new(bytes: usize) -> Self {
        let slot = vec![u128::MAX; bytes.div_ceil(16)];
        Self {
            slots: [slot.clone(), slot],
            used: 0,
        }
    }

    /// The free slot, for packets in any order and of any size.
    pub fn free(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(&mut self.slots[1 - self.used])
    }

    /// Takes the free slot's model into use, if it is one: whole, undamaged, of this format, and with what this build can run.
    ///
    /// # Errors
    /// Why it is not. The model before is still in use.
    pub fn take(&mut self) -> Result<(), ParseError> {
        Model::parse_slot(bytemuck::cast_slice(&self.slots[1 - self.used]))?;
        self.used = 1 - self.used;
        Ok(())
    }

    /// The model in use.
    ///
    /// # Errors
    /// Where there is none, or it is damaged.
    pub fn model(&self) -> Result<Model<'_>, ParseError> {
        Model::parse_slot(bytemuck::cast_slice(&self.slots[self.used]))
    }
}

#[allow(dead_code, reason = "a test runs what is above")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut slots = Slots::new(4 << 20);
    for path in std::env::args().skip(1) {
        let file = std::fs::read(&path)?;
        for (packet, place) in file.chunks(256).zip(slots.free().chunks_mut(256)) {
            place[..packet.len()].copy_from_slice(packet);
        }
        match slots.take() {
            Ok(()) => println!("{path}: in use, {:08x}", slots.model()?.crc()),
            Err(error) => println!("{path}: refused, {error}"),
        }
    }
    Ok(())
}
