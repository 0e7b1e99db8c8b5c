//! Codes that no command can meet, each with the reason and with an error that has it. An error's message and advice are what a program
//! that uses the library, the firmware's log, or a damaged machine would show.

use mote_cuda::CudaError;
use mote_firmware_sim::{Memory, SimError};
use mote_graph::float::FloatError;
use mote_graph::graph::GraphError;
use mote_graph::predictor::PredictorError;
use mote_graph::schedule::ScheduleError;
use mote_graph::sde::rk45::SolveError;
use mote_oracle::OracleError;
use mote_runtime::internals::error::Fault;
use mote_runtime::internals::features::Feature;
use mote_runtime::{ParseError, RunError};
use mote_tools::backend::BackendError;
use mote_tools::code::Coded;
use mote_tools::convert::ConvertError;
use mote_tools::emit::EmitError;
use mote_tools::emit::split::SplitError;
use mote_tools::images::{Picture, encode};
use mote_tools::import::ImportError;
use mote_tools::lower::LowerError;
use mote_tools::train::run::RunError as TrainError;
use mote_tools::validate::DistributionError;
use mote_tools::{Error, ErrorKind, Scheme};

/// An error, its code, why no command meets it, and words of its message and advice.
type Row = (Error, u16, &'static str, &'static [&'static str]);

pub fn errors() -> Vec<Row> {
    [
        machine(),
        files(),
        runs(),
        devices(),
        processors(),
        oracle(),
        graphs(),
        schedules(),
        stages(),
    ]
    .concat()
}

fn failed(error: impl Coded + std::fmt::Display) -> Error {
    Error::coded(ErrorKind::Failed, error)
}

const MACHINE: &str = "it depends on what is installed on the machine";

fn machine() -> Vec<Row> {
    let gone = BackendError::Unavailable {
        name: "cuda".into(),
        what: "there is no GPU".into(),
        how: "install NVIDIA's driver 580 or later".into(),
    };
    vec![
        (
            Error::of(ErrorKind::Unavailable, "no simulated board can run here")
                .help("`mote boards` says what is missing"),
            1005,
            MACHINE,
            &["no simulated board", "mote boards"],
        ),
        (
            gone.into(),
            1601,
            MACHINE,
            &["cuda cannot run here", "no GPU", "driver 580"],
        ),
        (
            BackendError::NotInPage(Feature::Heun).into(),
            1602,
            "the backend `wasm` is not in every build",
            &["'heun'", "module of the page", "another backend"],
        ),
        (
            BackendError::Page("status 3".into()).into(),
            1603,
            "the module runs whatever the runtime runs",
            &["module of the page", "status 3", "report it"],
        ),
    ]
}

const HOST: &str = "the command is built with every part of the runtime";
const API: &str = "the command always gives what the runtime asks for";
const NO_FAULT: &str = "no record of a tensor has this fault, which has a number since operators have it";

fn files() -> Vec<Row> {
    let mut rows: Vec<Row> = vec![
        (
            ParseError::Misaligned(16).into(),
            100,
            "the command aligns every file that it opens",
            &["multiple of 16 bytes", "Aligned", "docs/firmware.md"],
        ),
        (
            ParseError::NotBuilt(Feature::F16).into(),
            110,
            HOST,
            &["feature 'f16'", "without which this runtime was built", "mote inspect"],
        ),
        (
            ParseError::Op {
                op: 3,
                fault: Fault::ZeroPoint,
            }
            .into(),
            304,
            "attention alone has it, in models of which no small checkpoint is in the tests of the command",
            &["operator 3", "a zero point is set", "copy the file again"],
        ),
        (
            ParseError::Op {
                op: 3,
                fault: Fault::NotBuilt(Feature::Attention),
            }
            .into(),
            314,
            HOST,
            &["operator 3", "feature 'attention'", "Build with the feature"],
        ),
    ];
    let of_tensors: [(Fault, u16, &'static [&'static str]); 8] = [
        (Fault::UnknownTensor(7), 201, &["tensor 3", "tensor 7"]),
        (Fault::Dtype, 203, &["tensor 3", "number format"]),
        (Fault::Parameter, 209, &["tensor 3", "parameter"]),
        (Fault::Requant, 210, &["tensor 3", "multiplier or shift"]),
        (Fault::Accumulator(7), 211, &["tensor 3", "output channel 7"]),
        (Fault::NotFinite(7), 212, &["tensor 3", "weight 7"]),
        (Fault::Padding(7), 213, &["tensor 3", "output channel 7"]),
        (Fault::NotBuilt(Feature::F16), 214, &["tensor 3", "feature 'f16'"]),
    ];
    rows.extend(of_tensors.map(|(fault, code, words)| {
        let error: Error = ParseError::Tensor { tensor: 3, fault }.into();
        (error, code, NO_FAULT, words)
    }));
    rows
}

fn runs() -> Vec<Row> {
    let usage = "the command refuses the option by its own name before a run is made";
    let snapshot = "the command saves no runs: firmware and programs do";
    let streamed = "the command opens no model whose weights lie elsewhere: firmware does";
    let rows: [(RunError, u16, &'static str, &'static [&'static str]); 18] = [
        (
            RunError::ArenaTooSmall { needed: 9, found: 3 },
            400,
            API,
            &["3 bytes, 9 are needed", "arena_bytes"],
        ),
        (
            RunError::ArenaMisaligned(16),
            401,
            API,
            &["multiple of 16 bytes", "Align it"],
        ),
        (
            RunError::Eta(65537),
            409,
            usage,
            &["65537/65536", "between 0 and 1", "--eta"],
        ),
        (
            RunError::EtaElsewhere,
            410,
            usage,
            &["eta is DDIM's alone", "--sampler ddim"],
        ),
        (
            RunError::NotBuilt(Feature::Heun),
            412,
            HOST,
            &["'heun'", "another sampler"],
        ),
        (
            RunError::ClipRange,
            413,
            "a model file's range is checked when it is opened, and the command gives no other",
            &["clipping range", "between 0 and 64", "in this range"],
        ),
        (
            RunError::Strength(65537),
            414,
            usage,
            &["65537/65536", "`--strength` from 0 to 1"],
        ),
        (RunError::Part(65537), 415, API, &["65537/65536", "between 0 and 1"]),
        (
            RunError::Length { expected: 64, found: 3 },
            419,
            "the command compares shapes before, with the file's name",
            &["3 elements given", "has 64", "mote inspect"],
        ),
        (
            RunError::Snapshot,
            420,
            snapshot,
            &["snapshot is damaged", "another model"],
        ),
        (
            RunError::SnapshotVersion,
            421,
            snapshot,
            &["earlier version", "run again"],
        ),
        (RunError::KnownImage, 422, snapshot, &["known image", "Give it again"]),
        (
            RunError::Memory { op: 3 },
            423,
            "a model that was checked never returns it",
            &["operator 3", "its memory", "what writes there"],
        ),
        (
            RunError::ConditionChanged,
            425,
            snapshot,
            &["condition vector", "Give it again"],
        ),
        (
            RunError::StepBegun,
            426,
            "the command makes whole steps",
            &["a step is begun", "Finish the step"],
        ),
        (RunError::Apart, 430, streamed, &["another file", "`Streamed`"]),
        (
            RunError::Unread { at: 77 },
            431,
            streamed,
            &["failed at byte 77", "snapshot"],
        ),
        (
            RunError::OtherWeights,
            432,
            streamed,
            &["not the model's file of weights", "mote split"],
        ),
    ];
    rows.into_iter()
        .map(|(error, code, why, words)| (error.into(), code, why, words))
        .collect()
}

const BOARD: &str = "it needs QEMU, the compiler of the core, and a fault of one of them or of the firmware";

fn devices() -> Vec<Row> {
    let board = |error: SimError| BackendError::Board(error).into();
    vec![
        (
            board(SimError::DoesNotFit {
                board: "microbit",
                memory: Memory::Flash,
                needed: 300_000,
                available: 262_144,
                parts: "model 200000, code 100000".into(),
            }),
            1651,
            "the command says so by 1004 before anything is built, where it knows the firmware's size",
            &["microbit", "300000", "262144", "narrower `--scheme`"],
        ),
        (
            board(SimError::Missing {
                what: "qemu-system-arm".into(),
                how: "install QEMU 9 or later".into(),
            }),
            1652,
            MACHINE,
            &["qemu-system-arm is missing", "install QEMU", "mote doctor"],
        ),
        (
            board(SimError::Model("cut off".into())),
            1653,
            BOARD,
            &["refused: cut off", "Convert the checkpoint"],
        ),
        (
            board(SimError::Request("no image".into())),
            1654,
            BOARD,
            &["bad request: no image", "fewer images"],
        ),
        (
            board(SimError::NoSource("/none".into())),
            1655,
            MACHINE,
            &["/none", "MOTE_FIRMWARE_DIR"],
        ),
        (
            board(SimError::Build {
                step: "compilation",
                target: "thumbv6m-none-eabi",
                output: "error: no core".into(),
            }),
            1656,
            BOARD,
            &["thumbv6m-none-eabi", "error: no core", "mote doctor"],
        ),
        (
            board(SimError::Timeout {
                board: "microbit",
                seconds: 60.0,
                log: "step 3".into(),
            }),
            1657,
            BOARD,
            &["microbit", "60 s", "step 3", "fewer steps"],
        ),
        (
            board(SimError::Failed {
                board: "microbit",
                why: "it panicked".into(),
                log: "step 3".into(),
            }),
            1658,
            BOARD,
            &["microbit", "it panicked", "step 3", "report it"],
        ),
        (
            board(SimError::Report {
                board: "microbit",
                what: "no end".into(),
            }),
            1659,
            BOARD,
            &["microbit", "no end", "Run it again"],
        ),
        (
            board(SimError::Io {
                what: "writing image.elf".into(),
                source: std::io::Error::other("no room"),
            }),
            1660,
            BOARD,
            &["writing image.elf", "no room", "free space"],
        ),
    ]
}

fn processors() -> Vec<Row> {
    let gpu = "it needs a graphics processor, or a fault of its driver";
    let rows: [(CudaError, u16, &'static [&'static str]); 9] = [
        (
            CudaError::Missing {
                what: "libcuda.so".into(),
                how: "install a driver".into(),
            },
            1701,
            &["libcuda.so", "driver 580", "--backend cpu"],
        ),
        (
            CudaError::Driver("code 719".into()),
            1702,
            &["code 719", "--backend cpu"],
        ),
        (
            CudaError::Shared {
                what: "attention",
                needed: 300_000,
                found: 200_000,
            },
            1703,
            &["attention", "300000", "200000", "--backend cpu"],
        ),
        (
            CudaError::Memory { needed: 9, found: 3 },
            1704,
            &["needs 9 bytes", "3 are free", "--backend cpu"],
        ),
        (
            CudaError::Model,
            1705,
            &["memory that it does not have", "Convert the checkpoint"],
        ),
        (CudaError::Operator("pool"), 1706, &["'pool'", "another backend"]),
        (CudaError::Unsupported("pooling"), 1707, &["pooling", "--float cpu"]),
        (CudaError::Range, 1708, &["f16's range", "--float cuda"]),
        (CudaError::Buffer, 1709, &["memory of the GPU", "report it"]),
    ];
    rows.into_iter()
        .map(|(error, code, words)| (BackendError::Cuda(error).into(), code, gpu, words))
        .collect()
}

fn oracle() -> Vec<Row> {
    let before = "the runtime has refused such a file or request before the oracle sees it";
    let rows: [(OracleError, u16, &'static [&'static str]); 7] = [
        (
            OracleError::File { part: "header" },
            1751,
            &["header", "Convert the checkpoint"],
        ),
        (
            OracleError::Version {
                found: [9, 1],
                known: [2, 1],
            },
            1752,
            &["version 9", "2 and 1", "Convert the checkpoint"],
        ),
        (
            OracleError::UnknownOperator {
                op: 3,
                name: "conv_in".into(),
                number: 99,
            },
            1753,
            &["operator 3", "'conv_in'", "number 99", "another backend"],
        ),
        (
            OracleError::Operator { op: 3, kind: "conv" },
            1754,
            &["operator 3", "conv", "Convert the checkpoint"],
        ),
        (
            OracleError::Config { field: "eta" },
            1755,
            &["'eta'", "leave that option out"],
        ),
        (
            OracleError::Length { expected: 64, found: 3 },
            1756,
            &["3 elements", "64", "mote inspect"],
        ),
        (
            OracleError::ZeroSnr { timestep: 999 },
            1757,
            &["timestep 999", "--spacing leading"],
        ),
    ];
    rows.into_iter()
        .map(|(error, code, words)| (BackendError::from(error).into(), code, before, words))
        .collect()
}

fn graphs() -> Vec<Row> {
    let before = "importers check the configuration, with file and field, before they build a graph";
    let node = || "conv_in".to_owned();
    let rows: [(GraphError, u16, &'static [&'static str]); 7] = [
        (
            GraphError::InputCount {
                node: node(),
                expected: "1".into(),
                found: 2,
            },
            1161,
            &["`conv_in`", "takes 1", "given 2", "number of blocks"],
        ),
        (
            GraphError::Mismatch {
                node: node(),
                what: "channels",
                expected: "12".into(),
                found: "24".into(),
            },
            1162,
            &["`conv_in`", "channels must be 12, found 24", "Check the channels"],
        ),
        (
            GraphError::MissingParam {
                node: node(),
                key: "conv_in.bias".into(),
            },
            1163,
            &["`conv_in`", "`conv_in.bias`", "of one save"],
        ),
        (
            GraphError::TooLarge {
                node: node(),
                what: "the output",
                limit: 99,
            },
            1164,
            &["`conv_in`", "more than 99 elements", "extents and channels"],
        ),
        (
            GraphError::Order {
                node: node(),
                value: 7,
                problem: "read before it is written",
            },
            1165,
            &["`conv_in`", "value 7", "report it"],
        ),
        (
            GraphError::DuplicateName(node()),
            1166,
            &["`conv_in`", "twice", "report it"],
        ),
        (GraphError::NoOutput, 1167, &["no output", "returns its prediction"]),
    ];
    rows.into_iter()
        .map(|(error, code, words)| (failed(error), code, before, words))
        .collect()
}

fn schedules() -> Vec<Row> {
    let before = "the scheduler's settings are checked before, with file and field";
    let rows: [(ScheduleError, u16, &'static [&'static str]); 4] = [
        (
            ScheduleError::Beta { index: 7, value: 1.5 },
            1801,
            &["beta[7] is 1.5", "beta_start"],
        ),
        (
            ScheduleError::Length { expected: 9, found: 3 },
            1802,
            &["3 betas", "num_train_timesteps is 9", "agree"],
        ),
        (
            ScheduleError::NoAlphas {
                class_name: "EDMEulerScheduler".into(),
            },
            1803,
            &["EDMEulerScheduler", "no cumulative alphas", "such as euler"],
        ),
        (
            ScheduleError::Rises {
                last: 0.5,
                before: 0.25,
            },
            1805,
            &["rescale_betas_zero_snr", "DDIMScheduler", "trained with"],
        ),
    ];
    let mut rows: Vec<Row> = rows
        .into_iter()
        .map(|(error, code, words)| (error.into(), code, before, words))
        .collect();
    let input = FloatError::Input {
        what: "the sample",
        expected: "[1, 8, 8]".into(),
        found: "[1, 4, 4]".into(),
    };
    let fixed = FloatError::Irreversible {
        node: "pool".into(),
        operator: "pool",
    };
    let channels = PredictorError::Channels { expected: 1, found: 3 };
    let gave_up: SolveError<PredictorError> = SolveError::GaveUp { at: 0.5, steps: 99 };
    rows.extend([
        (
            failed(input),
            1811,
            "commands give every input its shape",
            &["the sample must be [1, 8, 8]", "[1, 4, 4]", "names the input"][..],
        ),
        (
            failed(fixed),
            1812,
            "networks that are trained here have other operators",
            &["`pool`", "gradients do not pass", "Leave it out"],
        ),
        (
            channels.into(),
            1821,
            "importers hold the network's output to the sample's channels",
            &["3 channels for 1", "learned_range", "out_channels"],
        ),
        (
            gave_up.into(),
            1831,
            "the least tolerance that is taken is one that the solver reaches on networks in the tests",
            &["gave up at 0.5", "99 steps", "larger --tolerance"],
        ),
    ]);
    rows
}

fn stages() -> Vec<Row> {
    let picture = Picture {
        width: 0,
        height: 0,
        channels: 1,
        data: vec![],
    };
    let too_large = EmitError::TooLarge {
        what: "the network's operators".into(),
        value: 70_000,
        max: 65_535,
    };
    let inside = EmitError::Inside {
        inner: "a".into(),
        outer: "b".into(),
    };
    let lower = LowerError {
        node: "up.0".into(),
        what: "dilation 2 has no operator".into(),
    };
    let twice = ImportError::Twice {
        path: "b.safetensors".into(),
        other: "a.safetensors".into(),
        key: "conv_in.bias".into(),
    };
    vec![
        (
            twice.into(),
            1110,
            "the index of the weights' parts is compared with them before",
            &[
                "a.safetensors",
                "b.safetensors",
                "conv_in.bias",
                "without those of another save",
            ],
        ),
        (
            ConvertError::ChainScheme(Scheme::W8A8).into(),
            1202,
            "the command refuses --scheme by its own name",
            &["w8a8", "w16a16"],
        ),
        (
            ConvertError::from(lower).into(),
            1203,
            "what the importers of the tests' checkpoints take, the device has",
            &["'up.0'", "dilation 2", "docs/exported.md"],
        ),
        (
            ConvertError::from(too_large).into(),
            1211,
            "the configuration is refused by its size before",
            &["operators is 70000", "at most 65535", "smaller network"],
        ),
        (
            ConvertError::from(inside).into(),
            1212,
            "only a fault of the converter makes it",
            &["'a'", "inside 'b'", "report it"],
        ),
        (
            SplitError::Tables.into(),
            1306,
            "the runtime refuses files whose tables lie in each other, or they hold what both need",
            &["lie in each other", "convert the checkpoint again"],
        ),
        (
            SplitError::Grouped.into(),
            1307,
            "no small checkpoint of the tests has convolutions in 24 groups or more",
            &["in groups", "can address"],
        ),
        (
            failed(TrainError::Conditioned),
            1314,
            "no checkpoint of the tests with a condition has samples of one channel, which the images of the tests have",
            &["condition", "convert the checkpoint"],
        ),
        (
            failed(TrainError::Diverged {
                step: 7,
                loss: f64::NAN,
            }),
            1315,
            "the greatest --lr that is taken does not diverge in the seconds of a test",
            &["step 7", "NaN", "--lr"],
        ),
        (
            encode(&picture).unwrap_err().into(),
            1422,
            "the command refuses pictures that are too large for PNG before",
            &["PNG", "smaller images"],
        ),
        (
            DistributionError::Count { count: 1 }.into(),
            1522,
            "the command's option has the same range",
            &["1 images", "from 2 to", "another number"],
        ),
    ]
}
