//! What a file should be, told by its first and last bytes and its length: before gigabytes of something else are read.

use crate::zip;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

/// The form of a file that is read whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Anything.
    Any,
    /// safetensors: the length of a JSON header, the header, the tensors, and nothing else.
    SafeTensors,
    /// A ZIP archive.
    Zip,
    /// NumPy's: an archive, or a single array.
    NumPy,
    /// IDX, compressed by gzip or not.
    Idx,
    /// PNG.
    Png,
    /// ONNX: a message of protocol buffers, which has no magic bytes and does not begin with zero.
    Onnx,
}

/// Longest header of a safetensors file, as the format's own library has it.
const MAX_HEADER: u64 = 100_000_000;
/// Files so long are held to what their header says of their length before they are read.
const LONG: u64 = 1 << 26;
/// Bytes of a JSON header that are looked at for that.
const LONG_HEADER: u64 = 1 << 24;

impl Form {
    /// Holds `file`, of `len` bytes, against the form. What is left of its header is read from its beginning afterwards.
    ///
    /// # Errors
    /// The system's, and one of kind `InvalidData` that says what is wrong.
    pub fn check(self, file: &mut File, len: u64) -> io::Result<()> {
        let mut head = Vec::new();
        file.take(16).read_to_end(&mut head)?;
        let problem = match self {
            Self::Any => None,
            Self::SafeTensors => safe_tensors(file, &head, len)?,
            Self::Zip => (!is_archive(file, &head, len)?).then_some("it is no whole ZIP archive"),
            Self::NumPy => {
                let array = head.starts_with(b"\x93NUMPY");
                let whole = array || is_archive(file, &head, len)?;
                (!whole).then_some("it is no whole NumPy archive (.npz), and no array (.npy)")
            }
            Self::Idx => idx(&head, len),
            Self::Png => (!head.starts_with(b"\x89PNG\r\n\x1a\n")).then(|| other_picture(&head)),
            Self::Onnx => (head.first() == Some(&0)).then_some("it is no ONNX model"),
        };
        file.rewind()?;
        match problem.map(|problem| stand_in(&head).unwrap_or(problem)) {
            None => Ok(()),
            Some(problem) => Err(io::Error::new(io::ErrorKind::InvalidData, problem)),
        }
    }
}

/// What was put in a file's place by the way it came, told by its first 16 bytes.
fn stand_in(head: &[u8]) -> Option<&'static str> {
    let begins = |text: &str| head.len() >= text.len() && head[..text.len()].eq_ignore_ascii_case(text.as_bytes());
    if begins("version https://") {
        return Some("it is a pointer of Git LFS and not the file itself: run `git lfs pull` where it was cloned");
    }
    let page = begins("<!doctype") || begins("<html");
    page.then_some("it is a web page and not the file itself: download it by its own address")
}

/// A picture of another form than PNG, told by its first 16 bytes.
fn other_picture(head: &[u8]) -> &'static str {
    match head {
        [0xFF, 0xD8, 0xFF, ..] => "it is no PNG file but a JPEG: save it as PNG",
        [b'G', b'I', b'F', b'8', ..] => "it is no PNG file but a GIF: save it as PNG",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => {
            "it is no PNG file but a WebP: save it as PNG"
        }
        [b'B', b'M', ..] => "it is no PNG file but a BMP: save it as PNG",
        [b'I', b'I', b'*', 0, ..] | [b'M', b'M', 0, b'*', ..] => "it is no PNG file but a TIFF: save it as PNG",
        _ => "it is no PNG file",
    }
}

/// A ZIP archive begins with a file, or is empty, and ends with the record of its end.
fn is_archive(file: &mut File, head: &[u8], len: u64) -> io::Result<bool> {
    if !head.starts_with(b"PK") {
        return Ok(false);
    }
    let mut end = Vec::new();
    file.seek(SeekFrom::Start(len.saturating_sub(zip::MOST_END as u64)))?;
    file.take(zip::MOST_END as u64).read_to_end(&mut end)?;
    Ok(zip::ends(&end))
}

fn safe_tensors(file: &mut File, head: &[u8], len: u64) -> io::Result<Option<&'static str>> {
    let header = head.first_chunk().map(|length| u64::from_le_bytes(*length));
    let header = header.filter(|header| *header <= MAX_HEADER && header.saturating_add(8) <= len);
    let Some(header) = header.filter(|_| head.get(8) == Some(&b'{')) else {
        return Ok(Some("it has no header"));
    };
    if len < LONG || header > LONG_HEADER {
        return Ok(None);
    }
    let mut text = Vec::new();
    file.seek(SeekFrom::Start(8))?;
    file.take(header).read_to_end(&mut text)?;
    let said: serde_json::Map<String, serde_json::Value> = match serde_json::from_slice(&text) {
        Ok(said) => said,
        Err(_) => return Ok(Some("its header is damaged")),
    };
    let ends = said
        .values()
        .filter_map(|tensor| tensor.get("data_offsets")?.get(1)?.as_u64());
    let end = ends.max().unwrap_or(0).saturating_add(8 + header);
    Ok((end != len).then_some("its length is not what its header says"))
}

/// The magic number of IDX or of gzip; without compression also the length that the extents ask for, where they lie in `head`.
fn idx(head: &[u8], len: u64) -> Option<&'static str> {
    if head.starts_with(&[0x1F, 0x8B]) {
        return None;
    }
    let [0, 0, kind @ (0x08 | 0x09 | 0x0B..=0x0E), dimensions @ 1..=4, rest @ ..] = head else {
        return Some(
            "is neither an IDX file of bytes, nor .npz, nor a folder of PNG files; one array of NumPy is saved by np.savez(FILE, images=...)",
        );
    };
    let extents = rest.as_chunks::<4>().0.get(..usize::from(*dimensions))?;
    let width = match kind {
        0x08 | 0x09 => 1u64,
        0x0B => 2,
        0x0C | 0x0D => 4,
        _ => 8,
    };
    let data = extents
        .iter()
        .try_fold(width, |product, n| product.checked_mul(u32::from_be_bytes(*n).into()));
    let whole = data.and_then(|data| data.checked_add(4 + 4 * u64::from(*dimensions)));
    // A short file is looked at in full, and its error says what it holds.
    (len >= LONG && whole != Some(len)).then_some("has another length than its extents ask for")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::read_as;

    /// Files that take no room on the disk, and how they begin.
    #[test]
    fn gigabytes_of_something_else_are_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("huge");
        let header = br#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
        let tensors = [&(header.len() as u64).to_le_bytes()[..], header].concat();
        for (form, head, expected) in [
            (Form::SafeTensors, &b""[..], "no header"),
            (Form::SafeTensors, b"\xff\xff\xff\xff\0\0\0\0{", "no header"),
            (Form::SafeTensors, b"\x20\0\0\0\0\0\0\0{", "header is damaged"),
            (Form::SafeTensors, &tensors, "length is not what its header says"),
            (Form::Zip, b"", "no whole ZIP archive"),
            (Form::Zip, b"PK\x03\x04", "no whole ZIP archive"),
            (Form::NumPy, b"PK\x03\x04", "no whole NumPy archive"),
            (Form::Idx, b"", "neither an IDX file"),
            (
                Form::Idx,
                b"\0\0\x08\x03\0\0\0\x02\0\0\0\x08\0\0\0\x08",
                "another length",
            ),
            (
                Form::Idx,
                b"\0\0\x08\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
                "another length",
            ),
            (Form::Png, b"", "no PNG file"),
            (Form::Onnx, b"", "no ONNX model"),
        ] {
            std::fs::write(&path, head).unwrap();
            File::options()
                .write(true)
                .open(&path)
                .unwrap()
                .set_len(1 << 34)
                .unwrap();
            let error = read_as(&path, 1 << 40, form).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{form:?}: {error}");
            assert!(error.to_string().contains(expected), "{form:?}: {error}");
        }
    }

    /// What a clone without Git LFS and a browser leave, in place of a file of any form.
    #[test]
    fn what_stands_in_for_a_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        for form in [Form::SafeTensors, Form::Zip, Form::NumPy, Form::Idx, Form::Png] {
            for (text, expected) in [
                (
                    "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n",
                    "git lfs pull",
                ),
                ("<!DOCTYPE html><html></html>", "web page"),
                ("<html><body>404</body></html>", "web page"),
            ] {
                std::fs::write(&path, text).unwrap();
                let error = read_as(&path, 1 << 40, form).unwrap_err().to_string();
                assert!(error.contains(expected), "{form:?}: {error}");
            }
        }
    }

    #[test]
    fn files_of_each_form_are_read_whole() {
        let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/importers");
        for (form, name) in [
            (Form::Any, "README.md"),
            (Form::SafeTensors, "noise.safetensors"),
            (Form::Zip, "packed.npz"),
            (Form::Zip, "exported/net.pt2"),
            (Form::NumPy, "columns.npz"),
            (Form::Idx, "a-images-idx3-ubyte"),
            (Form::Idx, "b-images-idx3-ubyte.gz"),
            (Form::Idx, "floats.idx"),
            (Form::Png, "deep.png"),
            (Form::Onnx, "onnx/image/net.onnx"),
        ] {
            let path = data.join(name);
            assert_eq!(
                read_as(&path, 1 << 30, form).unwrap(),
                std::fs::read(&path).unwrap(),
                "{name}"
            );
        }
    }
}
