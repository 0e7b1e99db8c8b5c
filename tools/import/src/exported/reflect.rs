//! Convolutions of single channels of a signal that is reflected at its ends, made of what a device has.
//!
//! A device pads with zeros. Only outputs near an end see the difference, and each of them is a sum over a few positions that lie inside of
//! its window anyway: so that sum is a convolution of its own, which a mask over positions keeps for that output alone.

use super::layers::{Geometry, MOST_SPAN};
use super::net::{Net, Result};
use super::source::What;
use super::tensor::{Kind, Tensor};
use super::view::{Atom, View, normal};

impl Net {
    /// The convolution of each channel of `view`, of axes sample, channel and time, with each of `kernels`, which are of one length: channel
    /// `c * kernels + j` of the output is that of channel `c` with kernel `j`. `pad` positions are reflected at both ends, the last itself left out.
    pub fn reflected(&mut self, view: &View, kernels: &[Vec<f64>], stride: usize, pad: usize) -> Result<View> {
        let channels = view.sizes().get(1).copied().unwrap_or(1);
        let taps = kernels.first().map_or(0, Vec::len);
        let sizes = vec![channels * kernels.len(), 1, taps];
        let weight = Tensor::new(Kind::F32, sizes, kernels.concat().repeat(channels));
        self.reflected_by(view, (weight, None), (stride, channels), pad)
    }

    /// A convolution of a signal by `weight` `(out, in / groups, tap)`, `pad` positions of which are reflected at both ends.
    pub fn reflected_by(
        &mut self,
        view: &View,
        (weight, bias): (Tensor, Option<Tensor>),
        (stride, groups): (usize, usize),
        pad: usize,
    ) -> Result<View> {
        let (sizes, taps) = (view.sizes(), weight.sizes.last().copied().unwrap_or(0));
        let &[_, _, positions] = &sizes[..] else {
            return Err("it reflects what is no signal, which is not known".to_string());
        };
        if pad >= positions || taps > positions + 2 * pad || stride == 0 || taps == 0 || weight.sizes.len() != 3 {
            return Err(format!(
                "{positions} positions are too few to reflect {pad} of them at an end"
            ));
        }
        let geometry = Geometry {
            stride: [1, stride],
            pad: [0, pad, 0, pad],
            dilation: [1; 2],
            groups,
            output_pad: None,
        };
        let outputs = (positions + 2 * pad - taps) / stride + 1;
        let mut sum = self.conv(view, weight.clone(), bias, geometry)?;
        for at in 0..outputs {
            let Some(folded) = folded(&weight.data, taps, (at * stride, pad), positions)? else {
                continue;
            };
            let edge = Tensor::new(weight.kind, weight.sizes.clone(), folded);
            let edge = self.conv(view, edge, None, geometry)?;
            let mut mask = vec![0.0; outputs];
            mask[at] = 1.0;
            let sizes = self.sources[edge.source].sizes.clone();
            let mask = Tensor::new(Kind::F32, vec![1, 1, outputs], mask);
            let mask = self.add(vec![1, 1, outputs], What::Constant(mask))?;
            let factor = self.whole(mask);
            let x = edge.source;
            let kept = self.add(sizes, What::Product { x, factor })?;
            sum = self.sum(&sum, &edge.over(kept))?;
        }
        Ok(sum)
    }

    /// A transposed convolution in steps of 2, with one kernel for every channel by itself. `pad` positions of the signal are reflected
    /// at both ends, and `cut` positions of the result are left out. Even and odd positions are convolutions of their own.
    pub fn reflected_up(&mut self, view: &View, kernel: &[f64], pad: usize, cut: usize) -> Result<View> {
        let positions = view.sizes().last().copied().unwrap_or(0);
        // Position 2 m + r of the result reads position m + d of the padded signal by tap r + cut - 2 d.
        let reach = |r: usize| {
            let most = (r + cut) / 2;
            let least = (r + cut + 1).saturating_sub(kernel.len()).div_ceil(2);
            (least, most)
        };
        let (least, most) = (reach(0).0.min(reach(1).0), reach(0).1.max(reach(1).1));
        let wanted = (positions + 2 * pad).checked_sub(1).map(|last| 2 * last + kernel.len());
        let same = wanted.and_then(|all| all.checked_sub(2 * cut)) == Some(2 * positions);
        if !same || most != least + 2 * pad || least != 0 {
            return Err("it is transposed behind reflected ends, and does not double its positions".to_string());
        }
        let phase = |r: usize| -> Vec<f64> {
            let tap = |d: usize| (r + cut).checked_sub(2 * d).and_then(|tap| kernel.get(tap).copied());
            (least..=most).map(|d| tap(d).unwrap_or(0.0)).collect()
        };
        let doubled = self.reflected(view, &[phase(0), phase(1)], 1, pad)?;
        self.interleaved(&doubled)
    }

    /// `view` where a vector is repeated along all positions, as an activation that has them; `view` itself otherwise.
    pub fn unrolled(&mut self, view: &View, axis: usize) -> Result<View> {
        let repeats = |i: usize| i != axis && view.axes[i].iter().any(|atom| atom.stride == 0);
        let along: Vec<usize> = (0..view.axes.len()).filter(|i| repeats(*i)).collect();
        let vector = self.sources[view.source].sizes.get(1..) == Some(&[1, 1]);
        if along.is_empty() || along.len() > 2 || !vector {
            return Ok(view.clone());
        }
        let extents = view.sizes();
        let mut base = view.clone();
        along.iter().for_each(|i| base.axes[*i] = vec![]);
        let x = self.channels_first(&base, &[axis], &[])?;
        let channels = extents[axis];
        let own = View {
            source: x,
            offset: 0,
            axes: vec![
                vec![],
                normal([Atom {
                    size: channels,
                    stride: 1,
                }]),
            ],
        };
        let positions: usize = along.iter().map(|i| extents[*i]).product();
        let mut spread = match along[..] {
            [_] => self.spread_over(&own, [1, positions])?,
            _ => self.spread_over(&own, [extents[along[0]], extents[along[1]]])?,
        };
        let mut axes = vec![vec![]; view.axes.len()];
        axes[axis] = normal([Atom {
            size: channels,
            stride: positions,
        }]);
        let mut stride = positions;
        for i in along {
            stride /= extents[i];
            axes[i] = normal([Atom {
                size: extents[i],
                stride,
            }]);
        }
        spread.axes = axes;
        Ok(spread)
    }

    /// Nearest-neighbour repetition of a vector, of axes sample and channel, over rows and columns, in steps that a device can take.
    pub fn spread_over(&mut self, vector: &View, extents: [usize; 2]) -> Result<View> {
        let image = vector.unsqueezed(2).and_then(|view| view.unsqueezed(3));
        let mut view = image.ok_or("it is no vector")?;
        for (i, extent) in extents.into_iter().enumerate() {
            let mut left = extent;
            while left > 1 {
                let factor = (2..=MOST_SPAN).rev().find(|f| left.is_multiple_of(*f)).unwrap_or(left);
                view = self.upsampled(&view, if i == 0 { [factor, 1] } else { [1, factor] })?;
                left /= factor;
            }
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
/// `weight` holds kernels of `taps` one after the other.
fn folded(weight: &[f64], taps: usize, (first, pad): (usize, usize), positions: usize) -> Result<Option<Vec<f64>>> {
    let mut folded = vec![0.0; weight.len()];
    let mut beyond = false;
    for tap in 0..taps {
        let at = first + tap;
        let inside = match at {
            at if at < pad => pad - at,
            at if at - pad >= positions => 2 * (positions - 1) - (at - pad),
            _ => continue,
        };
        let own = (inside + pad).checked_sub(first).filter(|own| *own < taps);
        let own = own.ok_or("a reflected position lies outside of its own window, which is not known")?;
        for (to, from) in folded.chunks_exact_mut(taps).zip(weight.chunks_exact(taps)) {
            to[own] += from[tap];
            beyond |= from[tap] != 0.0;
        }
    }
    Ok(beyond.then_some(folded))
}

/// The one kernel that a convolution has for every channel by itself: of weights that are 0 between channels, or of as many groups.
pub(super) fn own_kernel(weight: &Tensor, groups: usize) -> Option<Vec<f64>> {
    let [outs, ins, taps] = weight.sizes[..] else {
        return None;
    };
    if taps == 0 || outs != ins * groups || !(groups == 1 || ins == 1) {
        return None;
    }
    let first = weight.data.get(..taps)?;
    let fits = |(i, kernel): (usize, &[f64])| match ins {
        1 => kernel == first,
        _ if i % ins == i / ins => kernel == first,
        _ => kernel.iter().all(|v| *v == 0.0),
    };
    weight
        .data
        .chunks_exact(taps)
        .enumerate()
        .all(fits)
        .then(|| first.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A window of 8 whose first three positions lie before a signal of 6: they are its positions 3, 2 and 1.
    #[test]
    fn taps_beyond_an_end_are_folded_back() {
        let kernel: Vec<f64> = (1..=8).map(f64::from).collect();
        let found = folded(&kernel, 8, (0, 3), 6).unwrap().unwrap();
        assert_eq!(found, [0.0, 0.0, 0.0, 0.0, 3.0, 2.0, 1.0, 0.0]);
        assert!(folded(&[1.0; 3], 3, (3, 1), 8).unwrap().is_none());
    }

    #[test]
    fn kernels_of_channels_alone_are_known() {
        let weight = |sizes: [usize; 3], data: Vec<f64>| Tensor::new(Kind::F32, sizes.to_vec(), data);
        let dense = weight([2, 2, 2], vec![1.0, 2.0, 0.0, 0.0, 0.0, 0.0, 1.0, 2.0]);
        assert_eq!(own_kernel(&dense, 1), Some(vec![1.0, 2.0]));
        assert_eq!(
            own_kernel(&weight([2, 1, 2], vec![1.0, 2.0, 1.0, 2.0]), 2),
            Some(vec![1.0, 2.0])
        );
        assert_eq!(own_kernel(&weight([2, 1, 2], vec![1.0, 2.0, 1.0, 3.0]), 2), None);
    }
}
