//! A record as it lies in flash.

/// Bytes before what was saved.
pub const HEADER: usize = 16;
const MAGIC: [u8; 4] = *b"MST1";
/// An erased byte, which padding leaves as it is.
const ERASED: u8 = 0xFF;

/// Bytes of the record of `len` bytes on a flash that is written in words of `word` bytes.
pub const fn record_bytes(len: usize, word: usize) -> usize {
    (HEADER + len).next_multiple_of(if word == 0 { 1 } else { word })
}

/// Number and length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    pub number: u32,
    pub len: u32,
}

impl Record {
    /// Makes the record of the `len` bytes that stand in `bytes` behind the header.
    pub fn write(number: u32, bytes: &mut [u8], len: usize) -> Self {
        let record = Self {
            number,
            len: len as u32,
        };
        let (header, rest) = bytes.split_at_mut(HEADER.min(bytes.len()));
        let (saved, padding) = rest.split_at_mut(len.min(rest.len()));
        padding.fill(ERASED);
        let mut crc = Crc::of(&record);
        crc.add(saved);
        let words = [
            MAGIC,
            number.to_le_bytes(),
            record.len.to_le_bytes(),
            crc.value().to_le_bytes(),
        ];
        for (to, word) in header.chunks_exact_mut(4).zip(words) {
            to.copy_from_slice(&word);
        }
        record
    }

    /// Number, length and the checksum that must be; `None` where there is no record.
    pub fn read(header: &[u8; HEADER]) -> Option<(Self, u32)> {
        let mut words = header
            .chunks_exact(4)
            .map(|word| word.try_into().map_or(0, u32::from_le_bytes));
        let [magic, number, len, crc] = core::array::from_fn(|_| words.next().unwrap_or(0));
        (magic == u32::from_le_bytes(MAGIC)).then_some((Self { number, len }, crc))
    }

    /// Whether it is newer than another. Numbers go round.
    pub fn follows(&self, other: &Self) -> bool {
        (self.number.wrapping_sub(other.number) as i32) > 0
    }
}

/// CRC-32 (ISO-HDLC), bit by bit: a record is short, and a table would take a KiB.
pub struct Crc(u32);

impl Crc {
    /// With a record's number and length.
    pub fn of(record: &Record) -> Self {
        let mut crc = Self(u32::MAX);
        crc.add(&record.number.to_le_bytes());
        crc.add(&record.len.to_le_bytes());
        crc
    }

    pub fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 ^= u32::from(byte);
            for _ in 0..8 {
                let carry = 0u32.wrapping_sub(self.0 & 1);
                self.0 = (self.0 >> 1) ^ (carry & 0xEDB8_8320);
            }
        }
    }

    pub fn value(&self) -> u32 {
        !self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_crc_32() {
        let mut crc = Crc(u32::MAX);
        crc.add(b"123456789");
        assert_eq!(crc.value(), 0xCBF4_3926);
    }

    #[test]
    fn a_record_is_read_as_it_was_written_and_padded() {
        let mut bytes = [0; record_bytes(5, 8)];
        assert_eq!(bytes.len(), 24);
        bytes[HEADER..HEADER + 5].copy_from_slice(b"state");
        let record = Record::write(7, &mut bytes, 5);
        assert_eq!(bytes[HEADER + 5..], [ERASED; 3]);
        let header = bytes.first_chunk().expect("it has a header");
        let (read, crc) = Record::read(header).expect("it is one");
        let mut expected = Crc::of(&record);
        expected.add(b"state");
        assert_eq!((read, crc), (record, expected.value()));
        assert_eq!(Record::read(&[ERASED; HEADER]), None);
    }

    #[test]
    fn numbers_go_round() {
        let of = |number| Record { number, len: 0 };
        assert!(of(1).follows(&of(0)) && !of(0).follows(&of(1)) && !of(3).follows(&of(3)));
        assert!(of(0).follows(&of(u32::MAX)) && !of(u32::MAX).follows(&of(0)));
    }
}
