//! Files as people have them.

use super::*;
use crate::images::{Picture, encode};
use std::io::Write;

fn load_all(path: &Path) -> Result<Dataset, DataError> {
    load(
        path,
        &Wanted {
            held_out: Some(1),
            ..Wanted::default()
        },
    )
}

fn idx(shape: &[u32], data: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, 8, shape.len() as u8];
    shape.iter().for_each(|d| file.extend(d.to_be_bytes()));
    file.extend(data);
    file
}

#[test]
fn idx_files_with_labels_beside_them_plain_and_compressed() {
    let dir = tempfile::tempdir().unwrap();
    let images = idx(&[3, 1, 2], &[0, 255, 0, 255, 0, 255]);
    let mut packed = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
    packed.write_all(&images).unwrap();
    let (plain, gz) = (
        dir.path().join("a-images-idx3-ubyte"),
        dir.path().join("a-images-idx3-ubyte.gz"),
    );
    std::fs::write(&plain, &images).unwrap();
    std::fs::write(&gz, packed.finish().unwrap()).unwrap();
    std::fs::write(dir.path().join("a-labels-idx1-ubyte"), idx(&[3], &[2, 0, 1])).unwrap();
    let data = load_all(&plain).unwrap();
    assert_eq!((data.shape, data.classes), ([1, 1, 2], 3));
    assert_eq!(
        (data.train.pixels.as_slice(), data.held_out.labels.len()),
        (&[-1.0, 1.0, -1.0, 1.0][..], 1)
    );
    // The compressed one has no compressed labels beside it.
    let unlabelled = load_all(&gz).unwrap();
    assert_eq!((unlabelled.train.pixels, unlabelled.classes), (data.train.pixels, 0));
    for cut in 0..images.len() {
        std::fs::write(&plain, &images[..cut]).unwrap();
        assert!(load_all(&plain).is_err(), "{cut}");
    }
}

#[test]
fn folders_of_png_files_are_classes() {
    let dir = tempfile::tempdir().unwrap();
    for (i, class) in ["cats", "dogs"].iter().enumerate() {
        std::fs::create_dir(dir.path().join(class)).unwrap();
        let data = vec![if i == 0 { 0 } else { 255 }; 6];
        let picture = Picture {
            width: 3,
            height: 2,
            channels: 1,
            data,
        };
        std::fs::write(dir.path().join(class).join("1.png"), encode(&picture).unwrap()).unwrap();
    }
    let data = load(
        dir.path(),
        &Wanted {
            held_out: Some(0),
            ..Wanted::default()
        },
    )
    .unwrap();
    assert_eq!(
        (data.shape, data.classes, data.train.labels),
        ([1, 2, 3], 2, vec![0, 1])
    );
    assert_eq!(data.train.pixels, [[-1.0; 6], [1.0; 6]].concat());
    assert!(load_all(&dir.path().join("cats/..")).is_ok());
    std::fs::write(
        dir.path().join("dogs/2.png"),
        encode(&Picture {
            width: 1,
            height: 1,
            channels: 1,
            data: vec![0],
        })
        .unwrap(),
    )
    .unwrap();
    assert!(load_all(dir.path()).unwrap_err().to_string().contains("must be alike"));
}

#[test]
fn the_bundled_digits_hold_out_what_they_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/digits8.npz");
    let data = load(&path, &Wanted::default()).unwrap();
    assert_eq!((data.shape, data.classes), ([1, 8, 8], 10));
    assert_eq!((data.count(&data.train), data.count(&data.held_out)), (1600, 197));
    assert_eq!((data.train.labels.len(), data.held_out.labels.len()), (1600, 197));
    let sixteenths = |v: &f32| (*v * 8.0).fract() == 0.0 && v.abs() <= 1.0;
    assert!(data.train.pixels.iter().all(sixteenths), "x / 8 - 1");
    let file = std::fs::read(&path).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let cut = dir.path().join("cut.npz");
    for len in (0..file.len()).step_by(997) {
        std::fs::write(&cut, &file[..len]).unwrap();
        assert!(load(&cut, &Wanted::default()).is_err(), "{len}");
    }
}
