//! One line over a numeric axis.

use super::axis::ticks;

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 260.0;
/// Room for the labels: left, right, top, bottom.
const MARGIN: [f64; 4] = [56.0, 12.0, 12.0, 44.0];

/// The plot; `axis` names what runs to the right. Points that are not finite are left out.
pub fn curve(points: &[(f64, f64)], axis: &str) -> String {
    let points: Vec<(f64, f64)> = points
        .iter()
        .copied()
        .filter(|p| p.0.is_finite() && p.1.is_finite())
        .collect();
    let range = |value: fn(&(f64, f64)) -> f64| {
        let values = || points.iter().map(value);
        (
            values().fold(f64::INFINITY, f64::min),
            values().fold(f64::NEG_INFINITY, f64::max),
        )
    };
    let ((left, right), (low, high)) = (range(|p| p.0), range(|p| p.1));
    if left > right {
        return String::new();
    }
    let ends = |marks: &[f64]| (marks[0], marks[marks.len() - 1]);
    let across = ticks(left, if right > left { right } else { left + 1.0 }, 5);
    let up = ticks(low, if high > low { high } else { low + 1.0 }, 5);
    let ((x0, x1), (y0, y1)) = (ends(&across), ends(&up));
    let x = |v: f64| MARGIN[0] + (WIDTH - MARGIN[0] - MARGIN[1]) * (v - x0) / (x1 - x0);
    let y = |v: f64| HEIGHT - MARGIN[3] - (HEIGHT - MARGIN[2] - MARGIN[3]) * (v - y0) / (y1 - y0);
    let level = |v: &f64| {
        format!(
            "<line class=\"grid-line\" x1=\"{}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/><text class=\"end\" x=\"{}\" y=\"{:.1}\">{}</text>\n",
            MARGIN[0],
            WIDTH - MARGIN[1],
            MARGIN[0] - 8.0,
            y(*v) + 4.0,
            short(*v),
            y = y(*v),
        )
    };
    let mark = |v: &f64| {
        let at = HEIGHT - MARGIN[3] + 18.0;
        format!(
            "<text class=\"mid\" x=\"{:.1}\" y=\"{at:.1}\">{}</text>\n",
            x(*v),
            short(*v)
        )
    };
    let path: Vec<String> = points.iter().map(|p| format!("{:.1},{:.1}", x(p.0), y(p.1))).collect();
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"from {:.3} to {:.3}\">\n{}{}\
         <text class=\"mid\" x=\"{:.1}\" y=\"{:.1}\">{axis}</text>\n<polyline class=\"curve\" points=\"{}\"/>\n</svg>\n",
        points.first().map_or(0.0, |p| p.1),
        points.last().map_or(0.0, |p| p.1),
        up.iter().map(level).collect::<String>(),
        across.iter().map(mark).collect::<String>(),
        WIDTH / 2.0,
        HEIGHT - 6.0,
        path.join(" "),
    )
}

/// A number without the digits that its binary form brings.
fn short(v: f64) -> String {
    let text = format!("{v:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_has_its_points_and_round_marks() {
        let svg = curve(&[(0.0, 0.1), (1.0, 0.3), (2.0, f64::NAN)], "t");
        assert!(svg.contains(">0.3</text>") && svg.contains(">t</text>"), "{svg}");
        assert_eq!(svg.matches(',').count(), 2);
        assert!(curve(&[], "t").is_empty());
    }
}
