//! The conversion report: one HTML page that needs nothing beside it.
//!
//! [`ReportData::of`] takes from a model all that the file itself knows; the caller adds what was measured; [`html`] draws it.
//! A section whose data is missing is left out. Pictures travel inside the page, and plots are SVG.
//! The only script is that of [`live`], which samples in the page.
//!
//! [`assemble`] samples, films and measures for it. `data.rs` holds what is shown, `model.rs` what a model file says; `page.rs` is the page and its style, `tables.rs`, `pictures.rs`
//! and `plots/` are its sections. [`card`] is a few lines of it, for notebooks.

pub mod assemble;
mod base64;
mod card;
pub mod chain;
mod data;
pub mod live;
mod model;
mod page;
mod pictures;
pub mod plots;
mod tables;
mod text;

#[cfg(test)]
mod tests;

pub use card::card;
pub use data::{
    BackendCheck, Block, BoardFit, Film, MemoryMap, OperatorRow, Picture, Quality, ReportData, SensitivityBar,
    StepQuality,
};
pub(crate) use model::dtype as dtype_name;
pub use page::html;
