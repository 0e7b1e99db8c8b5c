//! Two cores on an emulated board: `mps2-an521` has two Cortex-M33, the first of which has no DSP instructions and no unit for floats.

use mote_engine::memory::AlignedBytes;
use mote_firmware_sim::cycles::{Kind, Traced};
use mote_firmware_sim::{Board, Core, Image, ImageOptions, Observe, Parts, RunRequest};
use mote_runtime::{Config, Feature, Model};
use mote_tests::boards::board;
use mote_tests::checkpoints;
use mote_tests::random::Random;
use mote_tools::backend::{Backend, OpenModel, Sampling};
use mote_tools::plan::Windows;
use mote_tools::quantize::scheme::Scheme;

use super::programs::program_with;

/// The machine, with code that both of its cores can run.
fn two_cores() -> Option<&'static Board> {
    let one = board("mps2-an505")?;
    let core = Core {
        name: "two Cortex-M33",
        target: "thumbv8m.main-none-eabi",
        cpu: Some("generic+nodsp"),
        opt_level: one.core.opt_level,
        fpu: false,
        dsp: false,
        footprint: one.core.footprint,
        cycles: one.core.cycles,
    };
    Some(Box::leak(Box::new(Board {
        name: "mps2-an521",
        machine: "mps2-an521",
        core: Box::leak(Box::new(core)),
        ..one.clone()
    })))
}

/// Whether every program is asked for; else the trained networks alone, and a firmware with what these need.
fn every() -> bool {
    std::env::var_os("MOTE_EVERY_CORE").is_some_and(|value| value == "1")
}

/// An image of two cores, or of one with the same code. One compilation serves every program.
fn options(config: Config, paired: bool) -> ImageOptions {
    let parts = if every() {
        let parts = Parts::addressed();
        Parts::of(parts.features().iter().copied().filter(|part| *part != Feature::F16))
    } else {
        use Feature as F;
        Parts::of([
            F::Integer,
            F::W16,
            F::Attention,
            F::Resample,
            F::ScaleShift,
            F::NormConv,
            F::Schedule,
            F::Fast,
        ])
    };
    ImageOptions {
        paired,
        config: Some(config),
        parts: Some(parts),
        ..ImageOptions::default()
    }
}

/// The digests of a model's operators here, and there on two cores.
fn agree(board: &'static Board, what: &str, file: &AlignedBytes) -> usize {
    let model = Model::parse(file.bytes()).expect("the model is valid");
    let config = Config {
        seed: 7,
        ..Config::of(model.header(), 1)
    };
    let opened = OpenModel {
        model: &model,
        bytes: file.bytes(),
    };
    let sampling = Sampling {
        operators: true,
        ..Sampling::of_seeds(config, [7])
    };
    let mut traces = Backend::Portable.run(opened, &sampling, &|| ()).expect("it runs here");
    let expected = traces.swap_remove(0).steps.swap_remove(0);
    let options = options(config, true);
    let request = RunRequest {
        observe: Observe::OpDigests,
        ..RunRequest::new(config, [7])
    };
    let report = Image::link(board, file.bytes(), &options).and_then(|image| image.run(&request));
    let report = report.unwrap_or_else(|error| panic!("{what}: {error}"));
    let digests: Vec<u64> = report.images[0].ops.iter().filter_map(|op| op.digest).collect();
    assert_eq!(digests, expected.operators, "{what}");
    let halves = report.log.iter().find_map(|line| {
        let rest = line.text.strip_prefix("the second core ran ")?;
        rest.split(' ').next()?.parse().ok()
    });
    halves.expect("the second core is spoken of")
}

#[test]
fn two_cores_of_a_board_have_the_bits_of_one() {
    let Some(board) = two_cores() else { return };
    let mut halves = 0;
    for seed in 0..if every() { 4 } else { 0 } {
        let windows = if seed % 2 == 0 { Windows::all } else { Windows::none };
        let file = program_with(&mut Random(7300 + seed), seed, windows);
        halves += agree(board, &format!("program {seed}"), &file);
    }
    for path in [checkpoints::digits(), checkpoints::fashion()] {
        let file = AlignedBytes::copy_of(&checkpoints::converted(&path, Scheme::W8A8).emitted.bytes);
        let of_network = agree(board, &path.display().to_string(), &file);
        assert!(of_network > 10, "{of_network} halves");
        halves += of_network;
    }
    assert!(halves > 40, "{halves} halves ran on the second core");
}

/// How many times as quick two cores are, by the timing model, where `MOTE_TWO_CORES=1` asks for it: 100 million instructions are traced.
#[test]
fn two_cores_are_nearly_twice_as_quick() {
    if std::env::var_os("MOTE_TWO_CORES").is_none_or(|value| value != "1") {
        return;
    }
    let Some(board) = two_cores() else { return };
    for path in [checkpoints::digits(), checkpoints::fashion()] {
        let file = AlignedBytes::copy_of(&checkpoints::converted(&path, Scheme::W8A8).emitted.bytes);
        let model = Model::parse(file.bytes()).expect("the model is valid");
        let step = |paired: bool| {
            let [one, two] = [1, 2].map(|steps| {
                let config = Config::of(model.header(), steps);
                let image = Image::link(board, file.bytes(), &options(config, paired)).expect("it fits");
                let request = RunRequest {
                    limit: std::time::Duration::from_secs(1800),
                    ..RunRequest::new(config, [7])
                };
                let traced = image.trace(&request, Kind::M33).expect("it runs");
                traced.expect("the log is whole")
            });
            let all = |of: fn(&Traced) -> [f64; 2]| [0, 1].map(|end| of(&two)[end] - of(&one)[end]);
            println!(
                "{paired}: {} instructions, {:?} cycles",
                two.instructions - one.instructions,
                all(|t| t.cycles)
            );
            all(|traced| traced.together)
        };
        let (single, both) = (step(false), step(true));
        let times = [single[0] / both[0], single[1] / both[1]];
        println!(
            "{}: {single:.0?} cycles of one core, {both:.0?} of two: {times:.3?} times",
            path.display()
        );
        assert!(times[0].min(times[1]) > 1.6, "{times:?}");
    }
}
