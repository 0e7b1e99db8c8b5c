//! Latent models: the decoder in a file makes the same picture everywhere, whole or in bands, and what is wrong with one is refused.

use std::path::{Path, PathBuf};

use mote_engine::Engine;
use mote_engine::memory::AlignedBytes;
use mote_engine::picture::picture;
use mote_graph::float::{DType, Executor};
use mote_runtime::internals::model::header::Header;
use mote_runtime::internals::ops::Op;
use mote_runtime::{Arena, Config, Feature, Model, ParseError, Portable, RunError, Sampler, Start};
use mote_tests::boards::board;
use mote_tests::mutate::mutate;
use mote_tests::parts::{HEADER, OPS, Parts};
use mote_tests::random::Random;
use mote_tools::backend::{Drawn, Sampling, Trace, pictures};
use mote_tools::convert::decoder::{DecoderOptions, Drawing, convert_decoder, noise};
use mote_tools::emit::pair::with_decoder;
use mote_tools::import::{Decoder, autoencoder};
use mote_tools::plan::Arena as Planned;
use mote_tools::tensors::TensorFile;
use mote_tools::{Backend, Checkpoint, Conversion, ModelFile, RunOptions, Scheme, Validation};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/importers/latent")
}

fn decoder() -> Decoder {
    autoencoder::read(&folder().join("vae"), Some([4, 4, 4])).expect("the fixture is a decoder")
}

fn kl() -> Decoder {
    autoencoder::read(&folder().join("kl"), None).expect("the fixture is a decoder")
}

fn made(scheme: Scheme, arena: Planned) -> Drawing {
    let options = DecoderOptions {
        scheme,
        arena,
        enough: 0,
    };
    let decoder = decoder();
    convert_decoder(&decoder, &noise(&decoder), options).expect("it can be converted")
}

fn pair(scheme: Scheme) -> ModelFile {
    let checkpoint = Checkpoint::open(folder()).expect("the fixture is a pipeline");
    let converted = Conversion::new(scheme)
        .convert(&checkpoint)
        .expect("it can be converted");
    converted.file().expect("it is a model")
}

fn sampling(file: &ModelFile, seeds: &[u64]) -> Sampling {
    Sampling::of_seeds(Config::of(file.model().header(), 2), seeds.iter().copied())
}

fn run(backend: Backend, file: &ModelFile, sampling: &Sampling) -> Vec<Trace> {
    backend
        .run(file.opened(), sampling, &|| ())
        .unwrap_or_else(|error| panic!("{backend}: {error}"))
}

/// The float graphs against the loops of `make.py`.
#[test]
fn the_graphs_are_the_library_s_decoders() {
    for (decoder, vectors, picture) in [
        (decoder(), "vectors.safetensors", [3, 16, 16]),
        (kl(), "kl/vectors.safetensors", [3, 6, 6]),
    ] {
        let file = TensorFile::read(&folder().join(vectors)).expect("the vectors are there");
        let [latents, pictures] = ["latents", "pictures"].map(|key| file.floats(key).expect("they are there").data);
        let count = latents.len() / decoder.graph.sample_shape().iter().product::<usize>();
        let executor = Executor::new(&decoder.graph, DType::F64).expect("the graph is sound");
        let times = vec![0.0; count];
        let given = mote_graph::float::Conditions::default();
        let found: Vec<f64> = executor.run(&latents, &times, given).expect("it runs");
        assert_eq!(decoder.graph.output_shape(), picture);
        let furthest = (found.iter().zip(&pictures))
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f64::max);
        assert!(
            found.len() == pictures.len() && furthest < 1e-9,
            "{vectors}: {furthest}"
        );
    }
}

/// With normalizations and attention, whose pictures end in bands.
#[test]
fn decoders_with_attention_are_exact() {
    let (decoder, mut last) = (kl(), f64::INFINITY);
    for scheme in [Scheme::F16, Scheme::W16A16, Scheme::W8A8, Scheme::Auto] {
        let options = DecoderOptions {
            scheme,
            arena: Planned::Small,
            enough: 0,
        };
        let drawing = convert_decoder(&decoder, &noise(&decoder), options).expect("it can be converted");
        let file = ModelFile::from_bytes(&drawing.emitted.bytes).expect("it is a model");
        let draw = |backend| pictures(file.opened(), backend, &noise(&decoder)).expect("it draws");
        let expected = draw(Backend::Oracle(None));
        assert_eq!(draw(Backend::Cpu), expected, "{scheme}");
        assert_eq!(draw(Backend::Portable), expected, "{scheme}");
        let psnr = drawing.psnr_db.unwrap_or(last);
        assert!(scheme == Scheme::Auto || psnr <= last, "{scheme}: {psnr}");
        last = psnr;
    }
}

/// In bands as whole, in every kernel, and by the oracle.
#[test]
fn bands_have_the_bits_of_the_whole_picture() {
    let latents = noise(&decoder());
    for scheme in [Scheme::F16, Scheme::W8A16, Scheme::W16A16] {
        let (whole, banded) = (made(scheme, Planned::Large), made(scheme, Planned::Fast));
        assert!(
            whole.bands == 1 && banded.bands > 1,
            "{} bands of {scheme}",
            banded.bands
        );
        assert!(
            banded.emitted.plan.arena_bytes < whole.emitted.plan.arena_bytes,
            "{scheme}"
        );
        let draw = |drawing: &Drawing, backend| -> Vec<Drawn> {
            let file = ModelFile::from_bytes(&drawing.emitted.bytes).expect("it is a model");
            pictures(file.opened(), backend, &latents).expect("it draws")
        };
        let expected = draw(&whole, Backend::Oracle(None));
        assert_eq!(expected[0].q24.len(), 3 * 16 * 16);
        assert_ne!(expected[0], expected[1]);
        for backend in [Backend::Cpu, Backend::Portable, Backend::Oracle(None)] {
            assert_eq!(draw(&banded, backend), expected, "{scheme} on {backend}");
        }
        assert_eq!(draw(&whole, Backend::Portable), expected, "{scheme}");
    }
}

/// The same picture of a run on every backend; a fault in any operator of the decoder is found.
#[test]
fn runs_end_in_the_same_picture_everywhere() {
    for scheme in [Scheme::W8A8, Scheme::F16] {
        let file = pair(scheme);
        let shape = file.picture_shape();
        assert_eq!((shape.rows, shape.cols, shape.channels), (16, 16, 3));
        let mut sampling = sampling(&file, &[1, 2]);
        sampling.operators = true;
        let expected = run(Backend::Oracle(None), &file, &sampling);
        for trace in &expected {
            assert_eq!((trace.pixels.len(), trace.state.len()), (768, 64));
            let drawn = trace.picture.as_ref().expect("there is a picture");
            let decoder = file.model().decoder().expect("there is a decoder");
            assert_eq!(drawn.operators.len(), usize::from(decoder.header().op_count));
        }
        assert_ne!(expected[0].pixels, expected[1].pixels);
        for backend in [Backend::Cpu, Backend::Portable] {
            assert_eq!(run(backend, &file, &sampling), expected, "{backend}");
        }
        for name in ["netduinoplus2", "microbit"] {
            let Some(board) = board(name) else { continue };
            let backend = Backend::Board(board, mote_firmware_sim::Firmware::Fast);
            if file.fit(board).fits {
                assert_eq!(run(backend, &file, &sampling), expected, "{backend}");
            }
        }
    }
}

#[test]
fn faults_in_a_decoder_are_found() {
    let file = pair(Scheme::W8A8);
    for kind in ["band", "pointwise"] {
        let validation = Validation {
            request: mote_tools::Request {
                run: RunOptions {
                    steps: Some(1),
                    ..RunOptions::default()
                },
                ..Default::default()
            },
            seeds: 1,
            backends: vec![Backend::Cpu],
            fault: Some(kind.to_owned()),
            ..Validation::default()
        };
        let outcomes = file.validate(&validation).expect("it can be validated");
        let broken = outcomes
            .iter()
            .find(|outcome| outcome.name.contains("broken"))
            .expect("a fault was put in");
        let first = broken.first_divergence.as_ref().expect("it is found");
        assert!(
            first.operator.contains("of the decoder") && first.operator.contains(kind),
            "{first:?}"
        );
        assert!(
            outcomes
                .iter()
                .filter(|outcome| outcome.name == "cpu")
                .all(|outcome| outcome.held)
        );
    }
}

#[test]
fn a_decoder_alone_draws_and_samples_nothing() {
    let drawing = made(Scheme::W8A8, Planned::Fast);
    let memory = AlignedBytes::copy_of(&drawing.emitted.bytes);
    let model = Model::parse(memory.bytes()).expect("it is a model");
    assert_eq!((model.picture(), model.decoder().is_none()), ([3, 16, 16], true));
    let shown = mote_tools::images::Shape::of_picture(&model);
    assert_eq!([shown.channels, shown.rows, shown.cols], [3, 16, 16]);
    assert!(Feature::Decoder.needed_by(&model) && !Feature::Schedule.needed_by(&model));
    let config = Config::of(model.header(), 1);
    assert_eq!(config.validate_for(&model), Err(RunError::Decoder));
    let other = mote_tests::synthetic::model(mote_tests::synthetic::Form::W8A8);
    let other = AlignedBytes::copy_of(&other);
    let other = Model::parse(other.bytes()).expect("it is a model");
    let wrong = picture(&other, &[0; 3], &mut Portable, |_| ());
    assert_eq!(wrong, Err(RunError::NoDecoder));
    let short = picture(&model, &[0; 3], &mut Portable, |_| ());
    assert_eq!(short, Err(RunError::Length { expected: 64, found: 3 }));
}

/// A planned file keeps its decoder; a resumed run draws what the other does.
#[test]
fn plans_and_snapshots_keep_the_picture() {
    let file = pair(Scheme::W8A16);
    let config = Config {
        seed: 5,
        ..Config::of(file.model().header(), 2)
    };
    let planned = mote_tools::emit::planned::planned(file.bytes(), &config).expect("it can be planned");
    let planned = ModelFile::from_bytes(&planned).expect("it is a model");
    let [expected, found] = [&file, &planned].map(|file| run(Backend::Cpu, file, &sampling(file, &[5])).swap_remove(0));
    assert_eq!((&found.picture, &found.pixels), (&expected.picture, &expected.pixels));
    let model = file.model();
    let [mut first, mut second] = [(); 2].map(|()| AlignedBytes::for_run(model, &config));
    let mut saved = vec![0; Sampler::snapshot_bytes(model, &config)];
    let mut arena = Arena::new(first.bytes_mut()).expect("it is aligned");
    let mut sampler = Sampler::new(model, &mut arena, &config, &Start::Seed).expect("it starts");
    sampler.step().expect("it runs");
    let len = sampler.snapshot(&mut saved).expect("it is saved");
    let mut arena = Arena::new(second.bytes_mut()).expect("it is aligned");
    let mut sampler = Sampler::resume(model, &mut arena, &saved[..len]).expect("it goes on");
    while sampler.step().expect("it runs").is_some() {}
    let (mut drawn, mut bands) = (vec![], 0);
    let state = sampler.state().to_vec();
    let draw = |rows: &[i32]| {
        drawn.extend_from_slice(rows);
        bands += 1;
    };
    sampler.decode(draw).expect("it draws");
    assert_eq!(sampler.state(), state);
    let pixels: Vec<u8> = drawn
        .into_iter()
        .map(mote_runtime::internals::sampler::q24_to_pixel)
        .collect();
    assert_eq!(pixels, expected.pixels);
    assert!(bands > 1);
}

/// Wrong contents with right checksums: refused, or run to the same bits in both kernels.
#[test]
fn hostile_decoders_are_refused_or_run() {
    for scheme in [Scheme::W8A8, Scheme::F16] {
        let original = Parts::of(&made(scheme, Planned::Fast).emitted.bytes);
        let latent = noise(&decoder()).swap_remove(0);
        let mut ran = 0;
        for case in 0..1500 {
            let mut parts = original.clone();
            mutate(&mut parts, &mut Random(case << 8 | 77));
            let memory = AlignedBytes::copy_of(&parts.file());
            let Ok(model) = Model::parse(memory.bytes()) else {
                continue;
            };
            if model.header().prediction.picture().is_none() || model.header().arena_bytes > 1 << 24 {
                continue;
            }
            let latent: Vec<i32> = (0..model.header().sample_len())
                .map(|i| latent[i % latent.len()])
                .collect();
            let expected = picture(&model, &latent, &mut Portable, |_| ());
            let engine = Engine::prepare(&model);
            assert_eq!(
                picture(&model, &latent, &mut engine.worker(), |_| ()),
                expected,
                "case {case}"
            );
            ran += 1;
        }
        assert!(ran > 10, "{ran} of {scheme} were still decoders");
    }
}

#[test]
fn what_is_no_pair_is_refused() {
    let file = pair(Scheme::W8A8);
    let parsed = |bytes: &[u8]| Model::parse(AlignedBytes::copy_of(bytes).bytes()).map(drop);
    let bytes = file.bytes();
    // Every byte of the decoder's header and table, and of some others, counts.
    for at in (0..400).chain((400..bytes.len()).step_by(97)) {
        let mut broken = bytes.to_vec();
        broken[at] ^= 0x10;
        assert!(parsed(&broken).is_err(), "byte {at}");
    }
    for len in (0..bytes.len()).step_by(61) {
        assert!(parsed(&bytes[..len]).is_err(), "{len} bytes");
    }
    // One that samples, one of another latent, one with too large an arena, two in one another.
    let alone = made(Scheme::W8A8, Planned::Fast).emitted.bytes;
    let sampled = Parts::of(bytes).file();
    let refused = |outer: &[u8], inner: &[u8]| with_decoder(outer, inner).expect_err("they are no pair");
    assert_eq!(refused(&sampled, &sampled), ParseError::Header("decoder"));
    assert_eq!(refused(&alone, &alone), ParseError::Header("decoder"));
    assert_eq!(refused(&sampled, bytes), ParseError::Header("decoder"));
    let other = autoencoder::read(&folder().join("vae"), Some([4, 5, 4])).expect("latents have any extents");
    let options = DecoderOptions {
        scheme: Scheme::F16,
        arena: Planned::Fast,
        enough: 0,
    };
    let other = convert_decoder(&other, &noise(&other), options).expect("it can be converted");
    assert_eq!(refused(&sampled, &other.emitted.bytes), ParseError::Header("decoder"));
    // A picture that lacks rows, or has another width.
    let mut parts = Parts::of(&alone);
    let header: Header = parts.header();
    for [channels, rows, cols] in [
        [3, 15, 16],
        [3, 17, 16],
        [3, 16, 15],
        [4, 16, 16],
        [0, 16, 16],
        [3, u16::MAX, u16::MAX],
    ] {
        let prediction = mote_runtime::internals::model::sampling::Prediction::Picture { channels, rows, cols };
        parts.set_header(&Header { prediction, ..header });
        assert!(parsed(&parts.file()).is_err(), "{channels} x {rows} x {cols}");
    }
    parts.set_header(&header);
    let mut ops = parts.ops();
    let band = ops
        .iter()
        .position(|op| matches!(op, Op::Band(_)))
        .expect("it is made in bands");
    if let Op::Band(rows) = &mut ops[band] {
        rows.from += 100;
    }
    parts.set_ops(&ops);
    assert!(matches!(parsed(&parts.file()), Err(ParseError::Op { .. })));
    assert!(!parts.sections[HEADER].is_empty() && !parts.sections[OPS].is_empty());
}

#[test]
fn pipelines_are_read_with_what_they_say() {
    let refused = |change: &dyn Fn(&Path)| {
        let copy = tempfile::tempdir().expect("there is room");
        for file in [
            "model_index.json",
            "scheduler/scheduler_config.json",
            "unet/config.json",
            "unet/diffusion_pytorch_model.safetensors",
            "vae/config.json",
            "vae/diffusion_pytorch_model.safetensors",
        ] {
            let to = copy.path().join(file);
            std::fs::create_dir_all(to.parent().expect("it has one")).expect("there is room");
            std::fs::copy(folder().join(file), to).expect("there is room");
        }
        change(copy.path());
        Checkpoint::open(copy.path())
            .map(|read| read.decoder.is_some())
            .map_err(|error| error.to_string())
    };
    let set = |path: &Path, key: &str, value: serde_json::Value| {
        let text = std::fs::read_to_string(path).expect("it is there");
        let mut json: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
        json[key] = value;
        std::fs::write(path, json.to_string()).expect("there is room");
    };
    assert_eq!(refused(&|_| ()), Ok(true));
    assert_eq!(
        refused(&|path| std::fs::remove_file(path.join("model_index.json")).expect("it is there")),
        Ok(true)
    );
    for (key, value, says) in [
        ("act_fn", "gelu".into(), "act_fn"),
        ("latent_channels", 3.into(), "latent"),
        ("scaling_factor", 0.into(), "scaling_factor"),
        ("num_decoder_blocks", serde_json::json!([1, 1]), "num_decoder_blocks"),
        (
            "decoder_block_out_channels",
            serde_json::json!([8, 8, 4]),
            "same channels",
        ),
        ("latents_mean", serde_json::json!([0.0, 0.0, 0.0, 0.0]), "latents_mean"),
        ("unheard_of", 1.into(), "unheard_of"),
    ] {
        let error = refused(&|path| set(&path.join("vae/config.json"), key, value.clone())).expect_err(key);
        assert!(error.contains(says) && error.contains("vae"), "{error}");
    }
    // Its own folder is the network alone, as before.
    let alone = Checkpoint::open(folder().join("unet")).expect("a part is a checkpoint");
    assert!(alone.decoder.is_none());
}
