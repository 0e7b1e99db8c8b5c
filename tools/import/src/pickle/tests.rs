//! Pickles that call, that lie about their extents, and that are cut short.

use super::machine::read;
use super::{Saved, item::Item};
use crate::zip::archive::archive;

/// A dictionary of one tensor of two numbers, as `torch.save` writes it.
fn pickle() -> Vec<u8> {
    let mut bytes = b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\n".to_vec();
    bytes.extend(
        b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x02tQK\x00K\x02\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtRs.",
    );
    bytes
}

#[test]
fn a_tensor_comes_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pt");
    let numbers: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(&path, archive(&[("a/data.pkl", &pickle()), ("a/data/0", &numbers)])).unwrap();
    let saved = Saved::open(&path).unwrap();
    let tensors = saved.tensors(&[]).unwrap();
    let tensor = saved.tensor("w", &tensors["w"]).unwrap();
    assert_eq!((&tensor.sizes[..], &tensor.data[..]), (&[2][..], &[1.5, -2.0][..]));
    assert!(saved.tensors(&["absent"]).is_none());
    std::fs::write(
        &path,
        archive(&[("a/data.pkl", &pickle()), ("a/data/0", &numbers[..4])]),
    )
    .unwrap();
    let saved = Saved::open(&path).unwrap();
    let error = saved
        .tensor("w", &saved.tensors(&[]).unwrap()["w"])
        .unwrap_err()
        .to_string();
    assert!(error.contains("lies outside of its 4 bytes"), "{error}");
}

#[test]
fn a_call_is_refused_by_the_name_that_it_asks_for() {
    for (name, text) in [
        ("os.system", &b"cos\nsystem\nX\x04\x00\x00\x00true\x85R."[..]),
        (
            "builtins.eval",
            b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.",
        ),
        ("posix.system", b"cposix\nsystem\n)\x81."),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.contains(name), "{error}");
    }
    // A name alone runs nothing.
    assert!(matches!(
        read(b"cos\nsystem\n.").map(|items| items.list[items.root].clone()),
        Ok(Item::Global(_))
    ));
}

#[test]
fn damaged_pickles_are_refused() {
    let whole = pickle();
    for length in 0..whole.len() {
        read(&whole[..length]).unwrap_err();
    }
    for at in 0..whole.len() {
        for value in [0, b'.', b't', b'u', b'R', b'Q', 0xFF] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            let _ = read(&bytes);
        }
    }
    for wrong in [
        &b"t."[..],
        b"(K\x01a.",
        b"]K\x01s.",
        b"h\x05.",
        b"Q.",
        b"K\x01Q.",
        b"}(0.",
        b"\x8d\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF.",
    ] {
        read(wrong).unwrap_err();
    }
}
