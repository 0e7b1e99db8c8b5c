//! The image that a conversion changes most, beside what it was.

use super::{Picture, Shape};
use crate::tensors::{to_hwc, to_q24};
use crate::validate::FloatComparison;
use mote_runtime::Model;
use mote_runtime::internals::sampler::q24_to_pixel;
use mote_runtime::internals::schedule::coefficients::Prediction;

/// Whether a finished state of the model is a picture: no latent, and no point of the plane.
#[must_use]
pub fn is_drawn(model: &Model<'_>) -> bool {
    model.decoder().is_none() && model.header().prediction != Prediction::Kernel
}

/// The worst image of a comparison: the model's, then the float network's. `None` where a state is no picture, or none was compared.
#[must_use]
pub fn worst(model: &Model<'_>, float: &FloatComparison) -> Option<[Picture; 2]> {
    let (header, shape) = (model.header(), Shape::of(model.header()));
    if !is_drawn(model) || float.worst_states.iter().any(|state| state.len() != shape.len()) {
        return None;
    }
    // What is not a number is gray.
    let pixel = |value: f64| q24_to_pixel(to_q24(value.clamp(-64.0, 64.0)).unwrap_or(0));
    let pixels = |state: &[f64]| -> Vec<u8> { to_hwc(state, header.channels.into()).into_iter().map(pixel).collect() };
    Some(
        float
            .worst_states
            .each_ref()
            .map(|state| Picture::of_sample(&pixels(state), shape)),
    )
}
