//! The header from the bytes that postcard writes of them: the fields in their order.
//!
//! A new field is one line here; the test holds this to postcard's own decoder.

use super::header::{Arithmetic, Header, Packing};
use super::sampling::{Clip, Prediction, Schedule};
use crate::ops::reader::Reader;

/// The header, made where it is wanted.
#[inline(never)]
pub fn header(r: &mut Reader<'_>, header: &mut Header) {
    header.arithmetic = match r.variant(2) {
        0 => Arithmetic::Integer,
        _ => Arithmetic::F16,
    };
    header.packing = packing(r);
    header.channels = r.u16();
    header.rows = r.u16();
    header.cols = r.u16();
    header.classes = r.u16();
    header.null_class = if r.flag() { Some(r.u16()) } else { None };
    header.train_steps = r.u32();
    header.prediction = Prediction::read(r);
    header.clip = Clip::read(r);
    header.clip_range_q24 = r.i32();
    header.schedule = Schedule::read(r);
    header.steps_offset = r.i32();
    header.final_alpha_bar_q62 = r.u64();
    header.output = r.tensor();
    header.arena_bytes = r.u32();
    header.op_count = r.u16();
    header.macs = r.u64();
}

#[inline(always)]
fn packing(r: &mut Reader<'_>) -> Packing {
    #[cfg(feature = "streamed")]
    if r.variant(2) == 1 {
        return Packing::Apart;
    }
    #[cfg(not(feature = "streamed"))]
    r.variant(1);
    Packing::Portable
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::philox::philox4x32;
    use crate::ops::list::tests::bytes;

    #[test]
    fn headers_are_read_as_postcard_reads_them() {
        let (mut read, mut refused) = (0, 0);
        for seed in 0..200_000 {
            let mut bytes = bytes(seed);
            // A header has no bytes after it: as many as postcard takes, and sometimes one more.
            if let Ok((_, rest)) = postcard::take_from_bytes::<Header>(&bytes) {
                bytes.truncate(bytes.len() - rest.len() + usize::from(seed % 8 == 0));
            }
            let expected = postcard::take_from_bytes::<Header>(&bytes).ok();
            let expected = expected.filter(|(_, rest)| rest.is_empty()).map(|(header, _)| header);
            assert_eq!(whole_header(&bytes), expected, "{bytes:x?}");
            match expected {
                Some(_) => read += 1,
                None => refused += 1,
            }
        }
        assert!(read > 1000 && refused > 1000, "{read}, {refused}");
    }

    /// The header that `bytes` hold, and nothing else.
    fn whole_header(bytes: &[u8]) -> Option<Header> {
        let (mut reader, mut found) = (Reader::new(bytes), Header::EMPTY);
        header(&mut reader, &mut found);
        Some(found).filter(|_| !reader.failed() && reader.rest().is_empty())
    }

    #[test]
    fn plans_are_read_as_postcard_writes_them_and_nothing_that_is_cut_off_is() {
        let words = |i: u32| philox4x32([i, 0, 0, 0], [7, 7]);
        for i in 0..2_000 {
            let [steps, eta_q16, choice, size] = words(i);
            // Numbers of every length.
            let size = size % 32;
            let mut plan = [0; 16];
            let plan = postcard::to_slice(&(steps >> size, eta_q16 >> size, choice as u8), &mut plan).unwrap();
            let plan = postcard::from_bytes(plan).unwrap();
            let planned = Header {
                schedule: Schedule::Planned(plan),
                ..Header::EMPTY
            };
            let mut bytes = [0; 64];
            let bytes = postcard::to_slice(&planned, &mut bytes).unwrap();
            assert_eq!(whole_header(bytes), Some(planned));
            for len in 0..bytes.len() {
                assert_eq!(whole_header(&bytes[..len]), None);
            }
        }
    }
}
