//! The page's own sampler: the device's code, compiled to WebAssembly, with the model, inside the page.

use super::base64::encode;
use super::text::escape;
use crate::samplers::sampler_name;
use mote_runtime::{Feature, Method, Model};
use serde::Serialize;

/// `runtime/c`, built by `runtime/c/wasm/build`; a test fails where it is older than its source.
pub const WASM: &[u8] = include_bytes!("../../assets/browser/mote.wasm");
const WORKER: &str = include_str!("browser/worker.js");
const PAGE: &str = include_str!("browser/page.js");
/// Parts of the runtime that the module lacks, to stay small: `runtime/c/wasm/build` leaves out the same.
pub const NOT_IN_PAGE: [Feature; 11] = [
    Feature::Chain,
    Feature::Posterior,
    Feature::Decoder,
    Feature::LinearAttention,
    Feature::CrossAttention,
    Feature::Pool,
    Feature::Edm,
    Feature::Consistency,
    Feature::LearnedVariance,
    Feature::Streamed,
    Feature::Grouped,
];
/// The part that a model needs and the page's module lacks.
#[must_use]
pub fn model_lacks(model: &Model<'_>) -> Option<Feature> {
    let needed = |part: &Feature| part.needed_by(model) || *part == Feature::Decoder && model.decoder().is_some();
    NOT_IN_PAGE.into_iter().find(needed)
}

/// The part that a sampler needs and the page's module lacks.
#[must_use]
pub fn method_lacks(method: Method) -> Option<Feature> {
    method.entry().feature.filter(|part| NOT_IN_PAGE.contains(part))
}

/// Model files above this are not put into a page.
const MOST_BYTES: usize = 8 << 20;

/// A digest that is known of a run, for the page to compare with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Expected {
    /// Its seed, in decimal.
    pub seed: String,
    /// Its steps.
    pub steps: u32,
    /// Digest of its last state, 16 hexadecimal digits.
    pub digest: String,
    /// What gave it.
    pub by: String,
}

/// What the page samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// The model file.
    pub model: Vec<u8>,
    /// Steps of the first run.
    pub steps: u32,
    /// Digests of runs as the model is: no class, no guidance, the usual sampler.
    pub expected: Vec<Expected>,
    /// The condition of every run, in the model's fixed point.
    pub condition: Option<Vec<i32>>,
    /// Number of classes.
    pub classes: u16,
    /// Whether guidance is possible.
    pub guidance: bool,
    /// Samplers by number and name; none where there is no choice.
    pub samplers: Vec<(usize, &'static str)>,
}

impl Live {
    /// Of a model file; `None` where it is too large for a page, or needs what the page's module lacks ([`NOT_IN_PAGE`]).
    #[must_use]
    pub fn of(model: &Model<'_>, file: &[u8], steps: u32) -> Option<Self> {
        let header = model.header();
        if file.len() > MOST_BYTES || model_lacks(model).is_some() {
            return None;
        }
        let suits = |method: &Method| {
            method.entry().levels.are_continuous() == header.prediction.levels().are_continuous()
                && method_lacks(*method).is_none()
                && header.schedule.plan().is_none()
        };
        let all = Method::ALL.iter().enumerate().filter(|(_, method)| suits(method));
        Some(Self {
            model: file.to_vec(),
            steps,
            expected: vec![],
            condition: None,
            classes: header.classes,
            guidance: header.null_class.is_some(),
            samplers: all.map(|(number, method)| (number, sampler_name(*method))).collect(),
        })
    }
}

#[derive(Serialize)]
struct Facts<'a> {
    expected: &'a [Expected],
    condition: &'a Option<Vec<i32>>,
}

/// The section: controls, canvas, and all that they need.
pub fn section(live: &Live) -> String {
    let field = |label: &str, input: String| format!("<label>{label} {input}</label>\n");
    let number = |name: &str, value: u32| {
        format!("<input name=\"{name}\" type=\"number\" min=\"1\" value=\"{value}\" inputmode=\"numeric\">")
    };
    let mut controls = field(
        "Seed",
        "<input name=\"seed\" value=\"0\" inputmode=\"numeric\" size=\"8\">".to_owned(),
    );
    controls += &field("Steps", number("steps", live.steps));
    if live.classes > 0 {
        controls += &field(
            "Class",
            format!(
                "<input name=\"class\" type=\"number\" min=\"0\" max=\"{}\" value=\"{}\">",
                live.classes - 1,
                if live.guidance { "" } else { "0" }
            ),
        );
    }
    if live.guidance {
        controls += &field(
            "Guidance",
            "<input name=\"guidance\" type=\"number\" step=\"0.5\" value=\"\">".to_owned(),
        );
    }
    if live.samplers.len() > 1 {
        let option = |(number, name): &(usize, &str)| format!("<option value=\"{number}\">{name}</option>");
        let options: String = live.samplers.iter().map(option).collect();
        controls += &field(
            "Sampler",
            format!("<select name=\"sampler\"><option value=\"\">usual</option>{options}</select>"),
        );
    }
    let facts = Facts {
        expected: &live.expected,
        condition: &live.condition,
    };
    let facts = serde_json::to_string(&facts)
        .unwrap_or_default()
        .replace('<', "\\u003c");
    let data =
        |id: &str, kind: &str, content: &str| format!("<script id=\"{id}\" type=\"{kind}\">{content}</script>\n");
    format!(
        "<div id=\"live\">\n<canvas data-part=\"canvas\" width=\"16\" height=\"16\" role=\"img\" aria-label=\"The sample as it is now\"></canvas>\n\
         <div class=\"controls\">\n{controls}<button data-part=\"draw\" disabled>Draw</button> <button data-part=\"next\">Next seed</button> \
         <button data-part=\"save\">Save PNG</button>\n\
         <progress data-part=\"progress\" max=\"1\" value=\"0\" aria-label=\"Steps done\"></progress>\n\
         <p>Digest <code data-part=\"digest\">…</code> <span data-part=\"time\"></span> <span data-part=\"step\"></span></p>\n\
         <p data-part=\"known\"></p>\n<p data-part=\"status\" role=\"status\" aria-live=\"polite\">Loading …</p>\n</div>\n</div>\n{}{}{}{}<script>\n{PAGE}</script>\n",
        data("live-facts", "application/json", &facts),
        data("live-wasm", "text/plain", &encode(WASM)),
        data("live-model", "text/plain", &encode(&live.model)),
        data("live-worker", "text/plain", WORKER),
    )
}

/// A caption that says what may be done.
pub fn caption(live: &Live) -> String {
    let brush = if live.condition.is_none() {
        " Mark a part, with the pointer or with arrows and space bar, and draw again: only that part is made anew."
    } else {
        ""
    };
    escape(&format!(
        "The code that a microcontroller runs, in this browser. The same seed gives the same bytes.{brush}"
    ))
}
