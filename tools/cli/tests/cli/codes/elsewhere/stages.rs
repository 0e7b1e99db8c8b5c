//! Of the stages of a conversion.

use super::{Row, failed};
use mote_tools::Scheme;
use mote_tools::convert::ConvertError;
use mote_tools::emit::EmitError;
use mote_tools::emit::split::SplitError;
use mote_tools::images::{Picture, encode};
use mote_tools::import::ImportError;
use mote_tools::lower::LowerError;
use mote_tools::train::run::RunError as TrainError;
use mote_tools::validate::DistributionError;

pub fn stages() -> Vec<Row> {
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
