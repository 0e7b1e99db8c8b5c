//! The condition vectors that a conversion observes and measures with.

use super::{Conditions, FixedPoint};
use crate::Error;
use crate::import::Checkpoint;
use mote_graph::graph::ConditionInput;
use std::sync::Arc;

/// Seed of conditions that are drawn where none are given.
const SEED: u64 = 0x434F_4E44_0000_0000;
/// How many are drawn.
const DRAWN: usize = 64;

/// Condition vectors for a conversion.
#[derive(Debug, Clone)]
pub struct Given {
    /// In real numbers.
    pub rows: Conditions,
    /// The model's fixed point.
    pub point: FixedPoint,
    /// What a user should know of them.
    pub note: Option<String>,
}

impl Given {
    /// Those of `checkpoint`: real ones where it says where they are, else drawn evenly from its range. `None` for a network without a
    /// condition.
    pub(crate) fn of(checkpoint: &Checkpoint) -> Result<Option<Self>, Error> {
        let Some(condition) = checkpoint.graph.condition else {
            return match &checkpoint.calibration {
                None => Ok(None),
                Some(given) => Err(Error::usage(format_args!(
                    "the network takes no condition, so there is none to calibrate with in {}",
                    given.display()
                ))
                .help("leave --calibration out")),
            };
        };
        let rows = match &checkpoint.calibration {
            Some(given) => Some(Conditions::parse(given)?),
            None => None,
        };
        if let Some(rows) = &rows {
            rows.check_width(condition.channels)?;
        }
        let ConditionInput { channels, null, .. } = condition;
        let range = condition.range.ok_or_else(|| missing_range(rows.as_ref()))?;
        let note = rows.is_none().then(|| {
            format!(
                "the checkpoint names no condition vectors, so calibration runs with {DRAWN} drawn evenly from {} to {}: real ones \
                 (`--calibration FILE.npz:ARRAY`) give better ranges",
                range[0], range[1]
            )
        });
        Ok(Some(Self {
            rows: rows.unwrap_or_else(|| Conditions::uniform(SEED, range, channels, DRAWN)),
            point: FixedPoint::of_range(range, null),
            note,
        }))
    }

    /// `count` of them in the fixed point, evenly spread over all, or all where there are fewer.
    pub fn spread(&self, count: usize) -> Vec<Arc<[i32]>> {
        let rows = self.rows.spread(count);
        rows.fixed(&self.point, rows.count())
    }
}

fn missing_range(rows: Option<&Conditions>) -> Error {
    let seen = rows.map_or(String::new(), |rows| {
        let [low, high] = rows.extremes();
        format!("; the vectors for calibration lie from {low} to {high}")
    });
    Error::input("the checkpoint does not say the range of its condition vectors").help(format_args!(
        "give --condition-range LOW,HIGH, or write \"condition\": {{\"range\": [LOW, HIGH]}} in its mote.json{seen}"
    ))
}
