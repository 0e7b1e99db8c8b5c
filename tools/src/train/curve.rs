//! The loss over a run, as numbers and as a picture.

use crate::images::Picture;
use serde::{Deserialize, Serialize};

/// Losses so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Step, mean loss of the batches since the point before, learning rate.
    pub train: Vec<(u64, f64, f64)>,
    /// Step, loss of the averaged weights on held-out images.
    pub held_out: Vec<(u64, f64)>,
    /// Sum and number of the losses since the last point.
    pub pending: (f64, u64),
}

const WIDTH: usize = 640;
const HEIGHT: usize = 360;
/// Room for the labels: left and bottom; right and top.
const MARGIN: [usize; 2] = [44, 12];
const INK: [u8; 3] = [96, 96, 96];
const LINE: [u8; 3] = [225, 225, 225];
const TRAIN: [u8; 3] = [150, 185, 225];
const HELD_OUT: [u8; 3] = [200, 60, 40];

impl Curve {
    /// Notes a step's loss; every `every` steps their mean becomes a point.
    pub fn note(&mut self, step: u64, loss: f64, rate: f64, every: u64) {
        self.pending.0 += loss;
        self.pending.1 += 1;
        if step.is_multiple_of(every.max(1)) {
            let (sum, count) = std::mem::take(&mut self.pending);
            self.train.push((step, sum / count as f64, rate));
        }
    }

    /// The latest mean of the batches' losses.
    #[must_use]
    pub fn latest(&self) -> Option<f64> {
        let pending = (self.pending.1 > 0).then(|| self.pending.0 / self.pending.1 as f64);
        self.train.last().map(|p| p.1).or(pending)
    }

    /// Comma-separated values: step, training loss, learning rate, held-out loss where it was measured.
    #[must_use]
    pub fn csv(&self) -> String {
        let mut text = "step,loss,rate,held_out\n".to_owned();
        let mut rows: Vec<(u64, String)> = self
            .train
            .iter()
            .map(|(s, l, r)| (*s, format!("{s},{l:.6},{r:.3e},\n")))
            .collect();
        rows.extend(self.held_out.iter().map(|(s, l)| (*s, format!("{s},,,{l:.6}\n"))));
        rows.sort_by_key(|row| row.0);
        rows.iter().for_each(|row| text += &row.1);
        text
    }

    /// Both losses over steps, the loss on a logarithmic axis: training in blue, held out in red.
    #[must_use]
    pub fn picture(&self, steps: u64) -> Picture {
        let mut canvas = Canvas::new();
        let values = || {
            self.train
                .iter()
                .map(|p| p.1)
                .chain(self.held_out.iter().map(|p| p.1))
                .filter(|v| *v > 0.0)
        };
        let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
        if low > high {
            return canvas.0;
        }
        let (low, high) = ((low * 0.9).ln(), (high * 1.1).ln());
        let x = |step: u64| {
            let room = (WIDTH - MARGIN[0] - MARGIN[1]) as f64;
            MARGIN[0] as f64 + room * step as f64 / steps.max(1) as f64
        };
        let y = |v: f64| {
            let room = (HEIGHT - MARGIN[0] / 2 - MARGIN[1]) as f64;
            MARGIN[1] as f64 + room * (1.0 - (v.max(1e-12).ln() - low) / (high - low))
        };
        for mark in marks(low.exp(), high.exp()) {
            canvas.line([x(0), y(mark)], [x(steps), y(mark)], LINE);
            canvas.number(MARGIN[0] - 4, y(mark) as usize + 2, &short(mark));
        }
        for quarter in 0..=4 {
            let step = steps * quarter / 4;
            canvas.number((x(step) as usize + 12).min(WIDTH - 4), HEIGHT - 5, &step.to_string());
        }
        let points = |all: Vec<(u64, f64)>| all.into_iter().map(|(s, v)| [x(s), y(v)]).collect::<Vec<_>>();
        let train = points(self.train.iter().map(|p| (p.0, p.1)).collect());
        train.windows(2).for_each(|p| canvas.line(p[0], p[1], TRAIN));
        let held_out = points(self.held_out.clone());
        held_out.windows(2).for_each(|p| canvas.line(p[0], p[1], HELD_OUT));
        held_out.iter().for_each(|p| canvas.dot(*p, HELD_OUT));
        canvas.0
    }
}

/// 1, 2 and 5 times powers of ten between two values.
fn marks(low: f64, high: f64) -> Vec<f64> {
    let powers = (low.log10().floor() as i32)..=(high.log10().ceil() as i32);
    let all = powers.flat_map(|p| [1.0, 2.0, 5.0].map(|m| m * 10f64.powi(p)));
    all.filter(|v| (low..=high).contains(v)).collect()
}

/// A number of one digit that matters.
fn short(v: f64) -> String {
    let digits = (-v.log10().floor()).max(0.0) as usize;
    format!("{v:.digits$}")
}

/// A white page.
struct Canvas(Picture);

impl Canvas {
    fn new() -> Self {
        Self(Picture {
            width: WIDTH,
            height: HEIGHT,
            channels: 3,
            data: vec![255; WIDTH * HEIGHT * 3],
        })
    }

    fn set(&mut self, x: usize, y: usize, color: [u8; 3]) {
        if x < WIDTH && y < HEIGHT {
            self.0.data[(y * WIDTH + x) * 3..][..3].copy_from_slice(&color);
        }
    }

    fn line(&mut self, from: [f64; 2], to: [f64; 2], color: [u8; 3]) {
        let far = (to[0] - from[0]).abs().max((to[1] - from[1]).abs()).ceil().max(1.0);
        for i in 0..=far as usize {
            let at = |k: usize| from[k] + (to[k] - from[k]) * i as f64 / far;
            self.set(at(0).round() as usize, at(1).round() as usize, color);
        }
    }

    fn dot(&mut self, [x, y]: [f64; 2], color: [u8; 3]) {
        for dy in 0..3 {
            for dx in 0..3 {
                self.set(
                    (x.round() as usize + dx).saturating_sub(1),
                    (y.round() as usize + dy).saturating_sub(1),
                    color,
                );
            }
        }
    }

    /// Digits and points that end at `right`, above `bottom`.
    fn number(&mut self, right: usize, bottom: usize, text: &str) {
        /// Rows of three pixels, as bits, of the digits and the point.
        const GLYPHS: [[u8; 5]; 11] = [
            [7, 5, 5, 5, 7],
            [2, 6, 2, 2, 7],
            [7, 1, 7, 4, 7],
            [7, 1, 7, 1, 7],
            [5, 5, 7, 1, 1],
            [7, 4, 7, 1, 7],
            [7, 4, 7, 5, 7],
            [7, 1, 1, 2, 2],
            [7, 5, 7, 5, 7],
            [7, 5, 7, 1, 7],
            [0, 0, 0, 0, 2],
        ];
        let left = right.saturating_sub(4 * text.len());
        for (i, c) in text.chars().enumerate() {
            let glyph = GLYPHS[c.to_digit(10).map_or(10, |d| d as usize)];
            for (y, row) in glyph.iter().enumerate() {
                for x in (0..3).filter(|x| row >> (2 - x) & 1 == 1) {
                    self.set(left + 4 * i + x, (bottom + y).saturating_sub(5), INK);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_means_and_the_picture_shows_both_losses() {
        let mut curve = Curve::default();
        (1..=10).for_each(|i| curve.note(i, i as f64, 0.1, 5));
        assert_eq!(curve.train, [(5, 3.0, 0.1), (10, 8.0, 0.1)]);
        curve.held_out = vec![(5, 2.0), (10, 1.0)];
        assert_eq!(curve.csv().lines().count(), 5);
        let picture = curve.picture(10);
        for color in [TRAIN, HELD_OUT] {
            assert!(picture.data.chunks(3).any(|p| p == color));
        }
    }
}
