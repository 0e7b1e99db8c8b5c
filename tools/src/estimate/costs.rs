//! What amounts of work cost on a core.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::Work;
use mote_firmware_sim::{Core, cores};

/// Instructions an amount, by the core's name and the amount's.
type Table = BTreeMap<String, BTreeMap<String, f64>>;

static TABLE: LazyLock<Table> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../assets/costs.json")).unwrap_or_default());

/// Instructions of an element or a multiply-accumulate that was never measured.
const UNKNOWN_ELEMENT: f64 = 20.0;

/// What amounts of work cost on one core.
#[derive(Debug, Clone, Copy)]
pub struct Costs(Option<&'static BTreeMap<String, f64>>);

impl Costs {
    /// Of `core`, or of another that runs the same code.
    #[must_use]
    pub fn of(core: &Core) -> Self {
        let same = cores()
            .iter()
            .filter(|other| other.runs_code_of(core) || core.name.starts_with("RV32") && other.name == "RV32IMAC");
        Self(
            TABLE
                .get(core.name)
                .or_else(|| same.filter_map(|other| TABLE.get(other.name)).next()),
        )
    }

    /// Instructions of `work`, and the amounts that were never measured. Of those, multiply-accumulates count `per_mac` each, fixed parts nothing.
    #[must_use]
    pub fn instructions(self, work: &Work, per_mac: f64) -> (f64, Vec<String>) {
        let mut missing = Vec::new();
        let cost = |(name, amount): (&String, &f64)| {
            let known = self.0.and_then(|costs| costs.get(name));
            let guess = || {
                missing.push(name.clone());
                match name {
                    _ if name.contains("mac") => per_mac,
                    _ if name.contains('>') => UNKNOWN_ELEMENT,
                    _ => 0.0,
                }
            };
            amount * known.copied().unwrap_or_else(guess)
        };
        (work.0.iter().map(cost).sum(), missing)
    }
}
