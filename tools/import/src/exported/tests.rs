//! Archives that are none of an exported program.

use super::archive::Archive;
use super::program::Program;
use crate::zip::archive::archive;
use std::path::Path;

#[test]
fn archives_that_lie_are_refused() {
    let bytes =
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/importers/exported/net.pt2"))
            .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.pt2");
    let open = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let mut archive = Archive::open(&path)?;
        Program::read(&mut archive).map(drop)
    };
    open(&bytes).unwrap();
    for length in [0, 1, bytes.len() / 2, bytes.len() - 1] {
        assert!(
            open(&bytes[..length])
                .unwrap_err()
                .to_string()
                .contains("no whole ZIP archive")
        );
    }
    let text = open(&archive(&[("net/readme", b"")])).unwrap_err().to_string();
    assert!(text.contains("torch.export.save"), "{text}");
    let text = open(&archive(&[("serialized_exported_program.json", b"{}")]))
        .unwrap_err()
        .to_string();
    assert!(text.contains("before 2.8"), "{text}");
    // A file that unpacks to far more than the archive has.
    let zeros = vec![b' '; 70 << 20];
    let text = open(&archive(&[("net/x", b""), ("net/models/model.json", &zeros)]))
        .unwrap_err()
        .to_string();
    assert!(text.contains("unpacked"), "{text}");
}
