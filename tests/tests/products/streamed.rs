//! Weights that are read in blocks: the bits of a model that is addressed whole, or an error.

use mote_engine::memory::AlignedBytes;
use mote_runtime::internals::digest::Digest;
use mote_runtime::internals::model::streamed::weights_of;
use mote_runtime::internals::ops::Op;
use mote_runtime::internals::tensor::view::View;
use mote_runtime::{
    Arena, Blocking, Config, Model, Observer, ParseError, Portable, ReadFailed, RunError, Sampler, Start, Step,
    Streamed, Unobserved, WeightReader, stream_bytes,
};
use mote_tests::random::Random;
use mote_tests::running::finish;
use mote_tests::synthetic::{self, Form};
use mote_tests::{chains, checkpoints, pointwise, wider};
use mote_tools::emit::split::{Split, copy, split};
use mote_tools::estimate::Streaming;
use mote_tools::plan::Windows;
use mote_tools::quantize::scheme::Scheme;
use mote_tools::target::{Described, Target};

use super::programs::{floats, program_with};
use super::{configs, guided};

#[path = "../../../runtime/examples/external.rs"]
mod external;

/// A reader as one with a DMA is: until it is done, whatever is in the block.
#[derive(Debug)]
struct Dma<'w> {
    weights: &'w [u8],
    random: Random,
    /// Transfers and bytes.
    counts: [u64; 2],
    /// Transfers that are left before one fails.
    left: u64,
    /// Whether it forgets what is to be done meanwhile.
    forgets: bool,
}

impl<'w> Dma<'w> {
    fn new(weights: &'w [u8]) -> Self {
        Self {
            weights,
            random: Random(5),
            counts: [0; 2],
            left: u64::MAX,
            forgets: false,
        }
    }
}

impl WeightReader for Dma<'_> {
    fn read(&mut self, at: u32, into: &mut [u8], meanwhile: impl FnOnce()) -> Result<(), ReadFailed> {
        self.counts = [self.counts[0] + 1, self.counts[1] + into.len() as u64];
        assert!(at.is_multiple_of(2) && into.len().is_multiple_of(2));
        into.fill_with(|| self.random.bits() as u8);
        if !self.forgets {
            meanwhile();
        }
        into.fill_with(|| self.random.bits() as u8);
        self.left = self.left.checked_sub(1).ok_or(ReadFailed)?;
        copy(self.weights, at, into)
    }
}

/// The digests of an operator's outputs.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outputs(Vec<(u16, u64)>, Vec<u16>);

impl Observer for Outputs {
    fn before(&mut self, index: u16, _: &Op) {
        self.1.push(index);
    }

    fn after(&mut self, index: u16, _: &Op, output: &View<'_>) {
        let digest = Digest::of((0..output.len()).map(|i| output.get(i)));
        self.0.push((index, digest.0));
    }
}

impl mote_runtime::internals::sampler::StepObserver for Outputs {}

/// A run of a model that was cut: its steps, and what was read.
fn streamed(cut: &Split, config: &Config, given: &[i32], bytes: usize) -> (Vec<Step>, Outputs, [u64; 2]) {
    let memory = AlignedBytes::copy_of(&cut.model);
    let model = Model::parse_apart(memory.bytes()).expect("it is what was cut");
    let mut buffers = AlignedBytes::zeroed(bytes);
    let mut buffers = Arena::new(buffers.bytes_mut()).expect("it is aligned");
    let mut network = Streamed::new(&model, Dma::new(&cut.weights), &mut buffers).expect("the weights are the model's");
    network.reader_mut().counts = [0; 2];
    let mut arena = AlignedBytes::for_run(&model, config);
    let mut arena = Arena::new(arena.bytes_mut()).expect("it is aligned");
    let mut run = Sampler::new(&model, &mut arena, config, &Start::Seed).expect("the run is valid");
    if !given.is_empty() {
        run.condition(given).expect("it has the model's length");
    }
    let (mut steps, mut outputs) = (Vec::new(), Outputs::default());
    while let Some(step) = run.step_by(&mut network, &mut outputs).expect("it runs") {
        steps.push(step);
    }
    (steps, outputs, network.into_reader().counts)
}

/// Compares every operator's output in buffers of several sizes; gives the fewest and the most transfers.
fn agrees(file: &[u8], config: impl Fn(&Model<'_>) -> Config, what: &str) -> [u64; 2] {
    let memory = AlignedBytes::copy_of(file);
    let model = Model::parse(memory.bytes()).expect("the model is valid");
    let (config, cut) = (config(&model), split(file).expect("it can be cut"));
    let given = match model.condition_len() {
        0 => vec![],
        _ => synthetic::condition(&model, 3),
    };
    let mut arena = AlignedBytes::for_run(&model, &config);
    let mut arena = Arena::new(arena.bytes_mut()).expect("it is aligned");
    let mut run = Sampler::new(&model, &mut arena, &config, &Start::Seed).expect("the run is valid");
    if !given.is_empty() {
        run.condition(&given).expect("it has the model's length");
    }
    let (mut steps, mut outputs) = (Vec::new(), Outputs::default());
    while let Some(step) = run.step_by(&mut Portable, &mut outputs).expect("it runs") {
        steps.push(step);
    }
    let mut transfers = [u64::MAX, 0];
    for channels in [1, 3, 4, 10, usize::MAX] {
        let bytes = stream_bytes(&model, channels);
        let found = streamed(&cut, &config, &given, bytes);
        assert_eq!(found.0, steps, "{what}, {channels} channels a block");
        assert_eq!(found.1, outputs, "{what}, {channels} channels a block");
        transfers = [transfers[0].min(found.2[0]), transfers[1].max(found.2[0])];
    }
    transfers
}

#[test]
fn every_form_and_sampler_has_the_bits_of_addressed_weights() {
    for form in Form::ALL {
        let file = synthetic::model(form);
        let memory = AlignedBytes::copy_of(&file);
        let model = Model::parse(memory.bytes()).expect("the model is valid");
        for config in configs(&model) {
            let [fewest, most] = agrees(&file, |_| config, "synthetic");
            assert!(
                form != Form::F16 || fewest == most,
                "networks in f16 are read operator by operator"
            );
        }
    }
}

#[test]
fn random_programs_have_the_bits_of_addressed_weights() {
    let one = |model: &Model<'_>| Config::of(model.header(), 1);
    let mut cut = 0;
    for seed in 0..16 {
        let windows = if seed % 2 == 0 { Windows::all } else { Windows::none };
        let file = program_with(&mut Random(9000 + seed), seed, windows);
        let [fewest, most] = agrees(file.bytes(), one, &format!("program {seed}"));
        cut += u32::from(most > 2 * fewest);
    }
    assert!(cut > 8, "{cut} programs are read in many blocks");
    agrees(floats(&mut Random(3), 3).bytes(), one, "floats");
    for form in [Form::W8A8, Form::F16] {
        agrees(&wider::model(1, form), one, "wider");
        agrees(&wider::attentions_model(1, form), one, "attentions");
        agrees(&wider::windows_model(1, form), one, "windows");
        agrees(&pointwise::model(form, 2), one, "pointwise");
        agrees(&synthetic::conditioned(form), one, "conditioned");
    }
    for (name, file) in [Scheme::W8A16, Scheme::F16].into_iter().flat_map(chains::all) {
        let all = |model: &Model<'_>| Config::of(model.header(), model.header().train_steps);
        agrees(&file, all, name);
    }
}

#[test]
fn trained_networks_have_the_bits_of_addressed_weights() {
    for checkpoint in [checkpoints::digits(), checkpoints::fashion()] {
        let file = checkpoints::converted(&checkpoint, Scheme::W8A8).emitted.bytes;
        agrees(
            &file,
            |model| Config::of(model.header(), 2),
            &format!("{}", checkpoint.display()),
        );
    }
}

#[test]
fn each_weight_is_read_once_a_call() {
    let file = checkpoints::converted(&checkpoints::digits(), Scheme::W8A8)
        .emitted
        .bytes;
    let memory = AlignedBytes::copy_of(&file);
    let model = Model::parse(memory.bytes()).expect("the model is valid");
    let rows: usize = model
        .ops()
        .filter_map(|op| weights_of(&model, &op))
        .map(|range| range.len())
        .sum();
    let cut = split(&file).expect("it can be cut");
    for channels in [1, 8, 16] {
        let found = streamed(
            &cut,
            &Config::of(model.header(), 3),
            &[],
            stream_bytes(&model, channels),
        );
        assert_eq!(found.2[1], 3 * rows as u64, "{channels} channels");
    }
    // What is read at once is half the memory, or less.
    assert!(stream_bytes(&model, usize::MAX) < file.len());
    assert!(cut.model.len() + cut.weights.len() < file.len() + 1024);
}

#[test]
fn a_step_whose_reader_fails_can_be_run_again() {
    let file = synthetic::model(Form::W8A8);
    let cut = split(&file).expect("it can be cut");
    let memory = AlignedBytes::copy_of(&cut.model);
    let model = Model::parse_apart(memory.bytes()).expect("it is what was cut");
    let whole = AlignedBytes::copy_of(&file);
    let config = guided(&model);
    let expected = finish(
        &Model::parse(whole.bytes()).expect("it is valid"),
        &config,
        &Start::Seed,
    )
    .expect("it runs");
    let mut buffers = AlignedBytes::zeroed(stream_bytes(&model, 2));
    let mut buffers = Arena::new(buffers.bytes_mut()).expect("it is aligned");
    let mut network = Streamed::new(&model, Dma::new(&cut.weights), &mut buffers).expect("the weights are the model's");
    let mut arena = AlignedBytes::for_run(&model, &config);
    let mut arena = Arena::new(arena.bytes_mut()).expect("it is aligned");
    let mut run = Sampler::new(&model, &mut arena, &config, &Start::Seed).expect("the run is valid");
    let (mut steps, mut failures) = (Vec::new(), 0);
    for left in 0.. {
        network.reader_mut().left = left;
        match run.step_by(&mut network, &mut Unobserved) {
            Ok(Some(step)) => steps.push(step),
            Ok(None) => break,
            Err(RunError::Unread { at }) => {
                assert!((at as usize) < cut.weights.len());
                failures += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(steps, expected.steps);
    assert!(failures > 20, "{failures} failures");
    // One that forgets its other work does it late.
    network.reader_mut().left = u64::MAX;
    network.reader_mut().forgets = true;
    let mut arena = AlignedBytes::for_run(&model, &config);
    let mut arena = Arena::new(arena.bytes_mut()).expect("it is aligned");
    let mut run = Sampler::new(&model, &mut arena, &config, &Start::Seed).expect("the run is valid");
    assert_eq!(run.step_by(&mut network, &mut Unobserved), Ok(Some(expected.steps[0])));
}

#[test]
fn other_weights_are_refused() {
    let mut flaws = 0;
    for form in [Form::W8A8, Form::Mixed, Form::W4A8, Form::F16] {
        let cut = split(&synthetic::model(form)).expect("it can be cut");
        let memory = AlignedBytes::copy_of(&cut.model);
        let model = Model::parse_apart(memory.bytes()).expect("it is what was cut");
        let open = |weights: &[u8], bytes: usize| {
            let mut buffers = AlignedBytes::zeroed(bytes);
            let mut buffers = Arena::new(buffers.bytes_mut()).expect("it is aligned");
            let reader = Blocking(|at, into: &mut [u8]| copy(weights, at, into));
            Streamed::new(&model, reader, &mut buffers).map(|_| ())
        };
        let least = stream_bytes(&model, 1);
        assert_eq!(open(&cut.weights, least), Ok(()));
        for at in (0..cut.weights.len()).step_by(41) {
            let mut other = cut.weights.clone();
            other[at] ^= 1 << (at % 8);
            assert_eq!(open(&other, least), Err(RunError::OtherWeights), "byte {at}");
            flaws += 1;
        }
        let short = &cut.weights[..cut.weights.len() - 16];
        assert!(matches!(open(short, least), Err(RunError::Unread { .. })));
        let (needed, found) = (least as u32, least as u32 - 1);
        assert_eq!(
            open(&cut.weights, least - 1),
            Err(RunError::ArenaTooSmall { needed, found })
        );
    }
    assert!(flaws > 100, "{flaws} flaws");
}

#[test]
fn files_and_networks_that_do_not_belong_together_are_refused() {
    let file = synthetic::model(Form::W8A8);
    let cut = split(&file).expect("it can be cut");
    let (whole, part) = (AlignedBytes::copy_of(&file), AlignedBytes::copy_of(&cut.model));
    assert_eq!(Model::parse(part.bytes()).err(), Some(ParseError::Apart));
    assert_eq!(
        Model::parse_apart(whole.bytes()).err(),
        Some(ParseError::Header("packing"))
    );
    let model = Model::parse_apart(part.bytes()).expect("it is what was cut");
    let config = guided(&model);
    assert_eq!(finish(&model, &config, &Start::Seed).err(), Some(RunError::Apart));
    let mut buffers = AlignedBytes::zeroed(stream_bytes(&model, 1));
    let mut buffers = Arena::new(buffers.bytes_mut()).expect("it is aligned");
    let whole = Model::parse(whole.bytes()).expect("the model is valid");
    assert!(matches!(
        Streamed::new(&whole, Dma::new(&[]), &mut buffers),
        Err(RunError::Apart)
    ));
    let mut network = Streamed::new(&model, Dma::new(&cut.weights), &mut buffers).expect("the weights are the model's");
    let mut arena = AlignedBytes::for_run(&whole, &config);
    let mut arena = Arena::new(arena.bytes_mut()).expect("it is aligned");
    let mut run = Sampler::new(&whole, &mut arena, &config, &Start::Seed).expect("the run is valid");
    assert_eq!(run.step_by(&mut network, &mut Unobserved), Err(RunError::Apart));
}

#[test]
fn weights_of_a_file_make_the_image_of_the_whole_model() {
    let file = synthetic::model(Form::W8A16);
    let cut = split(&file).expect("it can be cut");
    let folder = std::env::temp_dir().join(format!("mote-external-{}", std::process::id()));
    std::fs::write(&folder, &cut.weights).expect("it can be written");
    let memory = AlignedBytes::copy_of(&cut.model);
    let model = Model::parse_apart(memory.bytes()).expect("it is what was cut");
    let card = external::Card(std::fs::File::open(&folder).expect("it is there"));
    let drawn = external::draw(model, card, 3, 4).expect("it is drawn");
    std::fs::remove_file(&folder).expect("it is there");
    let whole = AlignedBytes::copy_of(&file);
    let whole = Model::parse(whole.bytes()).expect("the model is valid");
    let config = Config {
        seed: 3,
        class: Some(0),
        ..Config::of(whole.header(), 4)
    };
    let expected = finish(&whole, &config, &Start::Seed).expect("it runs");
    assert_eq!(Some(drawn), expected.steps.last().map(|step| step.digest));
}

/// On a Cortex-M4F of 168 MHz and one of 64 MHz with a reader of 20 MB/s. With slower readers it is between the longer of the two and their sum.
#[test]
fn a_streamed_step_takes_little_more_than_the_longer_of_core_and_reader() {
    let file = checkpoints::converted(&checkpoints::fashion(), Scheme::W8A8)
        .emitted
        .bytes;
    let memory = AlignedBytes::copy_of(&file);
    let model = Model::parse(memory.bytes()).expect("the model is valid");
    for board in ["stm32f405rg", "nrf52840"] {
        let target = Target::asked(Some(board), &Described::default())
            .expect("it is known")
            .expect("it is asked for");
        for (channels, most) in [(4, 1.2), (8, 1.1), (16, 1.05)] {
            let step = Streaming::of(&target, &model, channels, 20e6);
            let over = step.over_longer.expect("its clock is known");
            println!("{board}, {channels} channels: {step:?}");
            assert!((1.0..=most).contains(&over), "{board}, {channels} channels: {over}");
            for speed in [2e6, 5e5] {
                let step = Streaming::of(&target, &model, channels, speed);
                let (addressed, ms) = step.addressed_ms.zip(step.ms_per_step).expect("its clock is known");
                let own = step.instructions as f64 / step.addressed_instructions as f64;
                let sum = addressed[1] * own + step.transfer_ms;
                assert!(
                    (addressed[1].max(step.transfer_ms)..=sum).contains(&ms[1]),
                    "{board} at {speed}: {step:?}"
                );
            }
        }
    }
}
