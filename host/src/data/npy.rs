//! NumPy arrays (NEP 1): a magic number, a header that is a Python dictionary, little-endian values.

/// An array of numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Extents, outermost first.
    pub shape: Vec<usize>,
    /// Row-major values.
    pub values: Vec<f64>,
}

/// The array in `bytes`, or what is wrong with it.
pub fn parse(bytes: &[u8]) -> Result<Array, String> {
    let (header, data) = split(bytes).ok_or("not a NumPy array")?;
    let field = |name: &str| {
        let rest = header.split(&format!("'{name}':")).nth(1)?;
        Some(rest.trim_start())
    };
    let kind = field("descr")
        .and_then(|rest| rest.split('\'').nth(1))
        .ok_or("no descr")?;
    if !field("fortran_order").is_some_and(|rest| rest.starts_with("False")) {
        return Err("columns first (fortran_order) is not supported: save np.ascontiguousarray of it".into());
    }
    let inside = |rest: &str| rest.strip_prefix('(')?.split(')').next().map(str::to_owned);
    let shape = field("shape").and_then(inside).ok_or("no shape")?;
    let extents = shape.split(',').map(str::trim).filter(|extent| !extent.is_empty());
    let shape: Vec<usize> = extents
        .map(str::parse)
        .collect::<Result<_, _>>()
        .map_err(|_| "a bad shape")?;
    let values =
        values(kind, data).ok_or_else(|| format!("type `{kind}` is not supported: save integers or floats"))?;
    if shape.iter().try_fold(1usize, |n, extent| n.checked_mul(*extent)) != Some(values.len()) {
        return Err(format!("shape {shape:?}, but {} values", values.len()));
    }
    Ok(Array { shape, values })
}

/// Header and data.
fn split(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let rest = bytes.strip_prefix(b"\x93NUMPY")?;
    let (length, rest) = match rest {
        [1, _, a, b, rest @ ..] => (usize::from(u16::from_le_bytes([*a, *b])), rest),
        [2 | 3, _, a, b, c, d, rest @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest),
        _ => return None,
    };
    let (header, data) = rest.split_at_checked(length)?;
    Some((std::str::from_utf8(header).ok()?, data))
}

/// Numbers of the type `kind`; a last one that is cut off is left out.
fn values(kind: &str, data: &[u8]) -> Option<Vec<f64>> {
    macro_rules! read {
        ($number:ty) => {
            data.as_chunks()
                .0
                .iter()
                .map(|b| <$number>::from_le_bytes(*b) as f64)
                .collect()
        };
    }
    Some(match kind {
        "|u1" | "|b1" => read!(u8),
        "|i1" => read!(i8),
        "<u2" => read!(u16),
        "<i2" => read!(i16),
        "<u4" => read!(u32),
        "<i4" => read!(i32),
        "<u8" => read!(u64),
        "<i8" => read!(i64),
        "<f4" => read!(f32),
        "<f8" => read!(f64),
        _ => return None,
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
        assert_eq!(
            array,
            Array {
                shape: vec![2, 1],
                values: vec![1.0, -1.0]
            }
        );
        assert_eq!(
            parse(&file("<f4", "(1,)", &1.5f32.to_le_bytes())).unwrap().values,
            [1.5]
        );
        assert_eq!(parse(&file("|u1", "()", &[9])).unwrap().shape, [] as [usize; 0]);
    }

    #[test]
    fn what_is_not_whole_is_refused() {
        let whole = file("<i2", "(2, 1)", &[1, 0, 255, 255]);
        assert!((0..whole.len()).all(|len| parse(&whole[..len]).is_err()));
        assert!(parse(&file("<i2", "(99999999999999, 99999999999999)", &[])).is_err());
        assert!(parse(&file(">i2", "(1,)", &[0, 1])).unwrap_err().contains(">i2"));
    }
}
