//! Reverse zero-compressing COBS: bytes without zeros, in which zeros cost little. A frame is decoded from its end, where each control
//! byte stands behind what it tells of. <https://github.com/Dirbaio/rzcobs>

/// The frame that was encoded as `bytes`, which hold no zero; `None` where they are no encoding.
pub(super) fn decoded(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut frame = Vec::new();
    let mut rest = bytes.iter().rev().copied();
    while let Some(control) = rest.next() {
        let mut take = |count: u8, frame: &mut Vec<u8>| {
            (0..count).try_for_each(|_| {
                frame.push(rest.next()?);
                Some(())
            })
        };
        match control {
            0 => return None,
            // A bit a byte, the first of the seven on top: whether it is zero.
            1..=0x7F => {
                for bit in (0..7).rev() {
                    if control >> bit & 1 == 1 {
                        frame.push(0);
                    } else {
                        take(1, &mut frame)?;
                    }
                }
            }
            // A zero, and before it so many bytes that are none.
            0x80..=0xFE => {
                frame.push(0);
                take((control & 0x7F) + 7, &mut frame)?;
            }
            0xFF => take(134, &mut frame)?,
        }
    }
    frame.reverse();
    Some(frame)
}

#[cfg(test)]
mod tests {
    use super::decoded;

    #[test]
    fn runs_of_every_kind_come_back() {
        // Seven bytes under a bit each: 1, 0, 2, 0, 0, 3, 4.
        assert_eq!(decoded(&[1, 2, 3, 4, 0b0011010]), Some(vec![1, 0, 2, 0, 0, 3, 4]));
        let long: Vec<u8> = (1..=134).collect();
        let with = |control: u8, bytes: &[u8]| decoded(&[bytes, &[control]].concat());
        assert_eq!(with(0xFF, &long), Some(long.clone()));
        assert_eq!(with(0x80, &long[..7]), Some([&long[..7], &[0]].concat()));
        assert_eq!(with(0xFE, &long[..133]), Some([&long[..133], &[0]].concat()));
        assert_eq!(with(0xFF, &long[..133]), None, "cut off");
        assert_eq!(with(0, &long), None);
        assert_eq!(decoded(&[]), Some(vec![]));
    }
}
