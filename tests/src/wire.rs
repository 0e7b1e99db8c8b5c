//! Messages of Protocol Buffers, taken apart and put together again.

use crate::random::Random;

/// A field: its number, the kind of its value, and that value as it stands, without a length.
type Field = (u64, u64, Vec<u8>);

/// The message with a field, here or in a message within it, that is not what it was. Lengths are right again.
pub fn mutated(random: &mut Random, message: &[u8], depth: usize) -> Vec<u8> {
    let Some(mut fields) = fields(message).filter(|fields| !fields.is_empty()) else {
        return other(random, message.to_vec());
    };
    let at = random.below(fields.len());
    match random.below(if depth < 6 { 12 } else { 5 }) {
        0 => drop(fields.remove(at)),
        1 => fields.insert(at, fields[at].clone()),
        2 => {
            let to = random.below(fields.len());
            fields.swap(at, to);
        }
        3 => fields[at].0 = random.pick(&[1, 2, 3, 5, 7, 8, 9, 11, 13, 20, 1 << 28]),
        4 => fields[at].2 = other(random, fields[at].2.clone()),
        _ if fields[at].1 == 2 => fields[at].2 = mutated(random, &fields[at].2, depth + 1),
        _ => fields[at].2 = varint(random.pick(&[0, 1, 2, 3, 7, 127, 1 << 31, 1 << 40, 1 << 63, u64::MAX])),
    }
    of(&fields)
}

/// Bytes that are other ones.
fn other(random: &mut Random, mut bytes: Vec<u8>) -> Vec<u8> {
    match random.below(4) {
        0 => bytes.truncate(random.below(bytes.len() + 1)),
        1 => bytes = b"Reshape"[..random.below(8)].to_vec(),
        2 => bytes.extend(vec![b'n'; random.pick(&[1, 100, 1 << 16])]),
        _ => {
            let at = random.below(bytes.len() + 1);
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
    }
    bytes
}

/// The fields of a message; `None` where it is none.
fn fields(mut rest: &[u8]) -> Option<Vec<Field>> {
    let mut fields = vec![];
    while !rest.is_empty() {
        let key = number(&mut rest)?;
        let value = match key & 7 {
            0 => varint(number(&mut rest)?),
            1 => rest.split_off(..8)?.to_vec(),
            2 => {
                let length = usize::try_from(number(&mut rest)?).ok()?;
                rest.split_off(..length)?.to_vec()
            }
            5 => rest.split_off(..4)?.to_vec(),
            _ => return None,
        };
        fields.push((key >> 3, key & 7, value));
    }
    Some(fields)
}

/// The message of fields.
pub fn of(fields: &[Field]) -> Vec<u8> {
    let mut message = vec![];
    for (number, kind, value) in fields {
        message.extend(varint(number << 3 | kind));
        if *kind == 2 {
            message.extend(varint(value.len() as u64));
        }
        message.extend(value);
    }
    message
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    prost::encoding::decode_varint(rest).ok()
}

/// A number in groups of seven bits.
pub fn varint(number: u64) -> Vec<u8> {
    let mut bytes = vec![];
    prost::encoding::encode_varint(number, &mut bytes);
    bytes
}
