//! Samplers, spacings and clippings by the names that commands and bindings use.

use mote_graph::schedule::{spacing_from_name, spacing_name};
use mote_runtime::Method;
use mote_runtime::internals::sampler::Variance;
use mote_runtime::internals::schedule::coefficients::Clip;
use mote_runtime::internals::schedule::spacing::{PrevRule, Spacing};

/// Every sampler by its name; the ancestral one with its small variance. What there is to say of each is in the runtime's list.
pub fn samplers() -> impl Iterator<Item = Method> {
    Method::ALL
        .into_iter()
        .filter(|method| sampler_named(method.entry().name) == Some(*method))
}

/// The sampler of that name.
#[must_use]
pub fn sampler_named(name: &str) -> Option<Method> {
    Method::named(name)
}

/// The name of a sampler; both variances of the ancestral one have the same.
#[must_use]
pub fn sampler_name(method: Method) -> &'static str {
    method.entry().name
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

/// The clipping of that name.
#[must_use]
pub fn clip_named(name: &str) -> Option<Clip> {
    [Clip::Off, Clip::Stock, Clip::Rederived]
        .into_iter()
        .find(|clip| clip_name(*clip) == name)
}

/// The rule of the next timestep of that name: the next in the list, or the training steps divided by the steps less, as diffusers has it.
#[must_use]
pub fn prev_named(name: &str) -> Option<PrevRule> {
    match name {
        "list" => Some(PrevRule::List),
        "diffusers" => Some(PrevRule::Diffusers),
        _ => None,
    }
}

/// The variance of the ancestral sampler of that name.
#[must_use]
pub fn variance_named(name: &str) -> Option<Variance> {
    match name {
        "small" => Some(Variance::Small),
        "large" => Some(Variance::Large),
        "learned" => Some(Variance::Learned),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways() {
        let names: Vec<&str> = samplers().map(sampler_name).collect();
        assert_eq!(names[..4], ["ddim", "ddpm", "dpm++", "heun"]);
        for method in samplers() {
            assert_eq!(sampler_named(sampler_name(method)), Some(method));
            assert!(!method.entry().about.is_empty());
        }
        assert_eq!(sampler_name(Method::Ddpm(Variance::Large)), "ddpm");
        assert_eq!(sampler_named("midpoint"), None);
    }
}
