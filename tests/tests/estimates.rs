//! Estimated instructions, held to what the firmware counts.
//!
//! The costs of `tools/assets/costs.json` are measured and fitted anew, after a kernel has changed, with
//!
//! ```text
//! MOTE_UPDATE_ESTIMATES=1 cargo test --release -p mote-tests --test estimates
//! ```

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use mote_engine::memory::AlignedBytes;
use mote_firmware_sim::cycles::Kind;
use mote_firmware_sim::{Board, Image, ImageOptions, Observe, Parts, RunRequest, SimError};
use mote_runtime::{Config, Model};
use mote_tests::boards::board;
use mote_tests::checkpoints::{converted, digits, fashion};
use mote_tests::fit::{Point, fit};
use mote_tests::synthetic::{self, Form};
use mote_tests::wider;
use mote_tools::estimate::{Instructions, Work};
use mote_tools::kernels::calibration;
use mote_tools::quantize::scheme::Scheme;

/// A board of each core that costs are fitted for.
const FITTED: [&str; 6] = [
    "mps2-m0",
    "mps2-an385",
    "mps2-an386",
    "mps2-an505",
    "mps3-an547",
    "virt",
];
/// Boards on which estimates are held.
const HELD: [&str; 4] = ["mps2-m0", "mps2-an386", "mps2-an505", "virt"];
/// Relative error of a step's instructions.
const ALLOWED: f64 = 0.10;

/// Instructions of a step, and of each of its operators; `None` where the model does not fit the board.
fn counted(board: &'static Board, bytes: &[u8]) -> Option<(u64, Vec<u64>)> {
    let memory = AlignedBytes::copy_of(bytes);
    let model = Model::parse(memory.bytes()).expect("the model is valid");
    let options = ImageOptions {
        parts: Some(Parts::addressed()),
        state: synthetic::condition(&model, 1),
        ..ImageOptions::default()
    };
    let image = match Image::link(board, bytes, &options) {
        Err(SimError::DoesNotFit { .. }) => return None,
        linked => linked.unwrap_or_else(|error| panic!("{error}")),
    };
    let config = Config::of(model.header(), 1);
    let run = |observe| {
        let request = RunRequest {
            observe,
            limit: Duration::from_secs(300),
            ..RunRequest::new(config, [1])
        };
        image.run(&request).unwrap_or_else(|error| panic!("{error}"))
    };
    let (whole, each) = (run(Observe::Steps), run(Observe::OpInstructions));
    let step = whole.images[0].steps[0].instructions.expect("steps are timed");
    let count = |op: &mote_firmware_sim::OpRecord| op.instructions.expect("operators are timed");
    Some((step, each.images[0].ops.iter().map(count).collect()))
}

/// The trained networks that costs are fitted to.
fn networks(board: &Board) -> Vec<Vec<u8>> {
    let mut networks = Vec::new();
    for path in [digits(), fashion()] {
        for scheme in [Scheme::W8A8, Scheme::W8A16, Scheme::W4A8, Scheme::W16A16, Scheme::F16] {
            // Without a unit for floats an f16 model takes minutes.
            if scheme != Scheme::F16 || board.core.fpu {
                networks.push(converted(&path, scheme).emitted.bytes);
            }
        }
    }
    networks
}

/// What a step of a trained network weighs, in operators.
const STEP_WEIGHT: usize = 30;

/// Everything else that costs are fitted to: operators of standard shapes, and the test programs with every operator.
fn models() -> Vec<Vec<u8>> {
    let mut models = calibration().unwrap_or_else(|error| panic!("{error}"));
    for form in Form::ALL {
        models.push(synthetic::model(form));
        models.push(wider::model(1, form));
        models.push(wider::windows_model(1, form));
    }
    models
}

fn points(board: &'static Board) -> Vec<Point> {
    let mut points = Vec::new();
    let trained = networks(board);
    let first = trained.len();
    for (index, bytes) in trained.into_iter().chain(models()).enumerate() {
        let Some((step, operators)) = counted(board, &bytes) else {
            continue;
        };
        let memory = AlignedBytes::copy_of(&bytes);
        let model = Model::parse(memory.bytes()).expect("the model is valid");
        let works = Work::of_operators(&model);
        assert_eq!(works.len(), operators.len());
        let outside = step.saturating_sub(operators.iter().sum());
        let works = works.into_iter().chain([Work::of_sampler(&model)]);
        if index < first {
            let mut whole: BTreeMap<String, f64> = BTreeMap::new();
            for (name, amount) in works.clone().flat_map(|work| work.0) {
                *whole.entry(name).or_default() += amount;
            }
            let whole = Point {
                amounts: whole,
                count: step as f64,
            };
            points.extend(std::iter::repeat_n(whole, STEP_WEIGHT));
        }
        points.extend(
            works
                .zip(operators.into_iter().chain([outside]))
                .map(|(work, count)| Point {
                    amounts: work.0,
                    count: count as f64,
                }),
        );
    }
    points
}

fn update() {
    let mut table: BTreeMap<&str, BTreeMap<String, f64>> = BTreeMap::new();
    for name in FITTED {
        let Some(board) = board(name) else { continue };
        let points = points(board);
        if let Some(path) = std::env::var_os("MOTE_ESTIMATE_POINTS") {
            let rows: Vec<_> = points.iter().map(|p| serde_json::json!([p.amounts, p.count])).collect();
            let path = Path::new(&path).join(format!("{name}.json"));
            std::fs::write(path, serde_json::to_string(&rows).expect("plain values")).expect("it is written");
        }
        table.insert(board.core.name, fit(&points));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/assets/costs.json");
    let text = serde_json::to_string_pretty(&table).expect("plain values") + "\n";
    std::fs::write(path, text).expect("the file can be written");
}

/// As long as the costs are those of the file, which were fitted to counts of single operators and of these networks' own.
#[test]
fn steps_are_estimated_within_a_tenth() {
    if std::env::var_os("MOTE_UPDATE_ESTIMATES").is_some() {
        return update();
    }
    let mut complaints = Vec::new();
    for (name, path) in [("digits8-micro", digits()), ("fashion16-tiny", fashion())] {
        for scheme in [Scheme::W8A8, Scheme::W8A16, Scheme::W4A8, Scheme::F16] {
            let bytes = converted(&path, scheme).emitted.bytes;
            let memory = AlignedBytes::copy_of(&bytes);
            let model = Model::parse(memory.bytes()).expect("the model is valid");
            let config = Config::of(model.header(), 1);
            // Without a unit for floats an f16 model takes minutes.
            let held = HELD.into_iter().filter_map(board);
            for board in held.filter(|board| scheme != Scheme::F16 || board.core.fpu) {
                let estimated = Instructions::of(&model, board.core, &config);
                let Some((step, operators)) = counted(board, &bytes) else {
                    continue;
                };
                let error = estimated.step as f64 / step as f64 - 1.0;
                println!(
                    "{name} {scheme} on {}: {step} counted, {:+.1} %",
                    board.core.name,
                    100.0 * error
                );
                if std::env::var_os("MOTE_ESTIMATE_OPERATORS").is_some() {
                    let rows = mote_tools::report::OperatorRow::all(&model);
                    for ((row, counted), estimated) in rows.iter().zip(operators).zip(&estimated.operators) {
                        println!("  {} {}: {counted} counted, {estimated} estimated", row.kind, row.name);
                    }
                }
                if error.abs() > ALLOWED {
                    complaints.push(format!(
                        "{name} {scheme} on {}: {step} counted, {} estimated; unmeasured: {}",
                        board.core.name,
                        estimated.step,
                        estimated.unmeasured.join(", ")
                    ));
                }
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// Every instruction of a step goes through the timing model of its core: as many as the core's clock counts, and the log's.
#[test]
fn a_trace_has_the_instructions_that_the_clock_counts() {
    if std::env::var_os("MOTE_UPDATE_ESTIMATES").is_some() {
        return;
    }
    let bytes = synthetic::model(Form::W8A8);
    for name in HELD {
        let Some(board) = board(name) else { continue };
        let memory = AlignedBytes::copy_of(&bytes);
        let model = Model::parse(memory.bytes()).expect("the model is valid");
        let (step, _) = counted(board, &bytes).expect("it fits");
        let options = ImageOptions {
            parts: Some(Parts::addressed()),
            state: synthetic::condition(&model, 1),
            ..ImageOptions::default()
        };
        let image = Image::link(board, &bytes, &options).unwrap_or_else(|error| panic!("{error}"));
        let kind = Kind::of(board.core).expect("the core has a timing model");
        let [one, two] = [1, 2].map(|steps| {
            let request = RunRequest::new(Config::of(model.header(), steps), [1]);
            let traced = image.trace(&request, kind).unwrap_or_else(|error| panic!("{error}"));
            traced.expect("the log is whole")
        });
        let instructions = two.instructions - one.instructions;
        let cycles = [0, 1].map(|end| (two.cycles[end] - one.cycles[end]) / instructions as f64);
        println!(
            "{}: {step} counted, {instructions} traced, {cycles:.3?} cycles each",
            board.core.name
        );
        let logged = instructions as i64 - step as i64;
        assert!(
            (0..20_000).contains(&logged),
            "{name}: {step} counted, {instructions} traced"
        );
        let [least, most] = board.core.cycles.integer;
        assert!(cycles[0] > 0.8 * least && cycles[1] < 1.2 * most, "{name}: {cycles:?}");
        assert!(cycles[0] <= cycles[1]);
    }
}

/// The ranges of `Core::cycles`: steps of the trained networks on each core, where `MOTE_TRACE_NETWORKS=1` asks for them.
#[test]
fn networks_are_traced_where_it_is_asked_for() {
    if std::env::var_os("MOTE_TRACE_NETWORKS").is_none_or(|value| value != "1") {
        return;
    }
    for (what, path) in [("digits8-micro", digits()), ("fashion16-tiny", fashion())] {
        for scheme in [Scheme::W8A8, Scheme::W8A16, Scheme::F16] {
            let bytes = converted(&path, scheme).emitted.bytes;
            let memory = AlignedBytes::copy_of(&bytes);
            let model = Model::parse(memory.bytes()).expect("the model is valid");
            for board in FITTED.into_iter().filter_map(board) {
                // Minutes elsewhere.
                if scheme == Scheme::F16 && !board.core.fpu
                    || what == "fashion16-tiny" && board.core.name != "Cortex-M4F"
                {
                    continue;
                }
                let cores = mote_firmware_sim::cores()
                    .iter()
                    .filter(|core| core.runs_code_of(board.core));
                for core in cores {
                    let Some(kind) = Kind::of(core) else { continue };
                    let options = ImageOptions {
                        parts: Some(Parts::addressed()),
                        ..ImageOptions::default()
                    };
                    let image = Image::link(board, &bytes, &options).unwrap_or_else(|error| panic!("{error}"));
                    let [one, two] = [1, 2].map(|steps| {
                        let request = RunRequest {
                            limit: Duration::from_secs(3600),
                            ..RunRequest::new(Config::of(model.header(), steps), [1])
                        };
                        image.trace(&request, kind).expect("it runs").expect("the log is whole")
                    });
                    let count = (two.instructions - one.instructions) as f64;
                    let each = [0, 1].map(|end| (two.cycles[end] - one.cycles[end]) / count);
                    println!(
                        "{what} {scheme} on a {}: {count} instructions, {each:.3?} cycles each",
                        core.name
                    );
                }
            }
        }
    }
}
