//! Plots, as SVG or as plain boxes, drawn in the page's own colours.

mod arena;
mod axis;
mod bars;
mod curve;
mod lines;
mod loglog;

pub use arena::arena;
pub use bars::sensitivity;
pub use curve::curve;
pub use lines::quality;
pub use loglog::{Series, loglog};
