//! Every kernel family of the firmware against the runtime's portable kernels, bit for bit: each operator's output over random
//! programs (odd channels, every window, concatenations, addends, int4 to int16 weights), as converted and with factors that
//! saturate, vanish and round at random. One board a family; Cortex-M4 and M33 run the same one from different compilations.
//! The page's module, of WebAssembly, is held to the same by the state that a step leaves.
//! Compact firmware has one way for every shape, so that fewer programs see all of it.

#[path = "oracle/builder.rs"]
mod builder;
#[path = "engine/programs.rs"]
#[allow(dead_code)]
mod programs;

use mote_engine::memory::AlignedBytes;
use mote_firmware_sim::Firmware;
use mote_runtime::{Config, Model};
use mote_tests::random::Random;
use mote_tests::synthetic::Form;
use mote_tests::{pointwise, wider};
use mote_tools::backend::{Backend, OpenModel, Sampling, named_board};
use mote_tools::plan::Windows;
use mote_tools::quantize::scheme::Bits;
use mote_tools::report::live::NOT_IN_PAGE;

use programs::{factors_at_random, program_with, signals, strips, thin};

/// Programs for firmware that has a way of its own for many shapes, and for compact firmware.
const PROGRAMS: u64 = 10;
const COMPACT_PROGRAMS: u64 = 3;
/// Rounds of each.
const ROUNDS: usize = 2;
/// Of weights.
const WIDTHS: [Bits; 3] = [Bits::Four, Bits::Eight, Bits::Sixteen];

fn agree(board: &str, firmware: Firmware) {
    agree_on(Backend::Board(named_board(board).expect("a board"), firmware), firmware);
}

fn agree_on(board: Backend, firmware: Firmware) {
    let mut operators = 0;
    let mut rounds = |what: String, mut file: AlignedBytes, mut random: Random| {
        for round in 0..ROUNDS {
            operators += compare(board, &file, &format!("{what}, round {round}"));
            file = factors_at_random(&file, &mut random);
        }
    };
    let programs = match firmware {
        Firmware::Fast => PROGRAMS,
        Firmware::Compact => COMPACT_PROGRAMS,
    };
    for seed in 0..programs {
        let mut random = Random(1000 + seed);
        let file = program_with(&mut random, seed, Windows::all);
        rounds(format!("program {seed}"), file, random);
    }
    let seeds = if firmware == Firmware::Fast { 2 } else { 1 };
    for seed in 0..seeds {
        for form in [Form::W8A16, Form::W8A8] {
            let file = AlignedBytes::copy_of(&wider::model(seed, form));
            rounds(format!("wider {seed}, {form:?}"), file, Random(4000 + seed));
            let file = AlignedBytes::copy_of(&wider::attentions_model(seed, form));
            rounds(format!("attentions {seed}, {form:?}"), file, Random(4500 + seed));
            let file = AlignedBytes::copy_of(&wider::groups_model(seed, form));
            rounds(format!("groups {seed}, {form:?}"), file, Random(4900 + seed));
            let file = AlignedBytes::copy_of(&wider::blocks_model(seed, form));
            rounds(format!("blocks {seed}, {form:?}"), file, Random(4700 + seed));
        }
        for form in [Form::F16, Form::W8A8, Form::Mixed] {
            let file = AlignedBytes::copy_of(&pointwise::model(form, 2 + 5 * seed));
            rounds(format!("pointwise {seed}, {form:?}"), file, Random(5000 + seed));
        }
    }
    let mut random = Random(2002);
    let mixed = thin(2, || random.pick(&WIDTHS[1..]));
    rounds("few taps, mixed".to_owned(), mixed, Random(2003));
    if firmware == Firmware::Fast {
        for (seed, bits) in (0..).zip([Bits::Eight, Bits::Sixteen]) {
            rounds(format!("few taps, {bits:?}"), thin(seed, || bits), Random(2000 + seed));
        }
    }
    for (seed, size) in (0..).zip([[2, 4], [5, 8], [3, 12], [4, 6]]) {
        for (kind, widths) in (0..).zip([&[Bits::Eight], &WIDTHS[..]]) {
            // Compact firmware needs but one with all widths.
            if firmware == Firmware::Compact && (seed, kind) != (0, 1) {
                continue;
            }
            let mut random = Random(3000 + 2 * seed + kind);
            let file = strips(seed, size, |weights| match weights {
                true => random.pick(widths),
                false if random.below(4) > 0 => Bits::Eight,
                false => random.pick(&widths[widths.len() / 2..]),
            });
            rounds(format!("neighbours on {size:?}, {widths:?}"), file, random);
        }
    }
    for (seed, cols) in (0..).zip([16, 11]) {
        if firmware == Firmware::Compact && seed > 0 {
            continue;
        }
        let mut random = Random(4000 + seed);
        let mut bits = |_| random.pick(&[Bits::Eight, Bits::Eight, Bits::Sixteen]);
        let file = signals(seed, cols, Some(&mut bits));
        rounds(format!("signals of {cols}"), file, random);
    }
    assert!(operators > 50, "only {operators} operators were compared");
}

/// One step on the board and here; gives how many operators were compared. The page's module gives the state alone, and is not asked
/// for what it leaves out.
fn compare(board: Backend, file: &AlignedBytes, what: &str) -> usize {
    let model = Model::parse(file.bytes()).expect("a valid model");
    let opened = OpenModel {
        model: &model,
        bytes: file.bytes(),
    };
    let sampling = Sampling {
        operators: true,
        ..Sampling::of_seeds(Config::of(model.header(), 1), [7])
    };
    if board == Backend::Wasm && NOT_IN_PAGE.iter().any(|part| part.needed_by(&model)) {
        return 0;
    }
    let run = |backend: Backend| {
        let traces = backend.run(opened, &sampling, &|| ());
        let mut traces = traces.unwrap_or_else(|error| panic!("{what} on {backend}: {error}"));
        traces.swap_remove(0).steps.swap_remove(0)
    };
    let (mut expected, found) = (run(Backend::Portable), run(board));
    assert_eq!(expected.operators.len(), usize::from(model.header().op_count), "{what}");
    let operators = expected.operators.len();
    if board == Backend::Wasm {
        expected.operators.clear();
    }
    let first = expected
        .operators
        .iter()
        .zip(&found.operators)
        .position(|(a, b)| a != b);
    if let Some(index) = first {
        let op = model.ops().nth(index);
        panic!("{what} on {board}: operator {index} leaves the portable kernels: {op:?}");
    }
    assert_eq!(expected, found, "{what} on {board}");
    operators
}

#[test]
fn armv6m_gives_the_portable_bits() {
    agree("mps2-m0", Firmware::Fast);
}

#[test]
fn armv7m_gives_the_portable_bits() {
    agree("mps2-an385", Firmware::Fast);
}

#[test]
fn dsp_gives_the_portable_bits() {
    agree("mps2-an386", Firmware::Fast);
}

#[test]
fn dsp_of_a_cortex_m33_gives_the_portable_bits() {
    agree("mps2-an505", Firmware::Fast);
}

#[test]
fn helium_gives_the_portable_bits() {
    agree("mps3-an547", Firmware::Fast);
}

/// WebAssembly, in an interpreter.
#[test]
fn simd128_gives_the_portable_bits() {
    agree_on(Backend::Wasm, Firmware::Fast);
}

#[test]
fn portable_code_on_riscv_gives_the_same_bits() {
    agree("virt", Firmware::Fast);
}

#[test]
fn compact_firmware_of_armv6m_gives_the_portable_bits() {
    agree("mps2-m0", Firmware::Compact);
}

#[test]
fn compact_firmware_of_armv7m_gives_the_portable_bits() {
    agree("mps2-an385", Firmware::Compact);
}

#[test]
fn compact_firmware_of_dsp_gives_the_portable_bits() {
    agree("mps2-an386", Firmware::Compact);
}

#[test]
fn compact_firmware_of_helium_gives_the_portable_bits() {
    agree("mps3-an547", Firmware::Compact);
}

#[test]
fn compact_firmware_of_riscv_gives_the_portable_bits() {
    agree("virt", Firmware::Compact);
}
