//! Files as people have them.

#[path = "../../import/src/zip/archive.rs"]
mod archive;

use super::*;
use crate::images::{Picture, encode};
use archive::archive;
use std::io::Write;

fn load_all(path: &Path) -> Result<Dataset, DataError> {
    load(
        path,
        &DataOptions {
            held_out: Some(1),
            ..DataOptions::default()
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
    // The compressed one has the same labels: those beside it are unpacked.
    let compressed = load_all(&gz).unwrap();
    assert_eq!((compressed.train.pixels, compressed.classes), (data.train.pixels, 3));
    for cut in 0..images.len() {
        std::fs::write(&plain, &images[..cut]).unwrap();
        assert!(load_all(&plain).is_err(), "{cut}");
    }
}

#[test]
fn a_hold_out_leaves_images_to_train_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a-images-idx3-ubyte");
    std::fs::write(&path, idx(&[3, 1, 2], &[0, 255, 0, 255, 0, 255])).unwrap();
    let held_out = |n| {
        load(
            &path,
            &DataOptions {
                held_out: Some(n),
                ..DataOptions::default()
            },
        )
    };
    let data = held_out(2).unwrap();
    assert_eq!((data.count(&data.train), data.count(&data.held_out)), (1, 2));
    for n in [3, 1000] {
        let error = held_out(n).unwrap_err().to_string();
        for word in [
            "a-images-idx3-ubyte",
            "holds 3 images",
            &format!("--hold-out {n}"),
            "below 3",
        ] {
            assert!(error.contains(word), "{error}");
        }
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
        &DataOptions {
            held_out: Some(0),
            ..DataOptions::default()
        },
    )
    .unwrap();
    assert_eq!(
        (data.shape, data.classes, data.train.labels),
        ([1, 2, 3], 2, vec![0, 1])
    );
    assert_eq!(data.train.pixels, [[-1.0; 6], [1.0; 6]].concat());
    let measured = measured(dir.path(), Split::Test, 9, [1, 2, 3]).unwrap();
    assert_eq!((measured.levels, measured.labels), (256, vec![0, 1]));
    assert_eq!(measured.pixels, [[0; 6], [255; 6]].concat());
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
    let data = load(&path, &DataOptions::default()).unwrap();
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
        assert!(load(&cut, &DataOptions::default()).is_err(), "{len}");
    }
}

#[test]
fn arrays_are_parts_by_their_names() {
    let dir = tempfile::tempdir().unwrap();
    let archive = |name: &str, arrays: &[(&str, &[u8])]| {
        let path = dir.path().join(name);
        std::fs::write(&path, archive(arrays)).unwrap();
        path
    };
    let shape = [1, 2, 2];
    let test = |path: &Path| measured(path, Split::Test, 9, shape);
    let x = npy::tests::file("|u1", "(2, 4)", &[0, 1, 2, 3, 4, 5, 6, 7]);
    let y = npy::tests::file("<i2", "(2,)", &[1, 0, 3, 0]);
    let train = npy::tests::file("|u1", "(1, 4)", &[0, 0, 16, 0]);
    let both = archive(
        "a.npz",
        &[("test_x.npy", &x), ("test_y.npy", &y), ("train_x.npy", &train)],
    );
    let images = test(&both).unwrap();
    assert_eq!(
        (images.shape, images.levels),
        (shape, 17),
        "levels are those of all parts"
    );
    assert_eq!((images.len(), images.labels), (2, vec![1, 3]));
    let images = measured(&both, Split::Train, 9, shape).unwrap();
    assert_eq!((images.pixels, images.labels), (vec![0, 0, 16, 0], vec![]));
    // One part alone is that part; what no name says more about is either.
    let half = archive("b.npz", &[("test_x.npy", &x)]);
    assert_eq!(test(&half).unwrap().len(), 2);
    for problem in [
        measured(&half, Split::Train, 9, shape).unwrap_err(),
        load_all(&half).unwrap_err(),
    ] {
        assert!(problem.to_string().contains("train_x"), "{problem}");
    }
    let plain = archive("c.npz", &[("x.npy", &x), ("y.npy", &y)]);
    assert_eq!(test(&plain).unwrap(), measured(&plain, Split::Train, 9, shape).unwrap());
    assert_eq!(load_all(&plain).unwrap().train.labels.len(), 1);
    let twice = archive("e.npz", &[("x.npy", &x), ("x.npy", &train)]);
    assert_eq!(
        test(&twice).unwrap().len(),
        1,
        "of two with one name the later, as NumPy has it"
    );
    for (arrays, words) in [
        (vec![("seeds.npy", &y[..])], "(seeds.npy): name it train_x"),
        (vec![("x.npy", &y[..])], "has shape [2]"),
        (
            vec![("test_x.npy", &x[..]), ("test_y.npy", &train[..])],
            "test_y must hold",
        ),
    ] {
        let problem = test(&archive("d.npz", &arrays)).unwrap_err().to_string();
        assert!(problem.contains(words), "{problem}");
    }
}

#[test]
fn what_is_trained_on_is_what_is_measured_on() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/digits8.npz");
    for shape in [[1, 8, 8], [1, 5, 12]] {
        let wanted = DataOptions {
            shape: Some(shape),
            ..DataOptions::default()
        };
        let data = load(&path, &wanted).unwrap();
        for (split, part) in [(Split::Train, &data.train), (Split::Test, &data.held_out)] {
            let images = measured(&path, split, usize::MAX, shape).unwrap();
            assert_eq!((images.levels, &images.labels), (17, &part.labels));
            let scaled = (0..images.len()).flat_map(|i| images.scaled(i));
            // Rounding to whole pixels moves them by half a bin at most.
            let near = |(a, b): (f64, &f32)| (a - f64::from(*b)).abs() <= 0.5 * images.bin() + 1e-6;
            assert_eq!(images.pixels.len(), part.pixels.len());
            assert!(scaled.zip(&part.pixels).all(near), "{shape:?}");
        }
    }
}

#[test]
fn samples_that_were_written_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("samples.npz");
    let mut npz = crate::images::npz::Npz::new(std::fs::File::create(&path).unwrap());
    let pixels = [1, 10, 100, 2, 20, 200];
    npz.array("images", "|u1", &[1, 1, 2, 3], |to| to.write_all(&pixels))
        .unwrap();
    npz.finish().unwrap();
    let images = measured(&path, Split::Test, 1, [3, 1, 2]).unwrap();
    assert_eq!((images.levels, images.pixels), (256, vec![1, 2, 10, 20, 100, 200]));
    // The same bytes in the same order as an IDX file.
    let path = dir.path().join("colours");
    std::fs::write(&path, idx(&[1, 1, 2, 3], &pixels)).unwrap();
    let images = measured(&path, Split::Train, 1, [3, 1, 2]).unwrap();
    assert_eq!((images.levels, images.pixels), (256, vec![1, 2, 10, 20, 100, 200]));
}

fn picture(channels: usize, data: &[u8]) -> Vec<u8> {
    let picture = Picture {
        width: data.len() / channels,
        height: 1,
        channels,
        data: data.to_vec(),
    };
    encode(&picture).unwrap()
}

/// Writes files below a folder.
fn disk(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    dir
}

fn whole(path: &Path) -> Result<Dataset, DataError> {
    let wanted = DataOptions {
        held_out: Some(0),
        ..DataOptions::default()
    };
    load(path, &wanted)
}

#[test]
fn what_is_hidden_is_neither_a_class_nor_an_image() {
    let [black, white] = [picture(1, &[0, 0]), picture(1, &[255, 255])];
    let dir = disk(&[
        (".ipynb_checkpoints/0.png", &black),
        ("__MACOSX/a/._0.png", b"x"),
        ("a/0.png", &black),
        ("a/._0.png", b"no picture"),
        ("a/.ipynb_checkpoints/0-checkpoint.png", &white),
        ("a/Thumbs.db", b"x"),
        ("b/0.PNG", &white),
        ("b/.DS_Store", b"x"),
        ("labels.txt", b"a b"),
    ]);
    let data = whole(dir.path()).unwrap();
    assert_eq!((data.classes, data.train.labels), (2, vec![0, 1]));
    assert_eq!(data.train.pixels, [-1.0, -1.0, 1.0, 1.0]);
    let plain = disk(&[("0.png", &black), ("._0.png", b"x"), (".thumbnails/0.png", &white)]);
    assert_eq!(whole(plain.path()).unwrap().train.pixels, [-1.0, -1.0]);
}

#[test]
fn what_is_no_class_and_no_image_is_named() {
    let black = picture(1, &[0, 0]);
    let refused = |files: &[(&str, &[u8])], words: &[&str]| {
        let dir = disk(files);
        let error = whole(dir.path()).unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    };
    refused(
        &[("a/0.png", &black), ("b/0.jpg", b"x")],
        &["b: holds no PNG file, but 1 other files, such as 0.jpg", "move it away"],
    );
    refused(
        &[("a/0.png", &black), ("1.png", &black)],
        &["holds PNG files beside folders of PNG files, such as a"],
    );
    refused(
        &[("0.jpg", b"x"), ("1.jpg", b"x")],
        &["holds no PNG file", "2 other files, such as 0.jpg, 1.jpg"],
    );
    refused(
        &[("0.png", &black), ("1.png", &picture(1, &[0]))],
        &["1.png: has 1 x 1 pixels", "2 x 1", "must be alike"],
    );
    refused(
        &[
            ("0.png", &black),
            ("1.JPG", b"x"),
            ("2.webp", b"x"),
            ("notes.txt", b"x"),
        ],
        &[
            "holds 1 PNG files, and 2 pictures that are not read, such as 1.JPG",
            "save all as PNG",
        ],
    );
    refused(
        &[("a/0.png", &black), ("b/0.png", &black), ("b/1.jpeg", b"x")],
        &["b: holds 1 PNG files, and 1 pictures", "such as 1.jpeg"],
    );
    refused(
        &[("0.png", b"\xff\xd8\xff\xe0\0\x10JFIF")],
        &["0.png: it is no PNG file but a JPEG"],
    );
    refused(&[("0.png", &black[..20])], &["0.png: not a whole PNG file"]);
}

#[test]
fn a_set_s_channels_are_decided_by_the_set() {
    let (red, gray) = (picture(3, &[255, 0, 0]), picture(3, &[255, 255, 255]));
    for files in [
        [("0.png", &red[..]), ("1.png", &gray[..])],
        [("0.png", &gray[..]), ("1.png", &red[..])],
    ] {
        let dir = disk(&files);
        let data = whole(dir.path()).unwrap();
        assert_eq!(data.shape, [3, 1, 1]);
        let mut images: Vec<&[f32]> = data.train.pixels.chunks(3).collect();
        images.sort_by(|a, b| a[1].total_cmp(&b[1]));
        assert_eq!(images, [[1.0, -1.0, -1.0], [1.0, 1.0, 1.0]]);
    }
    // A file of one channel among colours, and colours for a network of one channel.
    let dir = disk(&[("0.png", &picture(1, &[255])), ("1.png", &red)]);
    assert_eq!(
        whole(dir.path()).unwrap().train.pixels,
        [1.0, 1.0, 1.0, 1.0, -1.0, -1.0]
    );
    assert_eq!(
        measured(dir.path(), Split::Train, 9, [1, 1, 1]).unwrap().pixels,
        [255, 76]
    );
    // Pictures without colours are gray, unless the network takes colours.
    let dir = disk(&[("0.png", &gray)]);
    assert_eq!(whole(dir.path()).unwrap().shape, [1, 1, 1]);
    assert_eq!(
        measured(dir.path(), Split::Train, 9, [3, 1, 1]).unwrap().pixels,
        [255, 255, 255]
    );
}

#[test]
fn arrays_with_channels_last_have_as_many_as_they_say() {
    let pixels = [7; 2 * 8 * 8 * 4];
    let x = npy::tests::file("|u1", "(2, 8, 8, 4)", &pixels);
    let dir = disk(&[("a.npz", &archive(&[("x.npy", &x)]))]);
    let path = dir.path().join("a.npz");
    let error = measured(&path, Split::Test, 9, [3, 8, 8]).unwrap_err().to_string();
    assert!(
        error.contains("images have 4 channels, the network takes 3; where the last one is transparency"),
        "{error}"
    );
    assert_eq!(measured(&path, Split::Test, 9, [4, 8, 8]).unwrap().shape, [4, 8, 8]);
    let first = npy::tests::file("|u1", "(2, 4, 8, 8)", &pixels);
    std::fs::write(&path, archive(&[("x.npy", &first)])).unwrap();
    assert_eq!(measured(&path, Split::Test, 9, [4, 8, 8]).unwrap().shape, [4, 8, 8]);
}

#[test]
fn archives_whose_checksum_is_wrong_are_refused() {
    let x = npy::tests::file("|u1", "(2, 4)", &[0, 1, 2, 3, 4, 5, 6, 7]);
    let mut bytes = archive(&[("test_x.npy", &x)]);
    let at = bytes.windows(8).position(|w| w == [0, 1, 2, 3, 4, 5, 6, 7]).unwrap();
    bytes[at] ^= 64;
    let dir = disk(&[("bad.npz", &bytes)]);
    let error = measured(&dir.path().join("bad.npz"), Split::Test, 9, [1, 2, 2])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("bad.npz: the array test_x is damaged: its CRC-32 is "),
        "{error}"
    );
}

/// Some kilobytes that would unpack to gigabytes are refused by what they say of themselves.
#[test]
fn what_unpacks_to_too_much_is_refused_before_it_is_unpacked() {
    let shape = "(1000000, 64, 64)";
    let x = npy::tests::file("|u1", shape, &[0; 5000]);
    let archive = archive(&[("a.npy", b""), ("x.npy", &x)]);
    let mut gz = flate2::write::GzEncoder::new(vec![], flate2::Compression::best());
    gz.write_all(&idx(&[1 << 20, 64, 64], &[0; 5000])).unwrap();
    let dir = disk(&[("a.npz", &archive), ("b.gz", &gz.finish().unwrap())]);
    for name in ["a.npz", "b.gz"] {
        let error = whole(&dir.path().join(name)).unwrap_err().to_string();
        assert!(
            error.contains("more than the 536870912 elements that are read"),
            "{error}"
        );
    }
}

#[test]
fn idx_files_of_other_types_are_read() {
    let float = [0u8, 0, 0x0D, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2];
    let mut file = float.to_vec();
    file.extend([0.25f32, -0.5].iter().flat_map(|v| v.to_be_bytes()));
    let dir = disk(&[("a", &file)]);
    let data = whole(&dir.path().join("a")).unwrap();
    assert_eq!((data.shape, data.train.pixels), ([1, 1, 2], vec![1.0, -1.0]));
}

#[test]
fn holding_out_more_than_there_is_is_refused() {
    let dir = disk(&[("0.png", &picture(1, &[0, 1])), ("1.png", &picture(1, &[2, 3]))]);
    let wanted = |held_out| DataOptions {
        held_out: Some(held_out),
        ..DataOptions::default()
    };
    assert!(load(dir.path(), &wanted(1)).is_ok());
    let error = load(dir.path(), &wanted(2)).unwrap_err().to_string();
    assert!(
        error.contains("holds 2 images: --hold-out 2 leaves none to train on"),
        "{error}"
    );
}

#[test]
fn bytes_and_parts_of_one_are_no_set() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.npz");
    let array = |kind: &str, bytes: &[u8]| {
        let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': (2, 1, 2), }}\n");
        let mut file = b"\x93NUMPY\x01\0".to_vec();
        file.extend((header.len() as u16).to_le_bytes());
        file.extend(header.as_bytes());
        file.extend(bytes);
        file
    };
    let bytes = array("|u1", &[0, 255, 0, 255]);
    let halves = array("<f4", &[0.0f32, 0.5, 1.0, 0.25].map(f32::to_le_bytes).concat());
    std::fs::write(
        &path,
        archive(&[("train_x.npy", &bytes[..]), ("test_x.npy", &halves[..])]),
    )
    .unwrap();
    let error = load_all(&path).unwrap_err().to_string();
    assert!(
        error.contains("a.npz") && error.contains("save both in one type"),
        "{error}"
    );
    std::fs::write(
        &path,
        archive(&[("train_x.npy", &bytes[..]), ("test_x.npy", &bytes[..])]),
    )
    .unwrap();
    assert_eq!(load_all(&path).unwrap().held_out.pixels.len(), 4);
}
