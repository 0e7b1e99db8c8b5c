//! Which parts of the runtime an image holds.

use mote_runtime::{Feature, Model};

/// A set of the runtime's parts, in the order of [`Feature::ALL`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Parts(Vec<Feature>);

impl Parts {
    /// Every part.
    pub fn all() -> Self {
        Self(Feature::ALL.to_vec())
    }

    /// Every part but [`Feature::Streamed`], which is for weights that no core addresses: those that an image of a whole model can have.
    pub fn addressed() -> Self {
        Self::of(Feature::ALL.into_iter().filter(|part| *part != Feature::Streamed))
    }

    /// These.
    pub fn of(features: impl IntoIterator<Item = Feature>) -> Self {
        let mut parts: Vec<Feature> = features.into_iter().collect();
        parts.sort_unstable();
        parts.dedup();
        Self(parts)
    }

    /// Those that a model needs, and those that only make it quicker.
    pub fn needed_by(model: &Model<'_>) -> Self {
        Self::of(Feature::ALL.into_iter().filter(|feature| feature.needed_by(model))).with([Feature::Fast])
    }

    /// These and others.
    #[must_use]
    pub fn with(self, others: impl IntoIterator<Item = Feature>) -> Self {
        Self::of(self.0.into_iter().chain(others))
    }

    /// These, as a firmware of that kind holds them.
    #[must_use]
    pub fn of_firmware(self, firmware: Firmware) -> Self {
        match firmware {
            Firmware::Fast => self.with([Feature::Fast]),
            Firmware::Compact => Self::of(self.0.into_iter().filter(|feature| *feature != Feature::Fast)),
        }
    }

    /// The parts.
    pub fn features(&self) -> &[Feature] {
        &self.0
    }

    /// The names of their Cargo features.
    pub fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(|feature| feature.name()).collect()
    }

    /// What cargo takes after `--features` for a package that depends on the runtime, or for the runtime itself.
    pub(crate) fn cargo_features(&self, package: &str) -> String {
        let features: Vec<String> = self.names().iter().map(|name| format!("{package}/{name}")).collect();
        features.join(",")
    }
}

/// Whether an image holds what makes the runtime quicker, and larger. It gives the same bits either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Firmware {
    /// With [`Feature::Fast`].
    #[default]
    Fast,
    /// Without it.
    Compact,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_repetition_make_no_other_set() {
        let parts = Parts::of([Feature::W16, Feature::Integer, Feature::W16]);
        assert_eq!(parts, Parts::of([Feature::Integer, Feature::W16]));
        assert_eq!(
            parts.cargo_features("mote-runtime"),
            "mote-runtime/integer,mote-runtime/w16"
        );
        assert_eq!(Parts::all(), Parts::of(Feature::ALL));
    }

    #[test]
    fn compact_firmware_lacks_what_no_model_needs() {
        let integer = Parts::of([Feature::Integer]);
        let fast = integer.clone().of_firmware(Firmware::Fast);
        assert_eq!(fast, Parts::of([Feature::Integer, Feature::Fast]));
        assert_eq!(fast.of_firmware(Firmware::Compact), integer);
    }
}
