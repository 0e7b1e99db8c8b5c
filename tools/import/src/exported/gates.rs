//! Layers that are a few others: gated units, slopes by channel, weighted means, means over all positions.

use super::aten::Call;
use super::layers::MOST_SPAN;
use super::net::{Net, Result};
use super::operands::{Value, axis};
use super::source::Map;
use super::tensor::{Kind, Tensor};
use super::view::{View, size};
use mote_graph::ops::{Function, Pool, Setting};

impl Call<'_> {
    /// The first half of an axis times the sigmoid of the second (Dauphin et al. 2017).
    pub(super) fn gated(&self, net: &mut Net) -> Result<View> {
        let view = self.input()?;
        let dim = axis(self.node.int_or("dim", -1)?, view.axes.len())?;
        let half = size(&view.axes[dim]) / 2;
        let parts = view.sliced(dim, 0, half, 1).zip(view.sliced(dim, half, half, 1));
        let (value, gate) = parts.ok_or("its axis has no halves")?;
        let gate = net.map(&gate, Map::Function(Function::Sigmoid))?;
        net.product(&value, &gate)
    }

    /// `max(x, 0) + slope * min(x, 0)` with a slope for all channels, or for each (He et al. 2015).
    pub(super) fn sloped(&self, net: &mut Net) -> Result<View> {
        let view = self.input()?;
        let slopes = self.any(&["weight"])?.constant()?;
        if let Some(slope) = slopes.scalar() {
            return net.map(view, Map::Function(Function::LeakyRelu(Setting::new(slope))));
        }
        let rest = vec![1; view.axes.len().saturating_sub(2)];
        let slopes = Tensor {
            sizes: [&[slopes.data.len()][..], &rest].concat(),
            ..slopes.clone()
        };
        let relu = Map::Function(Function::Relu);
        let above = net.map(view, relu)?;
        let turned = Map::Affine {
            scale: -1.0,
            shift: 0.0,
        };
        let below = net.map(view, turned)?;
        let below = net.map(&below, relu)?;
        let minus = Tensor::new(
            Kind::F64,
            slopes.sizes.clone(),
            slopes.data.iter().map(|v| -v).collect::<Vec<_>>(),
        );
        let below = net.times(&below, &minus)?;
        net.sum(&above, &below)
    }

    /// `a + w (b - a)` with a number `w`.
    pub(super) fn between(&self, net: &mut Net) -> Result<View> {
        let weight = self.value("weight").and_then(|value| value.constant().ok()?.scalar());
        let weight = weight.ok_or("its weight is no single number")?;
        let (a, b) = (
            self.as_activation(net, self.any(&["self"])?)?,
            self.as_activation(net, self.any(&["end"])?)?,
        );
        let (a, b) = (net.scaled(&a, 1.0 - weight)?, net.scaled(&b, weight)?);
        net.sum(&a, &b)
    }

    /// Means over equal parts of the positions, down to the extents that are asked for.
    pub(super) fn averaged_to(&self, net: &mut Net) -> Result<View> {
        let view = self.input()?;
        let own = view.sizes();
        let own = &own[2.min(own.len())..];
        let wanted = self.node.ints("output_size")?.unwrap_or_default();
        let wanted = if wanted.len() == 1 {
            vec![wanted[0]; own.len()]
        } else {
            wanted
        };
        let part = |(size, wanted): (&usize, &i64)| {
            let wanted = usize::try_from(*wanted).ok().filter(|wanted| *wanted > 0)?;
            size.is_multiple_of(wanted).then(|| size / wanted)
        };
        let parts: Option<Vec<usize>> = own.iter().zip(&wanted).map(part).collect();
        match parts.filter(|_| wanted.len() == own.len()).as_deref() {
            Some([cols]) => averaged(net, view, [1, *cols]),
            Some([rows, cols]) => averaged(net, view, [*rows, *cols]),
            _ => Err(format!(
                "it makes {wanted:?} means of {own:?} positions; equal parts are known"
            )),
        }
    }

    /// A mean over all positions, or over the blocks of a picture that was cut into them; `None` where it is another.
    pub(super) fn averaged_over(&self, net: &mut Net) -> Result<Option<View>> {
        let (view, dims) = (self.input()?, self.node.ints("dim")?.unwrap_or_default());
        let sizes = view.sizes();
        let dims: Result<Vec<usize>> = dims.into_iter().map(|dim| axis(dim, sizes.len())).collect();
        let mut dims = dims?;
        dims.sort_unstable();
        let keeps = self.node.flag("keepdim");
        if sizes.len() == 6 && dims == [3, 5] && !keeps {
            let picture = view.reshaped(&[sizes[0], sizes[1], sizes[2] * sizes[3], sizes[4] * sizes[5]]);
            let picture = picture.ok_or("its blocks lie in another order")?;
            return averaged(net, &picture, [sizes[3], sizes[5]]).map(Some);
        }
        let whole = sizes.len() == 4 && dims == [2, 3];
        if !whole {
            return Ok(None);
        }
        let mean = averaged(net, view, [sizes[2], sizes[3]])?;
        match keeps {
            true => Ok(Some(mean)),
            false => Ok(mean.reshaped(&sizes[..2])),
        }
    }
}

/// Means over blocks, in windows that a device has.
fn averaged(net: &mut Net, view: &View, block: [usize; 2]) -> Result<View> {
    let mut left = block;
    let mut found = view.clone();
    while left != [1, 1] {
        let of = |size: usize| (1..=MOST_SPAN).rev().find(|n| size.is_multiple_of(*n)).unwrap_or(1);
        let window = left.map(of);
        if window == [1, 1] {
            return Err(format!(
                "it is a mean over {block:?} positions, which no windows up to {MOST_SPAN} make"
            ));
        }
        let max = false;
        found = net.pooled(
            &found,
            Pool {
                window,
                stride: window,
                max,
            },
        )?;
        left = [left[0] / window[0], left[1] / window[1]];
    }
    Ok(found)
}

/// A weight of a direction and a length (Salimans and Kingma 2016): `v` times `g` over the norm of `v` on all axes but `dim`.
pub(super) fn weight_norm(call: &Call<'_>) -> Result<Value> {
    let (v, g) = (call.any(&["v"])?.constant()?, call.any(&["g"])?.constant()?);
    let dim = call.node.int_or("dim", 0)?;
    let each = match usize::try_from(dim) {
        Ok(dim) if dim < v.sizes.len() => Some(dim),
        _ => None,
    };
    let inner = each.map_or(v.data.len().max(1), |dim| v.sizes[dim + 1..].iter().product());
    let groups = each.map_or(1, |dim| v.sizes[dim]);
    if g.data.len() != groups {
        return Err(format!("it has {} lengths for {groups} directions", g.data.len()));
    }
    let kind = v.kind;
    let of = |v: &[f64], g: &[f64], round: bool| -> Vec<f64> {
        let mut squares = vec![0.0; groups];
        let group = |at: usize| at / inner % groups;
        v.iter().enumerate().for_each(|(at, v)| squares[group(at)] += v * v);
        let value = |(at, v): (usize, &f64)| v * (g[group(at)] / libm::sqrt(squares[group(at)]));
        let rounded = |value: f64| if round { kind.round(value) } else { value };
        v.iter().enumerate().map(value).map(rounded).collect()
    };
    let (data, exact) = (of(&v.data, &g.data, true), of(&v.exact, &g.exact, false));
    Ok(Value::Constant(
        Tensor::new(v.kind, v.sizes.clone(), data).exactly(exact),
    ))
}
