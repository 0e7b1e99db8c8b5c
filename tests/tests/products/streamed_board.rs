//! Weights that are read in blocks on emulated boards: only the reader looks at them.

use mote_engine::memory::AlignedBytes;
use mote_firmware_sim::{Image, ImageOptions, ImageRecord, Observe, Parts, RunRequest};
use mote_runtime::{Config, Model, Start, stream_bytes};
use mote_tests::boards::board;
use mote_tests::random::Random;
use mote_tests::running::finish;
use mote_tests::synthetic::Form;
use mote_tests::{checkpoints, wider};
use mote_tools::backend::{Backend, OpenModel, Sampling};
use mote_tools::emit::split::split;
use mote_tools::estimate::Streaming;
use mote_tools::plan::Windows;
use mote_tools::quantize::scheme::Scheme;
use mote_tools::target::{Described, Target};

use super::programs::program_with;

/// Runs `file` on a board in buffers of so many bytes; `None` where the board cannot be run here.
fn run(name: &str, file: &[u8], buffers: usize, observe: Observe, config: &Config) -> Option<ImageRecord> {
    let board = board(name)?;
    let mut cut = split(file).expect("it can be cut");
    cut.model.resize(cut.model.len().next_multiple_of(16), 0);
    let options = ImageOptions {
        stream_bytes: Some(buffers as u32),
        config: Some(*config),
        // One compilation a core serves every program.
        parts: Some(Parts::all()),
        ..ImageOptions::default()
    };
    let request = RunRequest {
        observe,
        ..RunRequest::new(*config, [config.seed])
    };
    let linked = [cut.model, cut.weights].concat();
    let report = Image::link(board, &linked, &options).and_then(|image| image.run(&request));
    let mut report = report.unwrap_or_else(|error| panic!("{name}, {buffers} bytes: {error}"));
    Some(report.images.swap_remove(0))
}

/// That random programs have the portable kernels' outputs, operator by operator, in blocks of several sizes.
fn agree(name: &str) {
    let mut files: Vec<(String, AlignedBytes)> = Vec::new();
    for seed in 0..6 {
        let windows = if seed % 2 == 0 { Windows::all } else { Windows::none };
        files.push((
            format!("program {seed}"),
            program_with(&mut Random(9100 + seed), seed, windows),
        ));
    }
    for form in [Form::W8A8, Form::Mixed, Form::W4A8] {
        let file = AlignedBytes::copy_of(&wider::model(1, form));
        files.push((format!("wider, {form:?}"), file));
    }
    let mut operators = 0;
    for (what, file) in files {
        let model = Model::parse(file.bytes()).expect("the model is valid");
        let opened = OpenModel {
            model: &model,
            bytes: file.bytes(),
        };
        let config = Config {
            seed: 7,
            ..Config::of(model.header(), 1)
        };
        let sampling = Sampling {
            operators: true,
            ..Sampling::of_seeds(config, [7])
        };
        let mut traces = Backend::Portable.run(opened, &sampling, &|| ()).expect("it runs here");
        let expected = traces.swap_remove(0).steps.swap_remove(0);
        for channels in [1, 4] {
            let bytes = stream_bytes(&model, channels);
            let Some(found) = run(name, file.bytes(), bytes, Observe::OpDigests, &config) else {
                return;
            };
            let digests: Vec<u64> = found.ops.iter().filter_map(|op| op.digest).collect();
            assert_eq!(
                digests, expected.operators,
                "{what} on {name}, {channels} channels a block"
            );
            operators += digests.len();
        }
    }
    assert!(operators > 100, "only {operators} operators were compared");
}

#[test]
fn dsp_has_the_portable_bits_in_blocks() {
    agree("mps2-an386");
}

/// Every other kernel family, where `MOTE_EVERY_CORE=1` asks for it: each is a firmware to compile.
#[test]
fn every_core_has_the_portable_bits_in_blocks() {
    if std::env::var_os("MOTE_EVERY_CORE").is_none_or(|value| value != "1") {
        return;
    }
    ["mps2-m0", "mps2-an385", "mps2-an505", "mps3-an547", "virt"]
        .into_iter()
        .for_each(agree);
}

/// The trained networks have the digests of `mote sample`.
#[test]
fn trained_networks_have_their_digests_in_blocks() {
    for (path, channels) in [(checkpoints::digits(), 8), (checkpoints::fashion(), 8)] {
        let file = checkpoints::converted(&path, Scheme::W8A8).emitted.bytes;
        let memory = AlignedBytes::copy_of(&file);
        let model = Model::parse(memory.bytes()).expect("the model is valid");
        let config = Config::of(model.header(), 2);
        let here = finish(&model, &config, &Start::Seed).expect("it runs here").steps;
        let bytes = stream_bytes(&model, channels);
        let Some(there) = run("mps2-an386", &file, bytes, Observe::Steps, &config) else {
            return;
        };
        let digests: Vec<u64> = there.steps.iter().map(|step| step.digest).collect();
        let expected: Vec<u64> = here.iter().map(|step| step.digest).collect();
        assert_eq!(digests, expected, "{}", path.display());
        // The estimate leaves out what the core copies in place of a DMA.
        let target = Target::asked(Some("mps2-an386"), &Described::default()).expect("it is known");
        let step = Streaming::of(&target.expect("it is asked for"), &model, channels, 20e6);
        let found = there.steps[0].instructions.expect("they are counted");
        println!(
            "{}: {bytes} bytes of buffers, {found} instructions a step, {step:?}",
            path.display()
        );
        let ratio = found as f64 / step.instructions as f64;
        assert!(
            (0.95..1.1).contains(&ratio),
            "{}: {ratio} of the estimate",
            path.display()
        );
        assert_eq!(step.buffer_bytes, bytes);
    }
}
