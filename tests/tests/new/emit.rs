//! What `mote-build` writes, and what it refuses.

use mote_build::Error;
use mote_engine::memory::AlignedBytes;
use mote_runtime::{Config, Feature, Model, ParseError, RunError, Sampler, arena_bytes};

use crate::project::{Place, bytes};

#[test]
fn facts_are_those_of_the_runtime() {
    let place = Place::new();
    let bytes = bytes();
    let memory = AlignedBytes::copy_of(&bytes);
    let model = Model::parse(memory.bytes()).expect("the model is valid");
    let config = Config::of(model.header(), 20);
    let facts = mote_build::model(&place.model).facts().expect("it is sound");
    assert_eq!(facts.arena_bytes, arena_bytes(&model, &config));
    assert_eq!(facts.snapshot_bytes, Sampler::snapshot_bytes(&model, &config));
    assert_eq!(
        (facts.rows, facts.cols, facts.channels, facts.sample_len()),
        (8, 8, 1, 64)
    );
    assert_eq!(facts.features, [Feature::Integer, Feature::W16, Feature::Schedule]);
    // Another sampler takes another arena, and a part of its own.
    let heun = mote_build::model(&place.model)
        .sampler(mote_build::Method::Heun)
        .facts()
        .expect("it can run so");
    assert!(heun.arena_bytes > facts.arena_bytes && heun.features.contains(&Feature::Heun));
}

#[test]
fn what_is_written_checks_version_and_parts() {
    let place = Place::new();
    mote_build::model(&place.model)
        .steps(5)
        .write_to(place.path())
        .expect("it is sound");
    let text = std::fs::read_to_string(place.path().join("model.rs")).expect("it was written");
    for words in [
        "pub static MODEL: ::mote_runtime::Aligned<[u8; ",
        "pub const SAMPLE_LEN: usize = 64;",
        "pub const STEPS: u32 = 5;",
        "::mote_runtime::VERSION",
        "Feature::W16.is_built()",
        "parse_trusted",
    ] {
        assert!(text.contains(words), "no {words} in {text}");
    }
    assert!(!text.contains("Feature::Fast"), "no model needs it");
    assert_eq!(
        std::fs::read(place.path().join("model.mote")).expect("it was written"),
        bytes()
    );
    let checked = mote_build::model(&place.model).parsed_on_device();
    checked.write_to(place.path()).expect("it is sound");
    let text = std::fs::read_to_string(place.path().join("model.rs")).expect("it was written");
    assert!(
        text.contains("Model::parse(&MODEL.0)") && !text.contains("unsafe {"),
        "{text}"
    );
}

#[test]
fn what_the_firmware_could_not_open_is_refused() {
    let place = Place::new();
    let write = |bytes: &[u8]| std::fs::write(&place.model, bytes).expect("it can be written");
    let refused = |steps: u32| {
        mote_build::model(&place.model)
            .steps(steps)
            .facts()
            .expect_err("it is refused")
    };
    let whole = bytes();
    for steps in [0, 1001] {
        assert!(matches!(
            refused(steps),
            Error::Run {
                error: RunError::Steps { .. },
                ..
            }
        ));
    }
    assert!(
        refused(0).to_string().contains("digits.mote: 0 steps asked for"),
        "{}",
        refused(0)
    );
    write(&whole[..whole.len() - 1]);
    assert!(matches!(
        refused(20),
        Error::Model {
            error: ParseError::Length { .. },
            ..
        }
    ));
    assert!(refused(20).to_string().contains("cut off"), "{}", refused(20));
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    write(&flipped);
    assert!(matches!(
        refused(20),
        Error::Model {
            error: ParseError::Checksum(_),
            ..
        }
    ));
    write(b"");
    assert!(refused(20).to_string().contains("mote convert"), "{}", refused(20));
    std::fs::remove_file(&place.model).expect("it is there");
    assert!(
        refused(20).to_string().contains("relative to the folder of Cargo.toml"),
        "{}",
        refused(20)
    );
    // A build script's folder is the build's alone.
    write(&whole);
    assert!(matches!(
        mote_build::model(&place.model).try_emit(),
        Err(Error::Outside("OUT_DIR"))
    ));
}
