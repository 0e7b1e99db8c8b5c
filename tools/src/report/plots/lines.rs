//! Quality by step: two small line plots side by side.

use super::axis::ticks;
use crate::report::data::{Picture, Quality, StepQuality};
use crate::report::pictures::grid;

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 260.0;
/// Room for the labels: left, right, top, bottom.
const MARGIN: [f64; 4] = [44.0, 12.0, 12.0, 44.0];

/// The summary and the two plots.
pub fn quality(q: &Quality) -> String {
    let summary = format!(
        "<p class=\"figures\"><span><b>{:.2} dB</b> mean PSNR of the final image</span>\
         <span><b>{:.2} dB</b> 5th percentile</span><span><b>{:.2} dB</b> worst image</span><span><b>{}</b> images</span></p>\n",
        q.x0_psnr_db_mean, q.x0_psnr_db_p5, q.x0_psnr_db_min, q.images,
    ) + &worst(&q.worst);
    if q.steps.is_empty() {
        return summary;
    }
    let plot = |title: &str, value: fn(&StepQuality) -> f64| {
        let points: Vec<(u32, f64)> = q.steps.iter().map(|s| (s.timestep, value(s))).collect();
        format!("<figure><figcaption>{title}</figcaption>\n{}</figure>\n", line(&points))
    };
    format!(
        "{summary}<div class=\"pair\">\n{}{}</div>\n",
        plot("State after the step, PSNR in dB", |s| s.state_psnr_db),
        plot("Network output, SQNR in dB", |s| s.eps_sqnr_db),
    )
}

/// The worst image, of the model and of the float network side by side.
fn worst(pictures: &[Picture]) -> String {
    if pictures.is_empty() {
        return String::new();
    }
    format!("<p class=\"label\">The worst image</p>\n{}", grid(pictures))
}

/// One line; x runs in the order of the steps, labelled with timesteps.
fn line(points: &[(u32, f64)]) -> String {
    let finite = || points.iter().map(|p| p.1).filter(|v| v.is_finite());
    let (low, high) = (
        finite().fold(f64::INFINITY, f64::min),
        finite().fold(f64::NEG_INFINITY, f64::max),
    );
    if low > high {
        return "<p class=\"caption\">No finite value: the two are equal.</p>".to_owned();
    }
    let marks = ticks(low, high.max(low + 1.0), 5);
    let (bottom, top) = (marks[0], marks[marks.len() - 1]);
    let [left, right, above, below] = MARGIN;
    let x = |i: usize| left + (WIDTH - left - right) * i as f64 / (points.len() - 1).max(1) as f64;
    let y = |v: f64| HEIGHT - below - (HEIGHT - above - below) * (v - bottom) / (top - bottom);
    let grid = |v: &f64| {
        format!(
            "<line class=\"grid-line\" x1=\"{left}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/><text class=\"end\" x=\"{:.1}\" \
             y=\"{:.1}\">{v}</text>\n",
            WIDTH - right,
            left - 8.0,
            y(*v) + 4.0,
            y = y(*v),
        )
    };
    // The last step is always labelled, and the label before it left out where the two would meet.
    let every = points.len().div_ceil(5).max(1);
    let labelled = |i: usize| i + 1 == points.len() || i.is_multiple_of(every) && i + every.div_ceil(2) < points.len();
    let label = |(i, p): (usize, &(u32, f64))| {
        format!(
            "<text class=\"mid\" x=\"{:.1}\" y=\"{:.1}\">{}</text>\n",
            x(i),
            HEIGHT - below + 18.0,
            p.0
        )
    };
    let drawn: Vec<(f64, f64, u32, f64)> = points
        .iter()
        .enumerate()
        .filter(|(_, p)| p.1.is_finite())
        .map(|(i, p)| (x(i), y(p.1), p.0, p.1))
        .collect();
    let path: Vec<String> = drawn.iter().map(|(x, y, ..)| format!("{x:.1},{y:.1}")).collect();
    let dot = |(x, y, t, v): &(f64, f64, u32, f64)| {
        format!(
            "<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"><title>timestep {t}: {v:.2} dB</title></circle>\n"
        )
    };
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"from {:.1} to {:.1} dB\">\n{}{}\
         <text class=\"mid\" x=\"{:.1}\" y=\"{:.1}\">timestep</text>\n<polyline class=\"curve\" points=\"{}\"/>\n{}</svg>\n",
        drawn.first().map_or(0.0, |d| d.3),
        drawn.last().map_or(0.0, |d| d.3),
        marks.iter().map(grid).collect::<String>(),
        points
            .iter()
            .enumerate()
            .filter(|(i, _)| labelled(*i))
            .map(label)
            .collect::<String>(),
        (left + WIDTH - right) / 2.0,
        HEIGHT - 6.0,
        path.join(" "),
        drawn.iter().map(dot).collect::<String>(),
    )
}
