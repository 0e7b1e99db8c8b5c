//! Every family of the engine that this processor has against the runtime's own kernels, bit for bit: each operator's output over
//! random shapes, number formats and factors, and the trained networks.

#[path = "../oracle/builder.rs"]
mod builder;
#[allow(dead_code)]
mod programs;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use mote_engine::memory::AlignedBytes;
use mote_engine::{ACCELERATED, ACCELERATED_F16, Engine, Family};
use mote_runtime::internals::model::exec::Call;
use mote_runtime::internals::ops::Op;
use mote_runtime::internals::tensor::view::View;
use mote_runtime::{Arena, Config, Model, Network, Observer, Portable, Sampler, Start, Unobserved};
use mote_tests::random::Random;
use mote_tests::synthetic::{Form, condition, conditioned, model as everything};
use mote_tools::convert::{Options, convert};
use mote_tools::import::import;
use mote_tools::plan::Windows;
use mote_tools::quantize::scheme::{Bits, Scheme};

use programs::{cut, factors_at_random, floats, heads, large, many_taps, program, program_with, signals, strips, thin};

/// Every operator's output of one call.
#[derive(Default)]
struct Outputs(Vec<(&'static str, Vec<i32>)>);

impl Observer for Outputs {
    fn after(&mut self, _index: u16, op: &Op, output: &View<'_>) {
        self.0
            .push((op.kind(), (0..output.len()).map(|i| output.get(i)).collect()));
    }
}

fn outputs(model: &Model<'_>, network: &mut impl Network, x_q24: &[i32], timestep: u32) -> Outputs {
    let mut memory = AlignedBytes::zeroed(model.header().arena_bytes as usize);
    let mut outputs = Outputs::default();
    let call = Call::at(x_q24, timestep, 0);
    network
        .forward(model, &call, memory.bytes_mut(), &mut outputs)
        .expect("a checked model");
    outputs
}

/// Families that are faster than the runtime and here.
fn families() -> impl Iterator<Item = Family> {
    let faster = Family::ALL.into_iter().filter(|family| *family != Family::Portable);
    faster.filter(|family| family.is_here())
}

/// Compares one call of every family with the runtime's; gives how many operators ran in kernels of the engine.
fn assert_equal(model: &Model<'_>, random: &mut Random, what: &str) -> usize {
    let loud = random.below(4) == 0;
    let x: Vec<i32> = (0..model.header().sample_len())
        .map(|_| random.bits() as i32 >> if loud { 0 } else { 5 })
        .collect();
    let timestep = random.below(model.header().train_steps as usize) as u32;
    let expected = outputs(model, &mut Portable, &x, timestep);
    let mut covered = 0;
    for family in families() {
        let engine = Engine::prepare_for(model, family);
        assert_eq!(engine.family(), family);
        covered += engine.coverage().0;
        // Another call before: what it leaves behind must not be seen.
        let mut worker = engine.worker();
        let other: Vec<i32> = x.iter().map(|x| x / 3 - (1 << 22)).collect();
        outputs(model, &mut worker, &other, timestep);
        for _ in 0..2 {
            let found = outputs(model, &mut worker, &x, timestep);
            for (index, ((kind, expected), (_, found))) in expected.0.iter().zip(&found.0).enumerate() {
                let first = expected.iter().zip(found).position(|(a, b)| a != b);
                if let Some(i) = first {
                    let op = model.ops().nth(index);
                    panic!(
                        "{what}, {family:?}: operator {index} ({kind}) leaves the runtime at element {i}: {} became {}\n{op:?}",
                        expected[i], found[i]
                    );
                }
            }
            assert_eq!(expected.0.len(), found.0.len(), "{what}, {family:?}");
        }
    }
    covered
}

#[test]
fn random_programs_give_the_runtimes_bits() {
    let mut covered = 0;
    for seed in 0..150 {
        let mut random = Random(seed);
        let file = program(&mut random, seed);
        for round in 0..3 {
            // The first time as converted; then with factors that saturate, vanish and round at random.
            let file = if round == 0 {
                file.clone()
            } else {
                factors_at_random(&file, &mut random)
            };
            let model = Model::parse(file.bytes()).expect("a valid model");
            covered += assert_equal(&model, &mut random, &format!("program {seed}, round {round}"));
        }
    }
    assert!(
        families().next().is_none() || covered > 2000,
        "only {covered} operators ran in the engine"
    );
}

#[test]
fn random_f16_programs_give_the_runtimes_bits() {
    let mut covered = 0;
    for seed in 0..150 {
        let mut random = Random(seed);
        let file = floats(&mut random, seed);
        let model = Model::parse(file.bytes()).expect("a valid model");
        covered += assert_equal(&model, &mut random, &format!("f16 program {seed}"));
    }
    assert!(
        families().next().is_none() || covered > 700,
        "only {covered} operators ran in the engine"
    );
}

#[test]
fn heads_of_every_width_and_length_give_the_runtimes_bits() {
    // Around the pairs, registers, tiles and blocks of the engine's loops, and wider than 32-bit sums allow.
    let narrow = [
        [1, 1],
        [3, 2],
        [2, 3],
        [1, 5],
        [2, 8],
        [3, 9],
        [1, 15],
        [2, 16],
        [1, 17],
        [1, 33],
        [2, 40],
    ];
    for (seed, sides) in (0..).zip([
        [1, 1],
        [1, 2],
        [3, 5],
        [4, 4],
        [1, 17],
        [5, 6],
        [3, 11],
        [7, 7],
        [8, 17],
    ]) {
        let widths: [&mut dyn FnMut(bool) -> Bits; 3] =
            [&mut |_| Bits::Eight, &mut |_| Bits::Sixteen, &mut |weights| {
                if weights { Bits::Eight } else { Bits::Sixteen }
            }];
        let mut files: Vec<_> = widths.map(|bits| heads(seed, sides, &narrow, Some(bits))).into();
        let mut random = Random(seed);
        files.push(heads(seed, sides, &narrow, None));
        // The first two once more, with factors that saturate.
        files.extend([0, 1].map(|i| factors_at_random(&files[i], &mut random)));
        for (i, file) in files.iter().enumerate() {
            let model = Model::parse(file.bytes()).expect("a valid model");
            assert_equal(&model, &mut random, &format!("heads at {sides:?}, file {i}"));
        }
    }
    for bits in [Bits::Eight, Bits::Sixteen] {
        let file = heads(1, [2, 3], &[[1, 511], [1, 512], [1, 700]], Some(&mut |_| bits));
        let model = Model::parse(file.bytes()).expect("a valid model");
        assert_equal(&model, &mut Random(2), "wide heads");
    }
}

#[test]
fn a_normalization_inside_a_convolution_gives_the_bits_of_the_two() {
    let (mut inside, mut several) = (0, 0);
    for seed in 0..150 {
        let files = [Windows::none, Windows::all].map(|windows| program_with(&mut Random(seed), seed, windows));
        let models = files
            .each_ref()
            .map(|file| Model::parse(file.bytes()).expect("a valid model"));
        let x: Vec<i32> = (0..models[0].header().sample_len() as i32)
            .map(|i| (i * 7_654_321) % (3 << 24))
            .collect();
        let [apart, within] = models.each_ref().map(|model| outputs(model, &mut Portable, &x, 5).0);
        // What is made inside has no output of its own, and the others stand in another order.
        let expected: BTreeMap<u16, _> = models[0].ops().map(|op| op.slots().out().0).zip(apart).collect();
        for (op, (kind, found)) in models[1].ops().zip(within) {
            assert_eq!(found, expected[&op.slots().out().0].1, "program {seed}: {kind} {op:?}");
            if let Op::NormConv(both) = op {
                let rows = |id| models[1].tensor(id).expect("it is there").rows;
                inside += 1;
                several += usize::from(rows(both.norm.source.first) > rows(both.norm.out) + 1);
            }
        }
    }
    assert!(
        inside > 50 && several > 20,
        "{inside} normalizations were inside, {several} in several bands"
    );
}

#[test]
fn many_taps_give_the_runtimes_bits() {
    let file = many_taps(3);
    let mut random = Random(4);
    for file in [&file, &factors_at_random(&file, &mut random)] {
        let model = Model::parse(file.bytes()).expect("a valid model");
        assert_equal(&model, &mut random, "many taps");
        for family in families() {
            let engine = Engine::prepare_for(&model, family);
            assert!(!engine.in_runtime().any(|kind| kind == "conv"), "{family:?}");
        }
    }
}

#[test]
fn few_taps_give_the_runtimes_bits() {
    for (seed, bits) in (0..).zip([Bits::Eight, Bits::Sixteen]) {
        let file = thin(seed, || bits);
        let model = Model::parse(file.bytes()).expect("a valid model");
        assert_equal(&model, &mut Random(seed), &format!("few taps, {bits:?}"));
    }
}

#[test]
fn neighbours_give_the_runtimes_bits() {
    for (seed, size) in (0..).zip([[5, 8], [3, 12], [4, 6]]) {
        let mut random = Random(seed);
        let file = strips(seed, size, |_| random.pick(&[Bits::Eight, Bits::Eight, Bits::Sixteen]));
        let model = Model::parse(file.bytes()).expect("a valid model");
        assert_equal(&model, &mut random, &format!("neighbours on {size:?}"));
    }
}

#[test]
fn signals_give_the_runtimes_bits() {
    for (seed, cols) in (0..).zip([16, 11, 3]) {
        let mut random = Random(seed);
        let mut bits = |_| random.pick(&[Bits::Eight, Bits::Eight, Bits::Sixteen]);
        let file = signals(seed, cols, Some(&mut bits));
        let model = Model::parse(file.bytes()).expect("a valid model");
        assert_equal(&model, &mut random, &format!("signals of {cols}"));
    }
}

#[test]
fn work_cut_among_threads_gives_the_runtimes_bits() {
    for bits in [Bits::Eight, Bits::Sixteen] {
        for file in [large(bits), cut(bits)] {
            let model = Model::parse(file.bytes()).expect("a valid model");
            assert_equal(&model, &mut Random(5), &format!("a large program, {bits:?}"));
        }
        let file = heads(5, [24, 24], &[[2, 8], [1, 24]], Some(&mut |_| bits));
        let model = Model::parse(file.bytes()).expect("a valid model");
        assert_equal(&model, &mut Random(6), &format!("large attentions, {bits:?}"));
    }
}

#[test]
fn trained_networks_give_the_runtimes_bits() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["data/digits8-micro", "../tools/assets/fashion16-tiny"] {
        let checkpoint = import(&root.join(folder)).expect("a bundled checkpoint");
        let mut covered = 0;
        for scheme in [Scheme::F16, Scheme::W8A16, Scheme::W8A8, Scheme::W4A8] {
            let options = Options::of(scheme);
            let converted = convert(&checkpoint, &options, &|_| {}).expect("a convertible checkpoint");
            let memory = AlignedBytes::copy_of(&converted.emitted.bytes);
            let model = Model::parse(memory.bytes()).expect("a converted model");
            let name = format!("{} {scheme}", checkpoint.name);
            for seed in 0..4 {
                assert_equal(&model, &mut Random(seed), &name);
            }
            runs_agree(&model, &name);
            if scheme == Scheme::W8A8 {
                covered = Engine::prepare(&model).coverage().0;
            } else if scheme == Scheme::W4A8 {
                // Weights of 4 bits have the kernels of those of 8.
                assert!(Engine::prepare(&model).coverage().0 * 10 >= covered * 9, "{name}");
            }
            // The input and the first convolution stand twice in this file.
            if name == "fashion16-tiny w8a8" && families().next().is_some() {
                assert_eq!(Engine::prepare(&model).repeats(), 2, "{name}");
            }
        }
    }
}

/// Whole runs of the sampler, with noise and without.
fn runs_agree(model: &Model<'_>, name: &str) {
    let digests = |network: &mut dyn FnMut(&mut Sampler<'_, '_>) -> Option<u64>, eta_q16| {
        let config = Config {
            seed: 11,
            eta_q16,
            ..Config::of(model.header(), 4)
        };
        let mut memory = AlignedBytes::for_run(model, &config);
        let mut arena = Arena::new(memory.bytes_mut()).expect("aligned");
        let mut run = Sampler::new(model, &mut arena, &config, &Start::Seed).expect("a valid configuration");
        std::iter::from_fn(|| network(&mut run)).collect::<Vec<u64>>()
    };
    let step = |run: &mut Sampler<'_, '_>, network: &mut dyn FnMut(&mut Sampler<'_, '_>) -> Option<u64>| network(run);
    for eta_q16 in [0, 1 << 16] {
        let own = digests(
            &mut |run| run.step().expect("a valid run").map(|step| step.digest),
            eta_q16,
        );
        assert_eq!(own.len(), 4);
        for family in Family::ALL {
            let engine = Engine::prepare_for(model, family);
            let mut worker = engine.worker();
            let mut by_worker = |run: &mut Sampler<'_, '_>| {
                let step = run.step_by(&mut worker, &mut Unobserved).expect("a valid run");
                step.map(|step| step.digest)
            };
            assert_eq!(
                digests(&mut |run| step(run, &mut by_worker), eta_q16),
                own,
                "{name}, {family:?}"
            );
        }
    }
}

/// The engine is opt-in: what it lists runs in its kernels somewhere, and everything else in the runtime's own bodies.
#[test]
fn the_engine_runs_what_it_lists_and_the_runtime_all_else() {
    for family in families() {
        let mut own = BTreeSet::new();
        for form in [Form::Mixed, Form::W8A8] {
            let memory = AlignedBytes::copy_of(&everything(form));
            let model = Model::parse(memory.bytes()).expect("a valid model");
            let mut left: Vec<_> = Engine::prepare_for(&model, family).in_runtime().collect();
            for kind in model.ops().map(|op| op.kind()) {
                match left.iter().position(|&other| other == kind) {
                    Some(place) => drop(left.remove(place)),
                    None => drop(own.insert(kind)),
                }
            }
        }
        assert_eq!(own, ACCELERATED.iter().copied().collect(), "{family:?}");
        let memory = AlignedBytes::copy_of(&everything(Form::F16));
        let model = Model::parse(memory.bytes()).expect("a valid model");
        let left: BTreeSet<_> = Engine::prepare_for(&model, family).in_runtime().collect();
        let all: BTreeSet<_> = model.ops().map(|op| op.kind()).collect();
        let own: BTreeSet<_> = all.difference(&left).copied().collect();
        assert_eq!(own, ACCELERATED_F16.iter().copied().collect(), "{family:?}");
    }
}

/// What a worker computed for one timestep, label and condition is not taken for another.
#[test]
fn a_worker_tells_calls_apart_by_timestep_label_and_condition() {
    for form in [Form::W8A8, Form::F16] {
        let file = AlignedBytes::copy_of(&conditioned(form));
        let model = Model::parse(file.bytes()).expect("a valid model");
        let x = vec![1 << 22; model.header().sample_len()];
        let conditions = [condition(&model, 1), condition(&model, 2)];
        let calls = |i: usize| {
            let call = Call::at(&x, [3, 700][i & 1], [0, 1][i >> 1 & 1]);
            match i >> 2 {
                0 => call,
                given => call.with_condition(&conditions[given - 1]),
            }
        };
        let output = |network: &mut dyn FnMut(&Call<'_>, &mut [u8], &mut Outputs), call: Call<'_>| {
            let mut memory = AlignedBytes::zeroed(model.header().arena_bytes as usize);
            let mut outputs = Outputs::default();
            network(&call, memory.bytes_mut(), &mut outputs);
            outputs.0
        };
        let mut portable = |call: &Call<'_>, memory: &mut [u8], to: &mut Outputs| {
            Portable.forward(&model, call, memory, to).expect("a valid call");
        };
        let own: Vec<_> = (0..12).map(|i| output(&mut portable, calls(i))).collect();
        assert!(
            (1..12).all(|i| own[i] != own[0]),
            "{form:?}: every part of a call counts"
        );
        for family in families() {
            let engine = Engine::prepare_for(&model, family);
            let mut worker = engine.worker();
            let mut fast = |call: &Call<'_>, memory: &mut [u8], to: &mut Outputs| {
                worker.forward(&model, call, memory, to).expect("a valid call");
            };
            for i in (0..12).chain((0..12).rev()).chain([5, 5, 0, 7]) {
                assert!(output(&mut fast, calls(i)) == own[i], "{form:?}, {family:?}: call {i}");
            }
        }
    }
}

#[test]
fn a_worker_given_another_model_runs_it_rightly() {
    let files: Vec<_> = (0..2).map(|seed| program(&mut Random(seed), seed)).collect();
    let models: Vec<_> = files
        .iter()
        .map(|file| Model::parse(file.bytes()).expect("a valid model"))
        .collect();
    let engine = Engine::prepare(&models[0]);
    let x = vec![1 << 20; models[1].header().sample_len()];
    let expected = outputs(&models[1], &mut Portable, &x, 3);
    assert_eq!(outputs(&models[1], &mut engine.worker(), &x, 3).0, expected.0);
}
