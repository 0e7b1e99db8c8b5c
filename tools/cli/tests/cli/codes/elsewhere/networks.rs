//! Of the oracle, of graphs and of schedules: what is refused before they see it.

use super::{Row, failed};
use mote_graph::float::FloatError;
use mote_graph::graph::GraphError;
use mote_graph::predictor::PredictorError;
use mote_graph::schedule::ScheduleError;
use mote_graph::sde::rk45::SolveError;
use mote_oracle::OracleError;
use mote_tools::backend::BackendError;

pub fn oracle() -> Vec<Row> {
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

pub fn graphs() -> Vec<Row> {
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

pub fn schedules() -> Vec<Row> {
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
