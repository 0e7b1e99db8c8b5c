//! Convolutions of single channels of a signal that is reflected at its ends, made of what a device has.
//!
//! A device pads with zeros. Only outputs near an end see the difference, and each of them is a sum over a few positions that lie inside of
//! its window anyway: so that sum is a convolution of its own, which a mask over positions keeps for that output alone.

use super::layers::Geometry;
use super::net::{Net, Result};
use super::source::What;
use super::tensor::{Kind, Tensor};
use super::view::View;

impl Net {
    /// The convolution of each channel of `view`, of axes sample, channel and time, with each of `kernels`, which are of one length: channel
    /// `c * kernels + j` of the output is that of channel `c` with kernel `j`. `pad` positions are reflected at both ends, the last itself left out.
    pub fn reflected(&mut self, view: &View, kernels: &[Vec<f64>], stride: usize, pad: usize) -> Result<View> {
        let (sizes, taps) = (view.sizes(), kernels.first().map_or(0, Vec::len));
        let &[_, channels, positions] = &sizes[..] else {
            return Err("it reflects what is no signal, which is not known".to_string());
        };
        if pad >= positions || taps > positions + 2 * pad || stride == 0 || taps == 0 {
            return Err(format!(
                "{positions} positions are too few to reflect {pad} of them at an end"
            ));
        }
        let outputs = (positions + 2 * pad - taps) / stride + 1;
        let mut sum = self.of_each_channel(view, kernels, channels, stride, pad)?;
        for at in 0..outputs {
            let Some(folded) = folded(kernels, (at * stride, pad), positions)? else {
                continue;
            };
            let edge = self.of_each_channel(view, &folded, channels, stride, pad)?;
            let mut mask = vec![0.0; outputs];
            mask[at] = 1.0;
            let sizes = self.sources[edge.source].sizes.clone();
            let mask = self.add(
                vec![1, 1, outputs],
                What::Constant(Tensor::new(Kind::F32, vec![1, 1, outputs], mask)),
            )?;
            let factor = self.whole(mask);
            let x = edge.source;
            let kept = self.add(sizes, What::Product { x, factor })?;
            sum = self.sum(&sum, &edge.over(kept))?;
        }
        Ok(sum)
    }

    fn of_each_channel(
        &mut self,
        view: &View,
        kernels: &[Vec<f64>],
        channels: usize,
        stride: usize,
        pad: usize,
    ) -> Result<View> {
        let data = kernels.concat().repeat(channels);
        let sizes = vec![channels * kernels.len(), 1, kernels[0].len()];
        let geometry = Geometry {
            stride: [1, stride],
            pad: [0, pad, 0, pad],
            dilation: [1; 2],
            groups: channels,
            output_pad: None,
        };
        self.conv(view, Tensor::new(Kind::F32, sizes, data), None, geometry)
    }

    /// Nearest-neighbour repetition of a vector, of axes sample and channel, at so many positions, in steps that a device can take.
    pub fn spread_over(&mut self, vector: &View, positions: usize) -> Result<View> {
        const MOST: usize = 15;
        let mut view = vector.unsqueezed(2).ok_or("it is no vector")?;
        let mut left = positions;
        while left > 1 {
            let factor = (2..=MOST).rev().find(|f| left.is_multiple_of(*f)).unwrap_or(left);
            view = self.upsampled(&view, [1, factor])?;
            left /= factor;
        }
        Ok(view)
    }

    /// Channels `c * 2` and `c * 2 + 1` of `view`, a signal, as the even and odd positions of channel `c`.
    pub fn interleaved(&mut self, view: &View) -> Result<View> {
        let x = self.image(view)?;
        let [channels, rows, cols] = self.shape(x)?;
        let source = self.add(vec![channels / 2, rows, 2 * cols], What::Blocks { x, block: [1, 2] })?;
        Ok(self.shown_as(source, 3))
    }
}

/// What taps beyond the ends read of the signal, as taps of the same window that begins at `first - pad`; `None` where none is beyond.
fn folded(kernels: &[Vec<f64>], (first, pad): (usize, usize), positions: usize) -> Result<Option<Vec<Vec<f64>>>> {
    let mut folded = vec![vec![0.0; kernels[0].len()]; kernels.len()];
    let mut beyond = false;
    for tap in 0..kernels[0].len() {
        let (at, start) = (first + tap, first);
        let inside = match at {
            at if at < pad => pad - at,
            at if at - pad >= positions => 2 * (positions - 1) - (at - pad),
            _ => continue,
        };
        let own = (inside + pad).checked_sub(start).filter(|own| *own < kernels[0].len());
        let own = own.ok_or("a reflected position lies outside of its own window, which is not known")?;
        for (to, from) in folded.iter_mut().zip(kernels) {
            to[own] += from[tap];
            beyond |= from[tap] != 0.0;
        }
    }
    Ok(beyond.then_some(folded))
}

#[cfg(test)]
mod tests {
    use super::folded;

    /// A window of 8 whose first three positions lie before a signal of 6: they are its positions 3, 2 and 1.
    #[test]
    fn taps_beyond_an_end_are_folded_back() {
        let kernel: Vec<f64> = (1..=8).map(f64::from).collect();
        let found = folded(&[kernel], (0, 3), 6).unwrap().unwrap();
        assert_eq!(found[0], [0.0, 0.0, 0.0, 0.0, 3.0, 2.0, 1.0, 0.0]);
        assert!(folded(&[vec![1.0; 3]], (3, 1), 8).unwrap().is_none());
    }
}
