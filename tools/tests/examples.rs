//! The examples do what they say: convert, then sample, then validate.

#[allow(dead_code)]
#[path = "../examples/convert.rs"]
mod convert;
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

#[test]
fn an_example_that_is_given_nothing_sensible_says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let error = sample::run(&folder.path().join("none.mote"), &folder.path().join("p.png")).unwrap_err();
    assert!(error.to_string().contains("none.mote"), "{error}");
    assert_eq!(error.advice(), Some("give the path of a model file"));
}
