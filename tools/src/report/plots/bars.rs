//! Sensitivity by layer: a bar a tensor, most sensitive first.

use crate::report::data::SensitivityBar;
use crate::report::text::escape;

/// Bars shown at once; the others are behind a fold.
const SHOWN: usize = 16;
/// dB above the most sensitive tensor at which a bar is empty.
const SPAN_DB: f64 = 40.0;

/// The bars, longest first.
pub fn sensitivity(bars: &[SensitivityBar]) -> String {
    if bars.is_empty() {
        return String::new();
    }
    let mut order: Vec<&SensitivityBar> = bars.iter().collect();
    order.sort_by(|a, b| a.psnr_db.total_cmp(&b.psnr_db));
    let worst = order.iter().map(|b| b.psnr_db).fold(f64::INFINITY, f64::min);
    let list = |bars: &[&SensitivityBar]| {
        let rows: String = bars.iter().map(|bar| row(bar, worst)).collect();
        format!("<div class=\"bars\">\n{rows}</div>\n")
    };
    let (first, rest) = order.split_at(order.len().min(SHOWN));
    let more = if rest.is_empty() {
        String::new()
    } else {
        format!(
            "<details><summary>{} less sensitive tensors</summary>\n{}</details>\n",
            rest.len(),
            list(rest)
        )
    };
    list(first) + &more
}

fn row(bar: &SensitivityBar, worst: f64) -> String {
    let chosen = if bar.chosen.is_empty() {
        String::new()
    } else {
        format!(" → {}", escape(&bar.chosen))
    };
    let (width, value) = if bar.psnr_db.is_finite() {
        let share = 1.0 - (bar.psnr_db - worst) / SPAN_DB;
        ((share * 100.0).clamp(1.0, 100.0), format!("{:.1} dB", bar.psnr_db))
    } else {
        (0.0, "no change".to_owned())
    };
    format!(
        "<div class=\"row\"><span class=\"what\"><code>{}</code> <small>{}{chosen}</small></span>\
         <span class=\"bar\"><span style=\"width:{width:.1}%\"></span></span><span class=\"value\">{value}</span></div>\n",
        escape(&bar.name),
        escape(&bar.tried),
    )
}
