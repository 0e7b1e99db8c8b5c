//! Firmware whose build has parsed the model: it checks no more than the checksum, and makes the same bits.

mod common;

use common::{board, config, desktop, tiny_model};
use mote_firmware_sim::{Image, ImageOptions, RunRequest, SimError};
use mote_runtime::{Config, Start};

const SEED: u64 = 7;

fn request() -> RunRequest {
    RunRequest {
        trusted: true,
        ..RunRequest::new(config(3), [SEED])
    }
}

#[test]
fn it_makes_the_same_bits_and_starts_sooner() {
    let model = tiny_model();
    let expected = desktop(
        &model,
        &Config {
            seed: SEED,
            ..config(3)
        },
        &Start::Seed,
    );
    for name in ["microbit", "netduinoplus2", "virt"] {
        let Some(board) = board(name) else { continue };
        let image = Image::link(board, &model, &ImageOptions::default()).unwrap_or_else(|error| panic!("{error}"));
        let run = |request: &RunRequest| image.run(request).unwrap_or_else(|error| panic!("{error}"));
        let (checked, trusted) = (run(&RunRequest::new(config(3), [SEED])), run(&request()));
        for (found, expected) in trusted.images[0].steps.iter().zip(&expected.steps) {
            assert_eq!((found.t, found.digest), (expected.t, expected.digest), "{name}");
        }
        assert_eq!(trusted.images[0].steps.len(), expected.steps.len(), "{name}");
        let [trusted, checked] = [trusted, checked].map(|report| report.parse_instructions);
        assert!(trusted < checked, "{name}: {trusted:?}, {checked:?}");
    }
}

#[test]
fn it_finds_flash_that_has_changed() {
    for name in ["microbit", "netduinoplus2"] {
        let Some(board) = board(name) else { continue };
        let model = tiny_model();
        let image = Image::link(board, &model, &ImageOptions::default()).unwrap_or_else(|error| panic!("{error}"));
        flip_a_bit(&image, &model);
        let error = image.run(&request()).expect_err("a damaged model");
        let SimError::Failed { why, .. } = &error else {
            panic!("{error}")
        };
        assert!(why.contains("Checksum"), "{why}");
    }
}

/// Flips a bit in the middle of the model in an image that is linked already.
fn flip_a_bit(image: &Image, model: &[u8]) {
    let mut elf = image.elf().to_vec();
    let start = elf.windows(model.len()).position(|bytes| bytes == model);
    elf[start.expect("the model is in the image") + model.len() / 2] ^= 1;
    std::fs::write(image.path(), elf).expect("the image can be written");
}

#[test]
fn nobody_vouches_for_a_model_that_the_host_has_not_parsed() {
    let Some(board) = board("mps2-an386") else { return };
    let mut model = tiny_model();
    let middle = model.len() / 2;
    model[middle] ^= 1;
    let options = ImageOptions {
        arena_bytes: Some(4096),
        ..ImageOptions::default()
    };
    let image = Image::link(board, &model, &options).unwrap_or_else(|error| panic!("{error}"));
    let error = image.run(&request()).expect_err("nobody has parsed it");
    assert!(
        matches!(&error, SimError::Request(why) if why.contains("leave `trusted` out")),
        "{error}"
    );
}
