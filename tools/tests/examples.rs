//! The examples do what they say: convert, then sample, then validate.

#[allow(dead_code)]
#[path = "../examples/convert.rs"]
mod convert;
#[allow(dead_code)]
#[path = "../examples/faces.rs"]
mod faces;
#[allow(dead_code)]
#[path = "../examples/gaps.rs"]
mod gaps;
#[allow(dead_code)]
#[path = "../examples/sample.rs"]
mod sample;
#[allow(dead_code)]
#[path = "../examples/validate.rs"]
mod validate;

use std::path::Path;

#[test]
#[cfg_attr(debug_assertions, ignore = "calibration takes minutes without optimization")]
fn the_examples_convert_sample_and_validate() {
    let folder = tempfile::tempdir().unwrap();
    let [model, picture] = ["m.mote", "p.png"].map(|name| folder.path().join(name));
    let digits = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/digits8-micro");
    let fit = convert::run(Some(&digits), &model).unwrap();
    assert!(fit.fits && fit.flash_bytes > 0, "{fit:?}");
    let images = sample::run(&model, &picture).unwrap();
    assert_eq!(images.iter().map(|(seed, _)| *seed).collect::<Vec<_>>(), [7, 8, 9, 10]);
    assert_eq!(images, sample::run(&model, &picture).unwrap());
    let made = mote_tools::images::decode(&std::fs::read(&picture).unwrap()).unwrap();
    assert_eq!((made.width, made.height), (2 * 8 * 4, 2 * 8 * 4));
    let (held, psnr_db) = validate::run(&model, Some(&digits)).unwrap();
    assert!(held && psnr_db > 20.0, "{psnr_db} dB");
}

/// The same network, smaller: a graph that is written layer by layer becomes a file that runs.
#[test]
#[cfg_attr(debug_assertions, ignore = "calibration takes minutes without optimization")]
fn a_network_that_is_written_by_hand_converts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("faces.mote");
    let shape = faces::Shape {
        layers: 2,
        width: 16,
        side: 4,
        ..faces::FACES
    };
    let fit = faces::run(shape, &path).unwrap();
    assert!(fit.fits && fit.ram_bytes < 64 << 10, "{fit:?}");
    let file = mote_tools::ModelFile::open(&path).unwrap();
    let request = mote_tools::Request {
        run: mote_tools::RunOptions {
            steps: Some(4),
            ..mote_tools::RunOptions::default()
        },
        ..mote_tools::Request::default()
    };
    let traces = file.sample(&request).unwrap();
    assert!(traces[0].state.iter().any(|v| *v != traces[0].state[0]));
}

/// The model of the runtime's own examples is what its checkpoint converts to.
#[test]
#[cfg_attr(debug_assertions, ignore = "calibration takes minutes without optimization")]
fn the_runtime_s_example_is_a_conversion() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let checkpoint = mote_tools::Checkpoint::open(root.join("tests/data/importers/onnx/image")).unwrap();
    let made = mote_tools::Conversion::new(mote_tools::Scheme::W8A8)
        .convert(&checkpoint)
        .unwrap();
    let there = std::fs::read(root.join("runtime/examples/tiny.mote")).unwrap();
    assert!(
        made.file().unwrap().bytes() == there,
        "convert tests/data/importers/onnx/image -o runtime/examples/tiny.mote --scheme w8a8"
    );
}

/// Each seed fills in its own way.
#[test]
#[cfg_attr(debug_assertions, ignore = "calibration takes minutes without optimization")]
fn gaps_in_a_signal_are_filled() {
    let folder = tempfile::tempdir().unwrap();
    let [model, picture] = ["ecg.mote", "gaps.svg"].map(|name| folder.path().join(name));
    let ecg = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/ecg");
    convert::run(Some(&ecg), &model).unwrap();
    let signals = format!("{}:beats", ecg.join("beats.safetensors").display());
    let fills = gaps::run(&model, &signals, &picture).unwrap();
    assert_eq!(fills.iter().map(|(seed, ..)| *seed).collect::<Vec<_>>(), [0, 1, 2, 3]);
    let ways: std::collections::BTreeSet<u64> = fills.iter().map(|(_, digest, _)| *digest).collect();
    assert_eq!(ways.len(), fills.len());
    assert!(fills.iter().all(|(.., error)| *error < 0.5), "{fills:?}");
    assert!(std::fs::read_to_string(&picture).unwrap().matches("<polyline").count() == 5);
}

#[test]
fn an_example_that_is_given_nothing_sensible_says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let error = sample::run(&folder.path().join("none.mote"), &folder.path().join("p.png")).unwrap_err();
    assert!(error.to_string().contains("none.mote"), "{error}");
    assert_eq!(error.advice(), Some("give the path of a model file"));
}
