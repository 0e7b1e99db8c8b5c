//! `--refine`: better images in an arena as large, of a network that computes the same.

use mote_engine::memory::AlignedBytes;
use mote_graph::float::{DType, Executor};
use mote_runtime::{Config, Model, Start};
use mote_tests::checkpoints::{digits, vectors};
use mote_tests::running::{finish, psnr_db, q24};
use mote_tools::convert::equalize::of_checkpoint;
use mote_tools::{Arena, Checkpoint, Conversion, Scheme};

fn open() -> Checkpoint {
    Checkpoint::open(digits()).expect("the checkpoint is there")
}

/// Mean over the eight noises of the reference vectors, 20 steps.
fn mean_psnr_db(bytes: &[u8]) -> f64 {
    let memory = AlignedBytes::copy_of(bytes);
    let model = Model::parse(memory.bytes()).expect("the model is valid");
    let references = vectors(&digits().join("vectors.safetensors"));
    let (config, len) = (Config::of(model.header(), 20), model.header().sample_len());
    let pairs = references.noise.chunks_exact(len).zip(references.x0.chunks_exact(len));
    let psnr = |(noise, x0): (&[f32], &[f32])| {
        let run = finish(&model, &config, &Start::Noise(&q24(noise))).expect("the run is valid");
        psnr_db(&run.state, x0)
    };
    let all: Vec<f64> = pairs.map(psnr).collect();
    all.iter().sum::<f64>() / all.len() as f64
}

#[test]
fn a_refined_model_is_nearer_in_an_arena_as_large() {
    let checkpoint = open();
    for arena in [Arena::Fast, Arena::Small] {
        let plain = Conversion::new(Scheme::W8A8)
            .in_arena(arena)
            .convert(&checkpoint)
            .expect("it converts");
        let refined = Conversion::new(Scheme::W8A8).in_arena(arena).refined();
        let refined = refined.convert(&checkpoint).expect("it converts refined");
        let arenas = [&plain, &refined].map(|made| made.emitted.plan.arena_bytes);
        assert!(arenas[1] <= arenas[0], "{arena:?}: {arenas:?}");
        let found = [&plain, &refined].map(|made| mean_psnr_db(&made.emitted.bytes));
        println!("{arena:?}: {found:.2?} dB, {arenas:?} bytes");
        assert!(found[1] > found[0] + 2.0, "{arena:?}: {found:?}");
        let price = refined.notes.iter().find(|note| note.starts_with("refined: "));
        assert!(
            price.is_some_and(|note| note.contains("Cortex-M4F")),
            "{:?}",
            refined.notes
        );
    }
}

#[test]
fn the_same_checkpoint_gives_the_same_bytes() {
    let checkpoint = open();
    let made = || {
        Conversion::new(Scheme::W8A8)
            .refined()
            .convert(&checkpoint)
            .expect("it converts")
            .emitted
            .bytes
    };
    let one = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .expect("a thread");
    assert!(made() == one.install(made));
}

/// Channels grow, the function stays: the eps of normalizations alone makes a difference.
#[test]
fn an_equalized_network_computes_the_same() {
    let (plain, grown) = (open(), of_checkpoint(&open()).expect("it can be equalized"));
    let changed = plain
        .graph
        .params
        .iter()
        .filter(|(key, param)| grown.graph.params[*key] != **param)
        .count();
    assert!(changed > 10, "{changed} parameters differ");
    let x: Vec<f64> = (0..64).map(|i| libm::sin(f64::from(i) * 0.7)).collect();
    let outputs: [Vec<f64>; 2] = [&plain, &grown].map(|checkpoint| {
        let executor = Executor::new(&checkpoint.graph, DType::F64).expect("the graph is sound");
        executor.run(&x, &[400], &[]).expect("it runs")
    });
    let pairs = outputs[0].iter().zip(&outputs[1]);
    let error: f64 = pairs.clone().map(|(a, b)| (a - b).powi(2)).sum();
    let size: f64 = pairs.map(|(a, _)| a * a).sum();
    assert!(error < size * 1e-8, "{error} of {size}");
}
