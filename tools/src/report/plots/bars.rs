//! Sensitivity by layer: a bar a tensor, most sensitive first.

use crate::report::data::SensitivityBar;
use crate::report::text::escape;

/// Bars shown at once; the others are behind a fold.
const SHOWN: usize = 16;

/// The bars, longest first: the distance in dB to the least sensitive tensor.
pub fn sensitivity(bars: &[SensitivityBar]) -> String {
    if bars.is_empty() {
        return String::new();
    }
    let mut order: Vec<&SensitivityBar> = bars.iter().collect();
    order.sort_by(|a, b| a.psnr_db.total_cmp(&b.psnr_db));
    let finite = || order.iter().map(|b| b.psnr_db).filter(|v| v.is_finite());
    let range = (
        finite().fold(f64::INFINITY, f64::min),
        finite().fold(f64::NEG_INFINITY, f64::max),
    );
    let list = |bars: &[&SensitivityBar]| {
        let rows: String = bars.iter().map(|bar| row(bar, range)).collect();
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

fn row(bar: &SensitivityBar, range: (f64, f64)) -> String {
    let chosen = if bar.chosen.is_empty() {
        String::new()
    } else {
        format!(" → {}", escape(&bar.chosen))
    };
    let (width, value) = if bar.psnr_db.is_finite() {
        let share = (range.1 - bar.psnr_db) / (range.1 - range.0).max(1.0);
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
