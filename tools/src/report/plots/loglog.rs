//! Falling curves on two logarithmic axes, as an SVG file that stands alone.

use crate::report::text::escape;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 420.0;
/// Room for the labels: left, right, top, bottom.
const MARGIN: [f64; 4] = [72.0, 24.0, 44.0, 52.0];
/// Colours that can be told apart on light and on dark, without their hue too.
const COLOURS: [&str; 4] = ["#0f9d8f", "#c2661d", "#7a5fd0", "#5f6670"];

/// One curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// What it is of.
    pub name: String,
    /// `(x, y)`, both above 0; others are left out.
    pub points: Vec<(f64, f64)>,
}

/// The plot of `series`.
pub fn loglog(title: &str, x_name: &str, y_name: &str, series: &[Series]) -> String {
    let all: Vec<(f64, f64)> = series.iter().flat_map(|s| drawable(&s.points)).collect();
    let (x, y) = (Axis::over(all.iter().map(|p| p.0)), Axis::over(all.iter().map(|p| p.1)));
    let [left, right, top, bottom] = MARGIN;
    let (far, low) = (WIDTH - right, HEIGHT - bottom);
    let at_x = |v: f64| left + (far - left) * x.share(v);
    let at_y = |v: f64| low - (low - top) * y.share(v);
    let mut body = String::new();
    for mark in y.powers() {
        let at = at_y(mark);
        body += &format!(
            "<line class=\"grid\" x1=\"{left}\" x2=\"{far}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/><text class=\"end\" x=\"{:.1}\" y=\"{:.1}\">{mark:e}</text>\n",
            left - 8.0,
            at + 4.0,
        );
    }
    let mut marks: Vec<f64> = all.iter().map(|p| p.0).collect();
    marks.sort_by(f64::total_cmp);
    marks.dedup();
    for mark in marks {
        let at = at_x(mark);
        body += &format!(
            "<text class=\"mid\" x=\"{at:.1}\" y=\"{:.1}\">{mark}</text>\n",
            low + 18.0
        );
    }
    for (i, one) in series.iter().enumerate() {
        let colour = COLOURS[i % COLOURS.len()];
        let points: Vec<String> = drawable(&one.points)
            .map(|(a, b)| format!("{:.1},{:.1}", at_x(a), at_y(b)))
            .collect();
        body += &format!(
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{}\"/>\n",
            points.join(" ")
        );
        for (a, b) in drawable(&one.points) {
            body += &format!(
                "<circle fill=\"{colour}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"><title>{a}: {b:.3e}</title></circle>\n",
                at_x(a),
                at_y(b)
            );
        }
        let line = low - 12.0 - 18.0 * (series.len() - 1 - i) as f64;
        body += &format!(
            "<circle fill=\"{colour}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\"/><text x=\"{:.1}\" y=\"{line:.1}\">{}</text>\n",
            left + 16.0,
            line - 4.0,
            left + 28.0,
            escape(&one.name)
        );
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\">\n\
         <style>text{{font:12px system-ui,sans-serif;fill:#6b7280}}.mid{{text-anchor:middle}}.end{{text-anchor:end}}\
         .grid{{stroke:#6b7280;stroke-opacity:.3}}.title{{font-size:14px}}</style>\n\
         <text class=\"title\" x=\"{left}\" y=\"24\">{}</text>\n{body}\
         <text class=\"mid\" x=\"{:.1}\" y=\"{:.1}\">{}</text>\n\
         <text class=\"mid\" transform=\"translate(16 {:.1}) rotate(-90)\">{}</text>\n</svg>\n",
        escape(title),
        (left + far) / 2.0,
        HEIGHT - 10.0,
        escape(x_name),
        (top + low) / 2.0,
        escape(y_name),
    )
}

fn drawable(points: &[(f64, f64)]) -> impl Iterator<Item = (f64, f64)> + '_ {
    let positive = |v: f64| v.is_finite() && v > 0.0;
    points.iter().copied().filter(move |p| positive(p.0) && positive(p.1))
}

/// A logarithmic axis from one end to the other.
struct Axis {
    low: f64,
    high: f64,
}

impl Axis {
    fn over(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
        if low <= high {
            let (low, high) = (low.log10(), high.log10());
            // A little room, and never nothing.
            let room = (high - low).max(0.1) * 0.04;
            return Self {
                low: low - room,
                high: high + room,
            };
        }
        Self { low: 0.0, high: 1.0 }
    }

    fn share(&self, v: f64) -> f64 {
        (v.log10() - self.low) / (self.high - self.low)
    }

    fn powers(&self) -> impl Iterator<Item = f64> {
        (self.low.ceil() as i32..=self.high.floor() as i32).map(|power| 10f64.powi(power))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_law_is_a_straight_line() {
        let points = vec![(10.0, 1e-1), (100.0, 1e-3), (1000.0, 1e-5)];
        let name = "a < b".to_owned();
        let svg = loglog("t", "x", "y", &[Series { name, points }]);
        let line = svg.lines().find(|line| line.starts_with("<polyline")).unwrap();
        let at: Vec<f64> = line
            .split("points=\"")
            .nth(1)
            .unwrap()
            .trim_end_matches("\"/>")
            .split([' ', ','])
            .map(|v| v.parse().unwrap())
            .collect();
        assert!(
            (at[2] - (at[0] + at[4]) / 2.0).abs() < 0.11 && (at[3] - (at[1] + at[5]) / 2.0).abs() < 0.11,
            "{at:?}"
        );
        assert!(svg.contains("a &lt; b") && svg.contains(">1e-3<"));
    }

    #[test]
    fn nothing_drawable_is_no_error() {
        let points = vec![(0.0, 1.0), (1.0, f64::NAN), (2.0, -1.0)];
        let svg = loglog(
            "t",
            "x",
            "y",
            &[Series {
                name: String::new(),
                points,
            }],
        );
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }
}
