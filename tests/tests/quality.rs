//! Quality gates: final images of the integer engine against those of the float sampler in PyTorch, from the same noise.
//!
//! PSNR has peak 2 (images in [-1, 1]) and is averaged in dB over 8 images of 20 DDIM steps.

use std::path::Path;

use mote_engine::memory::AlignedBytes;
use mote_firmware_sim::{Firmware, Parts};
use mote_runtime::{Config, Model, Start};
use mote_tests::checkpoints::{converted, digits, fashion, fashion_vectors, vectors};
use mote_tests::running::{finish, psnr_db, q24};
use mote_tools::quantize::scheme::Scheme;
use rayon::prelude::*;

fn mean_psnr_db(checkpoint: &Path, references: &Path, scheme: Scheme) -> (f64, Parts) {
    let memory = AlignedBytes::copy_of(&converted(checkpoint, scheme).emitted.bytes);
    let model = Model::parse(memory.bytes()).expect("the model is valid");
    let references = vectors(references);
    let (config, len) = (Config::of(model.header(), 20), model.header().sample_len());
    let images: Vec<_> = references
        .noise
        .chunks_exact(len)
        .zip(references.x0.chunks_exact(len))
        .collect();
    assert_eq!(images.len(), 8);
    let psnr = |(noise, x0): &(&[f32], &[f32])| {
        let run = finish(&model, &config, &Start::Noise(&q24(noise))).expect("the run is valid");
        psnr_db(&run.state, x0)
    };
    let all: Vec<f64> = images.par_iter().map(psnr).collect();
    (all.iter().sum::<f64>() / all.len() as f64, Parts::needed_by(&model))
}

/// Gives the parts that the second's model needs.
fn at_least(scheme: Scheme, digits_db: f64, fashion_db: f64) -> Parts {
    let (found, _) = mean_psnr_db(&digits(), &digits().join("vectors.safetensors"), scheme);
    println!("digits8-micro {scheme}: {found:.2} dB");
    assert!(
        found >= digits_db,
        "digits8-micro {scheme}: {found:.2} dB, {digits_db} wanted"
    );
    let (found, parts) = mean_psnr_db(&fashion(), &fashion_vectors(), scheme);
    println!("fashion16-tiny {scheme}: {found:.2} dB");
    assert!(
        found >= fashion_db,
        "fashion16-tiny {scheme}: {found:.2} dB, {fashion_db} wanted"
    );
    parts
}

#[test]
fn f16_is_close_to_float() {
    at_least(Scheme::F16, 65.0, 64.0);
}

#[test]
fn int16_activations_are_close_to_float() {
    at_least(Scheme::W8A16, 47.5, 44.7);
}

#[test]
fn int8_activations_are_close_to_float() {
    at_least(Scheme::W8A8, 38.7, 37.3);
}

#[test]
fn int4_weights_are_near_float() {
    at_least(Scheme::W4A16, 29.0, 35.0);
    at_least(Scheme::W4A8, 29.0, 34.0);
}

/// What int4 weights are for: bytes of the weights section, biases, factors and tables included.
#[test]
fn int4_weights_take_three_fifths_of_the_flash_of_int8() {
    for checkpoint in [digits(), fashion()] {
        let bytes = |scheme| converted(&checkpoint, scheme).emitted.weight_bytes;
        let (four, eight) = (bytes(Scheme::W4A8), bytes(Scheme::W8A8));
        println!("{}: {four} bytes of weights, {eight} with int8", checkpoint.display());
        assert!(four * 5 <= eight * 3, "{four} of {eight} bytes");
    }
}

#[test]
fn auto_is_no_further_from_float_than_int16_activations_may_be() {
    let parts = at_least(Scheme::Auto, 47.5, 44.7);
    // The demo compiles the firmware of the bundled checkpoint ahead.
    assert_eq!(parts, Parts::of(mote_tools::BUNDLED_PARTS).of_firmware(Firmware::Fast));
}
