//! Firmware that fails, and images that cannot be made: each ends in an error that says what, where and what to do.

mod common;

use std::time::{Duration, Instant};

use common::{board, config, tiny_model};
use mote_firmware_sim::{Drill, Image, ImageOptions, Memory, RunRequest, SimError};

fn drill(name: &str, drill: Drill, limit: Duration) -> Option<SimError> {
    let image = Image::link(board(name)?, &tiny_model(), &ImageOptions::default()).expect("fits every board");
    let request = RunRequest {
        drill: Some(drill),
        limit,
        ..RunRequest::new(config(1), [0])
    };
    Some(image.run(&request).expect_err("the drill fails"))
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_panic_is_reported_with_its_place() {
    for name in ["microbit", "mps2-an386", "lm3s6965evb", "virt"] {
        let Some(error) = drill(name, Drill::Panic, LONG) else {
            continue;
        };
        let SimError::Failed { board, why, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(*board, name);
        assert!(why.starts_with("panic at ") && why.contains("drill.rs:"), "{why}");
    }
}

#[test]
fn a_fault_is_reported_with_its_function() {
    for name in ["microbit", "mps2-an386", "lm3s6965evb", "virt"] {
        let Some(error) = drill(name, Drill::Fault, LONG) else {
            continue;
        };
        let SimError::Failed { why, .. } = &error else {
            panic!("{error}")
        };
        assert!(why.starts_with("fault at 0x") && why.contains("mote_firmware"), "{why}");
    }
}

#[test]
fn a_stack_overflow_leaves_ram_and_stops() {
    // The boards whose simulation has nothing below RAM; on the others the firmware finds the overflow after a step.
    for name in ["microbit", "netduinoplus2"] {
        let Some(error) = drill(name, Drill::Overflow, LONG) else {
            continue;
        };
        let SimError::Failed { why, .. } = &error else {
            panic!("{error}")
        };
        assert!(why.contains("stack overflow"), "{why}");
    }
}

#[test]
fn a_hang_is_stopped_at_the_limit() {
    let limit = Duration::from_millis(700);
    let began = Instant::now();
    let Some(error) = drill("mps2-an386", Drill::Spin, limit) else {
        return;
    };
    assert!(
        matches!(
            error,
            SimError::Timeout {
                board: "mps2-an386",
                ..
            }
        ),
        "{error}"
    );
    assert!(began.elapsed() > limit);
}

#[test]
fn too_large_a_model_says_how_much_flash_it_needs() {
    let Some(board) = board("microbit") else { return };
    let options = ImageOptions {
        arena_bytes: Some(1024),
        ..ImageOptions::default()
    };
    let error = Image::link(board, &vec![0; 256 * 1024], &options).expect_err("code comes on top");
    let SimError::DoesNotFit {
        memory,
        needed,
        available,
        ..
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!((memory, available), (Memory::Flash, 256 * 1024));
    assert!(needed > 256 * 1024 + 1000 && needed < 512 * 1024, "{needed}");
}

#[test]
fn too_large_an_arena_says_how_much_ram_it_needs() {
    let Some(board) = board("microbit") else { return };
    let options = ImageOptions {
        arena_bytes: Some(16 * 1024),
        ..ImageOptions::default()
    };
    let error = Image::link(board, &tiny_model(), &options).expect_err("the stack comes on top");
    assert!(error.to_string().starts_with("microbit: RAM needs "), "{error}");
    let SimError::DoesNotFit {
        memory,
        needed,
        available,
        ..
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!((memory, available), (Memory::Ram, 16 * 1024));
    assert!(
        needed > 16 * 1024 + u64::from(board.core.footprint.least_stack_bytes(false)),
        "{needed}"
    );
}

#[test]
fn the_largest_arena_that_fits_still_boots() {
    let Some(board) = board("microbit") else { return };
    let least = board.core.footprint.least_stack_bytes(true);
    let link = |arena_bytes| {
        let options = ImageOptions {
            arena_bytes: Some(arena_bytes),
            least_stack_bytes: Some(least),
            ..ImageOptions::default()
        };
        Image::link(board, &tiny_model(), &options)
    };
    let statics = link(1408).expect("fits").sizes().statics_bytes as u32;
    let largest = (16 * 1024 - least - statics.next_multiple_of(16)) / 16 * 16;
    let report = link(largest)
        .expect("fits exactly")
        .run(&RunRequest::new(config(1), [0]));
    report.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_damaged_model_is_refused_on_the_host_and_on_the_device() {
    let Some(board) = board("mps2-an386") else { return };
    let mut model = tiny_model();
    let middle = model.len() / 2;
    model[middle] ^= 1;
    let error = Image::link(board, &model, &ImageOptions::default()).expect_err("the checksum does not hold");
    assert!(
        matches!(&error, SimError::Model(why) if why.contains("Checksum")),
        "{error}"
    );
    let options = ImageOptions {
        arena_bytes: Some(1408),
        ..ImageOptions::default()
    };
    let image = Image::link(board, &model, &options).expect("the linker does not look");
    let error = image
        .run(&RunRequest::new(config(1), [0]))
        .expect_err("the device looks");
    assert!(
        matches!(&error, SimError::Failed { why, .. } if why.contains("Checksum")),
        "{error}"
    );
}

#[test]
fn the_device_refuses_a_bad_configuration_with_its_typed_error() {
    let Some(board) = board("mps2-an386") else { return };
    let image = Image::link(board, &tiny_model(), &ImageOptions::default()).expect("fits");
    let error = image
        .run(&RunRequest::new(config(101), [0]))
        .expect_err("the model has 100 training steps");
    let text = error.to_string();
    assert!(
        text.contains("refused") && text.contains("101") && text.contains("max: 100"),
        "{text}"
    );
}

#[test]
fn too_small_an_arena_is_refused_on_the_device() {
    let Some(board) = board("mps2-an386") else { return };
    let options = ImageOptions {
        arena_bytes: Some(64),
        ..ImageOptions::default()
    };
    let image = Image::link(board, &tiny_model(), &options).expect("fits");
    let error = image
        .run(&RunRequest::new(config(1), [0]))
        .expect_err("64 bytes are too few");
    assert!(error.to_string().contains("ArenaTooSmall"), "{error}");
}
