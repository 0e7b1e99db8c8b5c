//! Borders that are no zeros, and resampling that depends on the place: made of single-channel convolutions and constants over positions.

use super::layers::{Geometry, MOST_SPAN};
use super::net::{Net, Result};
use super::source::What;
use super::tensor::{Kind, Tensor};
use super::view::View;
use mote_graph::ops::Pool;

/// What stands beyond an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Border {
    /// The last position again.
    Replicate,
    /// The positions before it, the last itself left out.
    Reflect,
}

impl Border {
    /// How far inside of the end the position lies that stands `beyond` positions behind it, from there.
    fn back(self, beyond: usize) -> usize {
        match self {
            Self::Replicate => beyond,
            Self::Reflect => 2 * beyond,
        }
    }
}

impl Net {
    /// `view`, an image or a signal, with such positions at top, left, bottom and right.
    pub(super) fn bordered(&mut self, view: &View, pad: [usize; 4], border: Border) -> Result<View> {
        let mut x = self.image(view)?;
        for axis in [0, 1] {
            let (before, behind) = (pad[axis], pad[axis + 2]);
            if before + behind > 0 {
                x = self.bordered_axis(x, axis, [before, behind], border)?;
            }
        }
        Ok(self.shown_as(x, view.axes.len()))
    }

    fn bordered_axis(&mut self, x: usize, axis: usize, [before, behind]: [usize; 2], border: Border) -> Result<usize> {
        let sizes = self.shape(x)?;
        let own = sizes[1 + axis];
        let reach = border.back(before.max(behind));
        let least = if border == Border::Reflect {
            before.max(behind) + 1
        } else {
            1
        };
        if 2 * reach + 1 > MOST_SPAN || own < least {
            return Err(format!(
                "it continues {own} positions by {before} and {behind}, which is too far: pad with zeros in its place"
            ));
        }
        let mut sum = self.shifted(x, axis, [before, behind], 0, reach)?;
        let firsts = (0..before).map(|at| (at, border.back(before - at) as i64));
        let lasts = (0..behind).map(|at| (before + own + at, -(border.back(at + 1) as i64)));
        for (at, shift) in firsts.chain(lasts) {
            let moved = self.shifted(x, axis, [before, behind], shift, reach)?;
            let mut kept = vec![0.0; before + own + behind];
            kept[at] = 1.0;
            let kept = self.by_place(moved, axis, &kept)?;
            let (a, b) = (self.whole(sum), self.whole(kept));
            sum = self.sum(&a, &b)?.source;
        }
        Ok(sum)
    }

    /// Position i of the result is position `i - before + shift` of `x`, or 0.
    fn shifted(
        &mut self,
        x: usize,
        axis: usize,
        [before, behind]: [usize; 2],
        shift: i64,
        reach: usize,
    ) -> Result<usize> {
        let channels = self.shape(x)?[0];
        let mut kernel = vec![0.0; 2 * reach + 1];
        kernel[(reach as i64 + shift) as usize] = 1.0;
        let mut pad = [0; 4];
        pad[axis] = before + reach;
        pad[axis + 2] = behind + reach;
        self.each_channel_conv(x, axis, &kernel, pad, channels)
    }

    /// One kernel along an axis for every channel by itself.
    fn each_channel_conv(
        &mut self,
        x: usize,
        axis: usize,
        kernel: &[f64],
        pad: [usize; 4],
        channels: usize,
    ) -> Result<usize> {
        let mut sizes = vec![channels, 1, 1, 1];
        sizes[2 + axis] = kernel.len();
        let weight = Tensor::new(Kind::F32, sizes, kernel.repeat(channels));
        let geometry = Geometry {
            stride: [1; 2],
            pad,
            dilation: [1; 2],
            groups: channels,
            output_pad: None,
        };
        let image = self.shown_as(x, 4);
        Ok(self.conv(&image, weight, None, geometry)?.source)
    }

    /// `x` times a number for each row, or for each column.
    fn by_place(&mut self, x: usize, axis: usize, factors: &[f64]) -> Result<usize> {
        let sizes = self.shape(x)?;
        let [_, rows, cols] = sizes;
        let data: Vec<f64> = (0..rows * cols)
            .map(|at| factors[if axis == 0 { at / cols } else { at % cols }])
            .collect();
        let plane = vec![1, rows, cols];
        let plane = self.add(plane.clone(), What::Constant(Tensor::new(Kind::F64, plane, data)))?;
        let factor = self.whole(plane);
        self.add(sizes.to_vec(), What::Product { x, factor })
    }

    /// Linear resampling to twice the extents with both ends on ends: out of nearest neighbours `u`, `u + f (n - u)`, where `n` is the other
    /// neighbour, `u` before plus `u` behind minus `u`, and f depends on the place.
    pub(super) fn interpolated_ends(&mut self, view: &View, factors: [usize; 2]) -> Result<View> {
        let mut x = self.image(view)?;
        for axis in (0..2).filter(|axis| factors[*axis] == 2) {
            let own = self.shape(x)?[1 + axis];
            let mut by = [1, 1];
            by[axis] = 2;
            let image = self.shown_as(x, 4);
            let up = self.upsampled(&image, by)?;
            let up = self.image(&up)?;
            let channels = self.shape(up)?[0];
            let mut pad = [0; 4];
            (pad[axis], pad[axis + 2]) = (1, 1);
            let other = self.each_channel_conv(up, axis, &[1.0, -1.0, 1.0], pad, channels)?;
            let share = |at: usize| {
                let steps = if at.is_multiple_of(2) { at / 2 } else { own - 1 - at / 2 };
                steps as f64 / (2 * own - 1) as f64
            };
            let shares: Vec<f64> = (0..2 * own).map(share).collect();
            let rest: Vec<f64> = shares.iter().map(|share| 1.0 - share).collect();
            let (a, b) = (self.by_place(up, axis, &rest)?, self.by_place(other, axis, &shares)?);
            let (a, b) = (self.whole(a), self.whole(b));
            x = self.sum(&a, &b)?.source;
        }
        Ok(self.shown_as(x, view.axes.len()))
    }

    /// Every so many rows and columns.
    pub(super) fn every(&mut self, view: &View, stride: [usize; 2]) -> Result<View> {
        let window = [1, 1];
        self.pooled(
            view,
            Pool {
                window,
                stride,
                max: true,
            },
        )
    }
}
