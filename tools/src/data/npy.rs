//! One array of NumPy's `.npy` format, versions 1 to 3.

use mote_graph::config::printable;

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

/// Elements of an array that is read: of f32 they take 2 GiB.
const MOST: usize = 1 << 29;
/// Enough bytes of a file to hold the header of any array of numbers.
pub const HEAD: usize = 1 << 16;

/// What an array's header says.
pub struct Header<'a> {
    /// The type of elements, without the order of their bytes.
    pub kind: &'a str,
    /// Extents, outermost first.
    pub shape: Vec<usize>,
    /// First index fastest.
    pub fortran: bool,
    /// Where the elements begin.
    pub start: usize,
    /// Bytes of all elements.
    pub bytes: usize,
}

/// Reads an array, or says what is wrong.
pub fn parse(file: &[u8]) -> Result<Array, String> {
    let header = header(file, MOST)?;
    let (shape, held) = (header.shape, file.len() - header.start);
    if held != header.bytes {
        let (bytes, kind) = (header.bytes, header.kind);
        return Err(format!(
            "has shape {shape:?} of {kind}, {bytes} bytes, but holds {held}"
        ));
    }
    let data = numbers(header.kind, &file[header.start..]);
    Ok(Array {
        data: if header.fortran { row_major(&data, &shape) } else { data },
        bytes: matches!(header.kind, "u1" | "i1" | "b1"),
        shape,
    })
}

/// Whether the first bytes of a file, [`HEAD`] or all, begin an array that [`parse`] reads in `size` bytes.
pub fn check(head: &[u8], size: usize) -> Result<(), String> {
    let header = header(head, MOST)?;
    if header.start + header.bytes != size {
        let (shape, bytes) = (header.shape, header.bytes);
        return Err(format!(
            "has shape {shape:?}, {bytes} bytes, but holds {}",
            size.saturating_sub(header.start)
        ));
    }
    Ok(())
}

/// The header of an array of at most `most` elements, in the first bytes of its file.
pub fn header(file: &[u8], most: usize) -> Result<Header<'_>, String> {
    let short = || "is cut short".to_owned();
    let version = *file
        .strip_prefix(b"\x93NUMPY")
        .and_then(|f| f.first())
        .ok_or("is no .npy array")?;
    if !(1..=3).contains(&version) {
        return Err(format!(
            "is .npy of version {version}; versions 1 to 3 are read: save it by numpy.save"
        ));
    }
    let (len, first): (usize, usize) = if version == 1 {
        let b = file.get(8..10).ok_or_else(short)?;
        (usize::from(u16::from_le_bytes([b[0], b[1]])), 10)
    } else {
        let b = file.get(8..12).ok_or_else(short)?;
        (u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize, 12)
    };
    let start = first.saturating_add(len);
    let header = file.get(first..start).ok_or_else(short)?;
    let header = std::str::from_utf8(header).map_err(|_| "has a header that is no text")?;
    for name in ["fortran_order", "descr", "shape"] {
        if places(header, name).nth(1).is_some() {
            return Err(format!("says '{name}' twice in its header: save it by numpy.save"));
        }
    }
    let order = field(header, "fortran_order").ok_or("does not say in which order its elements are")?;
    let fortran = match order.split([',', '}']).next().map(str::trim) {
        Some("True") => true,
        Some("False") => false,
        other => {
            let found = printable(other.unwrap_or_default());
            return Err(format!(
                "has 'fortran_order': {found}, expected True or False: save it by numpy.save"
            ));
        }
    };
    let kind = field(header, "descr").ok_or("has no type")?;
    let kind = kind
        .strip_prefix(['\'', '"'])
        .and_then(|v| v.split(['\'', '"']).next())
        .ok_or("has elements of several numbers each: save one array for each")?;
    let width = width(kind)?;
    let extents = field(header, "shape")
        .and_then(|v| v.strip_prefix('('))
        .and_then(|v| v.split(')').next());
    let written = extents.ok_or("has no shape")?;
    let extents = written.split(',').map(str::trim).filter(|e| !e.is_empty());
    let shape: Vec<usize> = extents
        .map(str::parse)
        .collect::<Result<_, _>>()
        .map_err(|_| format!("has the shape ({}), expected whole numbers", printable(written)))?;
    let elements = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
    let elements = elements
        .filter(|n| *n <= most && n.checked_mul(width).is_some())
        .ok_or_else(|| {
            format!("has shape {shape:?}, more than the {most} elements that are read: save fewer images")
        })?;
    Ok(Header {
        kind: kind.trim_start_matches(['<', '|', '=']),
        fortran,
        start,
        bytes: elements * width,
        shape,
    })
}

/// Elements in order of the first index, fastest first, in order of the last one.
fn row_major(data: &[f32], shape: &[usize]) -> Vec<f32> {
    let mut at = vec![0; shape.len()];
    let mut strides = vec![1; shape.len()];
    for i in 1..shape.len() {
        strides[i] = strides[i - 1] * shape[i - 1];
    }
    let mut from = 0;
    let mut out = Vec::with_capacity(data.len());
    for _ in 0..data.len() {
        out.push(data[from]);
        for i in (0..shape.len()).rev() {
            at[i] += 1;
            from += strides[i];
            if at[i] < shape[i] {
                break;
            }
            from -= strides[i] * shape[i];
            at[i] = 0;
        }
    }
    out
}

/// The text after `'name':` in the header, which is a Python dictionary.
fn field<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    Some(header[places(header, name).next()?..].split_once(':')?.1.trim_start())
}

/// Where `name` stands in the header, in quotes of either kind.
fn places<'a>(header: &'a str, name: &'a str) -> impl Iterator<Item = usize> + 'a {
    let quoted = |at: &usize| {
        let [before, after] = [&header[..*at], &header[at + name.len()..]];
        ['\'', '"']
            .iter()
            .any(|quote| before.ends_with(*quote) && after.starts_with(*quote))
    };
    header.match_indices(name).map(|(at, _)| at).filter(quoted)
}

/// Bytes of an element of type `kind`, or why it is not read.
fn width(kind: &str) -> Result<usize, String> {
    let shown = printable(kind);
    if kind.starts_with('>') {
        let little = kind.replace('>', "<");
        return Err(format!(
            "has elements of type {kind}, in big-endian order: save it with astype('{little}')"
        ));
    }
    match kind.trim_start_matches(['<', '|', '=']) {
        "u1" | "b1" | "i1" => Ok(1),
        "u2" | "i2" | "f2" => Ok(2),
        "i4" | "u4" | "f4" => Ok(4),
        "i8" | "u8" | "f8" => Ok(8),
        _ => Err(format!(
            "has elements of type {shown}; integers and floats of 1 to 8 bytes in little-endian order are read"
        )),
    }
}

/// Elements of one of the types that have a [`width`].
fn numbers(kind: &str, data: &[u8]) -> Vec<f32> {
    fn each<const N: usize>(data: &[u8], of: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        data.as_chunks::<N>().0.iter().map(|b| of(*b)).collect()
    }
    match kind {
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
        _ => each(data, |b| f64::from_le_bytes(b) as f32),
    }
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

    /// NumPy's own: `np.array([[1, 2, 3], [4, 5, 6]], order='F')`, whose bytes go down the columns.
    #[test]
    fn fortran_s_order_is_read() {
        let mut columns = file("|u1", "(2, 3)", &[1, 4, 2, 5, 3, 6]);
        let at = columns.windows(5).position(|w| w == b"False").unwrap();
        columns[at..at + 5].copy_from_slice(b"True ");
        assert_eq!(parse(&columns).unwrap().data, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let cube: Vec<u8> = (0..24).collect();
        let mut columns = file("|u1", "(2, 3, 4)", &cube);
        columns[at..at + 5].copy_from_slice(b"True ");
        let found = parse(&columns).unwrap().data;
        // Element (i, j, k) lies at i + 2 j + 6 k.
        for (n, value) in found.iter().enumerate() {
            let (i, j, k) = (n / 12, n / 4 % 3, n % 4);
            assert_eq!(*value, (i + 2 * j + 6 * k) as f32);
        }
    }

    /// A header as other writers have it, and what no writer means.
    #[test]
    fn headers_are_read_or_their_fault_is_named() {
        let with = |version: u8, from: &str, to: &str| {
            let bytes = file("|u1", "(1,)", &[5]);
            let text = String::from_utf8_lossy(&bytes[10..bytes.len() - 1]).replace(from, to);
            let length = (text.len() as u32).to_le_bytes();
            let length = if version == 1 { &length[..2] } else { &length[..] };
            [&b"\x93NUMPY"[..], &[version, 0], length, text.as_bytes(), &[5]].concat()
        };
        assert_eq!(parse(&with(1, "'", "\"")).unwrap().data, [5.0]);
        assert_eq!(parse(&with(3, "", "")).unwrap().data, [5.0]);
        for (bytes, words) in [
            (with(0, "", ""), "version 0; versions 1 to 3"),
            (with(4, "", ""), "version 4; versions 1 to 3"),
            (with(1, "False", "1"), "'fortran_order': 1, expected True or False"),
            (with(1, "False", "Falsely"), "'fortran_order': Falsely"),
            (with(1, "False", "__import__('os')"), "expected True or False"),
            (with(1, "{'descr'", "{'shape': (2,), 'descr'"), "says 'shape' twice"),
            (with(1, "{'descr'", "{'descr': '<f8', 'descr'"), "says 'descr' twice"),
        ] {
            let error = parse(&bytes).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn types_that_are_not_read_are_named() {
        for (kind, words) in [
            ("'>f4'", "big-endian order: save it with astype('<f4')"),
            ("'|O'", "type |O"),
            ("'<U5'", "type <U5"),
            ("'<f16'", "type <f16"),
            ("'<c8'", "type <c8"),
            ("[('a', '<f4')]", "several numbers"),
        ] {
            let bytes = file("|u1", "(1,)", &[0]);
            let text = String::from_utf8_lossy(&bytes[10..]).replace("'|u1'", kind);
            let mut changed = bytes[..8].to_vec();
            changed.extend((text.len() as u16 - 1).to_le_bytes());
            changed.extend(text.bytes());
            let error = parse(&changed).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
        let error = parse(&file("|u1", "(99999, 99999)", &[])).unwrap_err();
        assert!(error.contains("more than the 536870912 elements"), "{error}");
    }
}
