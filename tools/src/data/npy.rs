//! One array of NumPy's `.npy` format, versions 1 to 3.

/// An array as numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Extents, outermost first.
    pub shape: Vec<usize>,
    /// Row-major.
    pub data: Vec<f32>,
    /// Whether the elements are integers of 8 bits.
    pub bytes: bool,
}

/// Reads an array, or says what is wrong.
pub fn parse(file: &[u8]) -> Result<Array, String> {
    let short = || "is cut short".to_owned();
    let version = *file
        .strip_prefix(b"\x93NUMPY")
        .and_then(|f| f.first())
        .ok_or("is no .npy array")?;
    let (len, first): (usize, usize) = if version == 1 {
        let b = file.get(8..10).ok_or_else(short)?;
        (usize::from(u16::from_le_bytes([b[0], b[1]])), 10)
    } else {
        let b = file.get(8..12).ok_or_else(short)?;
        (u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize, 12)
    };
    let header = file.get(first..first.saturating_add(len)).ok_or_else(short)?;
    let header = std::str::from_utf8(header).map_err(|_| "has a header that is no text")?;
    if field(header, "fortran_order").is_none_or(|v| v.starts_with("True")) {
        return Err("is in Fortran's order: save it with numpy.ascontiguousarray".into());
    }
    let kind = field(header, "descr")
        .and_then(|v| v.split(['\'', '"']).nth(1))
        .ok_or("has no type")?;
    let extents = field(header, "shape")
        .and_then(|v| v.strip_prefix('('))
        .and_then(|v| v.split(')').next());
    let extents = extents
        .ok_or("has no shape")?
        .split(',')
        .map(str::trim)
        .filter(|e| !e.is_empty());
    let shape: Vec<usize> = extents
        .map(str::parse)
        .collect::<Result<_, _>>()
        .map_err(|_| "has a shape that is no shape")?;
    let data = numbers(kind, &file[first + len..])?;
    if shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d)) != Some(data.len()) {
        return Err(format!("has shape {shape:?}, but {} elements", data.len()));
    }
    let bytes = matches!(kind, "|u1" | "<u1" | "|i1" | "|b1");
    Ok(Array { shape, data, bytes })
}

/// The text after `'name':` in the header, which is a Python dictionary.
fn field<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    let at = header.find(&format!("'{name}'"))?;
    Some(header[at..].split_once(':')?.1.trim_start())
}

fn numbers(kind: &str, data: &[u8]) -> Result<Vec<f32>, String> {
    fn each<const N: usize>(data: &[u8], of: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        data.as_chunks::<N>().0.iter().map(|b| of(*b)).collect()
    }
    Ok(match kind.trim_start_matches(['<', '|', '=']) {
        "u1" | "b1" => each(data, |[b]| f32::from(b)),
        "i1" => each(data, |[b]| f32::from(b as i8)),
        "u2" => each(data, |b| f32::from(u16::from_le_bytes(b))),
        "i2" => each(data, |b| f32::from(i16::from_le_bytes(b))),
        "i4" => each(data, |b| i32::from_le_bytes(b) as f32),
        "u4" => each(data, |b| u32::from_le_bytes(b) as f32),
        "i8" => each(data, |b| i64::from_le_bytes(b) as f32),
        "u8" => each(data, |b| u64::from_le_bytes(b) as f32),
        "f2" => each(data, |b| half::f16::from_le_bytes(b).to_f32()),
        "f4" => each(data, f32::from_le_bytes),
        "f8" => each(data, |b| f64::from_le_bytes(b) as f32),
        _ => {
            return Err(format!(
                "has elements of type {kind}; integers and floats in little-endian order are read"
            ));
        }
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A file of version 1.
    pub fn file(kind: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn shapes_and_types() {
        let array = parse(&file("<i2", "(2, 1)", &[1, 0, 255, 255])).unwrap();
        let expected = Array {
            shape: vec![2, 1],
            data: vec![1.0, -1.0],
            bytes: false,
        };
        assert_eq!(array, expected);
        let halves = file("<f2", "(1,)", &half::f16::from_f32(1.5).to_le_bytes());
        assert_eq!(parse(&halves).unwrap().data, [1.5]);
        let scalar = parse(&file("|u1", "()", &[9])).unwrap();
        assert_eq!((scalar.shape.len(), scalar.bytes), (0, true));
    }

    #[test]
    fn what_is_not_whole_is_refused() {
        let whole = file("<i2", "(2, 1)", &[1, 0, 255, 255]);
        assert!((0..whole.len()).all(|len| parse(&whole[..len]).is_err()));
        assert!(parse(&file("<i2", "(99999999999999, 99999999999999)", &[])).is_err());
        assert!(parse(&file(">i2", "(1,)", &[0, 1])).unwrap_err().contains(">i2"));
    }
}
