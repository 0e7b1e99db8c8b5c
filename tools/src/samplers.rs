//! Samplers, spacings and clippings by the names that commands and bindings use.

use mote_host::schedule::{spacing_from_name, spacing_name};
use mote_runtime::Method;
use mote_runtime::sampler::Variance;
use mote_runtime::schedule::coefficients::Clip;
use mote_runtime::schedule::spacing::Spacing;

/// A sampler and what is said of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedSampler {
    /// As it is written.
    pub name: &'static str,
    /// One line about it.
    pub about: &'static str,
    /// What it is.
    pub method: Method,
}

/// Every sampler. The ancestral one stands here with its small variance.
pub const SAMPLERS: [NamedSampler; 4] = [
    NamedSampler {
        name: "ddim",
        about: "Song, Meng and Ermon 2021: deterministic, or with noise by --eta",
        method: Method::Ddim,
    },
    NamedSampler {
        name: "ddpm",
        about: "Ho, Jain and Abbeel 2020: ancestral, with noise in every step; see --variance",
        method: Method::Ddpm(Variance::Small),
    },
    NamedSampler {
        name: "dpm++",
        about: "DPM-Solver++(2M), Lu et al. 2022: second order, deterministic",
        method: Method::DpmSolver2M,
    },
    NamedSampler {
        name: "heun",
        about: "Heun's method on the probability-flow ODE: second order, two network calls a step",
        method: Method::Heun,
    },
];

/// The sampler of that name.
#[must_use]
pub fn sampler_named(name: &str) -> Option<Method> {
    SAMPLERS.iter().find(|sampler| sampler.name == name).map(|s| s.method)
}

/// The name of a sampler; both variances of the ancestral one have the same.
#[must_use]
pub fn sampler_name(method: Method) -> &'static str {
    let same = |sampler: &&NamedSampler| std::mem::discriminant(&sampler.method) == std::mem::discriminant(&method);
    SAMPLERS.iter().find(same).map_or("", |sampler| sampler.name)
}

/// The spacing of that name.
#[must_use]
pub fn spacing_named(name: &str) -> Option<Spacing> {
    spacing_from_name(name)
}

/// The name of a spacing.
#[must_use]
pub fn name_of_spacing(spacing: Spacing) -> &'static str {
    spacing_name(spacing)
}

/// The name of a clipping of the predicted image.
#[must_use]
pub fn clip_name(clip: Clip) -> &'static str {
    match clip {
        Clip::Off => "off",
        Clip::Stock => "stock",
        Clip::Rederived => "rederived",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways() {
        for sampler in SAMPLERS {
            assert_eq!(sampler_named(sampler.name), Some(sampler.method));
            assert_eq!(sampler_name(sampler.method), sampler.name);
        }
        assert_eq!(sampler_name(Method::Ddpm(Variance::Large)), "ddpm");
        assert_eq!(sampler_named("euler"), None);
    }
}
