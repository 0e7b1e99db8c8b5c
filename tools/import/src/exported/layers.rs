//! Convolutions, linear layers and resampling.

use super::layout::{repeated_inside, shown};
use super::net::{Net, Result};
use super::reflect::own_kernel;
use super::source::{Convolved, Map, What};
use super::tensor::Tensor;
use super::view::{Atom, Axis, View, normal};
use super::waves::Waves;
use mote_graph::ops::{Function, Pool};

/// Most rows or columns of a kernel, of a window, and of a repetition that a device has.
pub(super) const MOST_SPAN: usize = 15;

/// What a convolution node says beside its tensors. Pairs are (row, col).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Geometry {
    pub stride: [usize; 2],
    /// Top, left, bottom, right.
    pub pad: [usize; 4],
    pub dilation: [usize; 2],
    pub groups: usize,
    pub output_pad: Option<[usize; 2]>,
}

impl Net {
    /// A convolution of `view`, of axes sample, channel, (row,) col.
    pub fn conv(&mut self, view: &View, weight: Tensor, bias: Option<Tensor>, geometry: Geometry) -> Result<View> {
        if let What::Reflected { x, pad } = *self.what(view) {
            return self.behind_ends(view, (x, pad), weight, bias, geometry);
        }
        let weight = four(weight)?;
        let rank = view.axes.len();
        if let Some((base, factors)) = repeated_inside(view) {
            let up = self.upsampled(&base, factors)?;
            return self.conv(&up, weight, bias, geometry);
        }
        if let Some(view) = self.repeated_by(view, &weight, bias.is_none(), geometry)? {
            return Ok(view);
        }
        if geometry.output_pad.is_some() && geometry.groups != 1 {
            return Err(
                "it is transposed and has groups, which is known where it repeats each position alone".to_string(),
            );
        }
        let point = weight.sizes[2..] == [1, 1] && geometry.stride == [1; 2] && geometry.pad == [0; 4];
        if point && geometry.groups == 1 && geometry.output_pad.is_none() && rank > 2 {
            let positions: Vec<usize> = (2..rank).collect();
            return self.linear_over(view, 1, &positions, weight, bias);
        }
        let x = self.image(view)?;
        let [channels, rows, cols] = self.shape(x)?;
        let [a, b] = [weight.sizes[0], weight.sizes[1]];
        let (reads, gives) = match geometry.output_pad {
            Some(_) => (a, b),
            None => (b.saturating_mul(geometry.groups), a),
        };
        if reads != channels || geometry.groups == 0 {
            return Err(format!(
                "its weight of extents {:?} does not fit {channels} channels",
                weight.sizes
            ));
        }
        let out = |n: usize, i: usize| {
            let reach = geometry.dilation[i]
                .checked_mul(weight.sizes[2 + i].checked_sub(1)?)?
                .checked_add(1)?;
            let pads = geometry.pad[i].checked_add(geometry.pad[i + 2])?;
            let stride = geometry.stride[i];
            match geometry.output_pad {
                None => Some((n.checked_add(pads)?.checked_sub(reach)?).checked_div(stride)? + 1),
                Some(more) => (n - 1)
                    .checked_mul(stride)?
                    .checked_add(reach + more[i])?
                    .checked_sub(pads),
            }
        };
        let extents = out(rows, 0).zip(out(cols, 1)).filter(|(r, c)| *r > 0 && *c > 0);
        let (rows, cols) = extents.ok_or_else(|| format!("its kernel does not fit {rows} x {cols} positions"))?;
        if let Some(source) = self.in_columns(x, &weight, &bias, geometry)? {
            return Ok(self.shown_as(source, rank));
        }
        let conv = Convolved {
            x,
            weight,
            bias,
            stride: geometry.stride,
            pad: geometry.pad,
            dilation: geometry.dilation,
            groups: geometry.groups,
            output_pad: geometry.output_pad,
            rows: String::new(),
        };
        let source = self.add(vec![gives, rows, cols], What::Conv(Box::new(conv)))?;
        Ok(self.shown_as(source, rank))
    }

    /// A dilated convolution of a signal that spans more positions than a device's kernel: with as many columns as taps lie apart, its taps are
    /// neighbours in a column.
    fn in_columns(
        &mut self,
        x: usize,
        weight: &Tensor,
        bias: &Option<Tensor>,
        geometry: Geometry,
    ) -> Result<Option<usize>> {
        let [channels, rows, cols] = self.shape(x)?;
        let (apart, taps) = (geometry.dilation[1], weight.sizes[3]);
        let (inner, mut pad) = match self.sources[x].what {
            What::Padded { x, pad } => (x, pad),
            _ => (x, [0; 4]),
        };
        (0..4).for_each(|i| pad[i] += geometry.pad[i]);
        let own = cols + geometry.pad[1] + geometry.pad[3] - pad[1] - pad[3];
        let plain = rows == 1 && weight.sizes[2] == 1 && geometry.stride == [1; 2] && geometry.output_pad.is_none();
        let fits = [own, pad[1], pad[3]].iter().all(|size| size.is_multiple_of(apart));
        let far = apart > 1 && (taps - 1) * apart + 1 > MOST_SPAN;
        if !(plain && far && fits && pad[0] + pad[2] == 0 && taps <= MOST_SPAN) {
            return Ok(None);
        }
        let (tall, above, below) = (own / apart, pad[1] / apart, pad[3] / apart);
        let Some(left) = (tall + above + below + 1).checked_sub(taps).filter(|left| *left > 0) else {
            return Ok(None);
        };
        let what = What::Rows {
            x: inner,
            rows: tall,
            cols: apart,
        };
        let turned = self.add(vec![channels, tall, apart], what)?;
        let weight = Tensor {
            sizes: vec![weight.sizes[0], weight.sizes[1], taps, 1],
            ..weight.clone()
        };
        let outs = weight.sizes[0];
        let conv = Convolved {
            bias: bias.clone(),
            pad: [above, 0, below, 0],
            ..Convolved::plain(turned, weight, geometry.groups)
        };
        let found = self.add(vec![outs, left, apart], What::Conv(Box::new(conv)))?;
        let (rows, cols) = (1, left * apart);
        self.add(vec![outs, 1, cols], What::Rows { x: found, rows, cols })
            .map(Some)
    }

    /// A convolution of `view`, the source `x` with `pad` positions reflected at its ends.
    fn behind_ends(
        &mut self,
        view: &View,
        (x, pad): (usize, usize),
        weight: Tensor,
        bias: Option<Tensor>,
        geometry: Geometry,
    ) -> Result<View> {
        let Geometry {
            stride: [_, stride],
            pad: zeros,
            dilation,
            groups,
            output_pad,
        } = geometry;
        let plain = self.is_whole(view) && weight.sizes.len() == 3 && dilation == [1; 2];
        let signal = self.shown_as(x, 3);
        if plain && output_pad.is_none() && zeros == [0; 4] {
            // Weights that are 0 between channels, as diffusers' resampling has them, are those of groups.
            let (weight, groups) = match own_kernel(&weight, groups) {
                Some(kernel) if groups == 1 => {
                    let channels = weight.sizes[0];
                    let sizes = vec![channels, 1, kernel.len()];
                    (Tensor::new(weight.kind, sizes, kernel.repeat(channels)), channels)
                }
                _ => (weight, groups),
            };
            return self.reflected_by(&signal, (weight, bias), (stride, groups), pad);
        }
        let kernel = own_kernel(&weight, groups).filter(|_| output_pad == Some([0; 2]) && bias.is_none());
        match kernel.filter(|_| plain && stride == 2 && zeros[1] == zeros[3]) {
            Some(kernel) => self.reflected_up(&signal, &kernel, pad, zeros[1]),
            None => Err("a convolution that is dilated, padded again or of more than one kernel reads reflected ends, which is not known".to_string()),
        }
    }

    /// `view`, a signal, with `pad` positions reflected at both ends.
    pub fn reflected_ends(&mut self, view: &View, pad: usize) -> Result<View> {
        let x = self.image(view)?;
        let [channels, rows, cols] = self.shape(x)?;
        if view.axes.len() != 3 || rows != 1 || pad >= cols {
            return Err(format!(
                "it reflects {pad} positions of {rows} x {cols}; ends of signals are known"
            ));
        }
        let source = self.add(vec![channels, 1, cols + 2 * pad], What::Reflected { x, pad })?;
        Ok(self.shown_as(source, 3))
    }

    /// A convolution of a signal, of axes sample, channel and time, with `pad` zeros at both ends.
    pub fn signal(
        &mut self,
        view: &View,
        weight: Tensor,
        bias: Option<Tensor>,
        stride: usize,
        pad: usize,
        transposed: bool,
    ) -> Result<View> {
        let geometry = Geometry {
            stride: [1, stride],
            pad: [0, pad, 0, pad],
            dilation: [1; 2],
            groups: 1,
            output_pad: transposed.then_some([0; 2]),
        };
        self.conv(view, weight, bias, geometry)
    }

    /// A convolution of a signal or an image, with a stride and zeros that are the same on every side.
    pub fn signal_or_image(
        &mut self,
        view: &View,
        weight: Tensor,
        bias: Option<Tensor>,
        [stride, pad]: [usize; 2],
    ) -> Result<View> {
        if view.axes.len() == 3 {
            return self.signal(view, weight, bias, stride, pad, false);
        }
        let geometry = Geometry {
            stride: [stride; 2],
            pad: [pad; 4],
            dilation: [1; 2],
            groups: 1,
            output_pad: None,
        };
        self.conv(view, weight, bias, geometry)
    }

    /// GELU of every element.
    pub fn gelu(&mut self, view: &View) -> Result<View> {
        self.map(view, Map::Function(Function::Gelu))
    }

    /// SiLU of every element.
    pub fn silu(&mut self, view: &View) -> Result<View> {
        self.map(view, Map::Function(Function::Silu))
    }

    /// Every element plus 1.
    pub fn one_more(&mut self, view: &View) -> Result<View> {
        self.map(view, Map::Affine { scale: 1.0, shift: 1.0 })
    }

    /// Mish of every element.
    pub fn mish(&mut self, view: &View) -> Result<View> {
        self.map(view, Map::Function(Function::Mish))
    }

    /// Features of the timestep as an activation.
    pub fn features(&mut self, waves: &Waves) -> Result<View> {
        if let Some(once) = waves.without_repetition() {
            let view = self.features(&once)?;
            return view
                .expanded(&waves.sizes)
                .ok_or_else(|| "features of the timestep cannot be repeated so".to_string());
        }
        let module = std::mem::replace(&mut self.module, waves.module.clone());
        let source = self.add(vec![waves.data.len(), 1, 1], waves.what())?;
        self.module = module;
        let whole = View::whole(source, &[waves.data.len()]);
        whole
            .reshaped(&waves.sizes)
            .ok_or_else(|| "features of the timestep cannot be seen so".to_string())
    }

    /// A source with the axes sample, channel, (row,) col.
    pub fn shown_as(&self, source: usize, rank: usize) -> View {
        let whole = self.whole(source);
        let [channels, rows, cols] = [0, 1, 2].map(|i| whole.axes[i].clone());
        let axes = if rank == 4 {
            vec![vec![], channels, rows, cols]
        } else {
            vec![vec![], channels, whole.joined([1, 2])]
        };
        View { axes, ..whole }
    }

    /// A linear layer over the last axis.
    pub fn linear(&mut self, view: &View, weight: Tensor, bias: Option<Tensor>) -> Result<View> {
        let last = view.axes.len().checked_sub(1).ok_or("its input has no axes")?;
        let positions: Vec<usize> = (0..last).collect();
        self.linear_over(view, last, &positions, four(weight)?, bias)
    }

    /// A linear layer over the axis `over`, the same at every one of `positions`. `weight` is `(out, in, 1, 1)`.
    fn linear_over(
        &mut self,
        view: &View,
        over: usize,
        positions: &[usize],
        weight: Tensor,
        bias: Option<Tensor>,
    ) -> Result<View> {
        let (reads, found) = (weight.sizes[1], view.sizes()[over]);
        if reads != found {
            return Err(format!(
                "its weight of extents {:?} does not fit {found} channels",
                weight.sizes
            ));
        }
        let gives = weight.sizes[0];
        let view = &self.sequence(view, over, positions)?;
        let (x, weight, stride, view) = match self.channels_first(view, &[over], positions) {
            Ok(x) => (x, weight, [1; 2], view.clone()),
            Err(problem) => self.patches(view, over, &weight)?.ok_or(problem)?,
        };
        let [_, rows, cols] = self.shape(x)?;
        let (rows, cols) = (rows / stride[0], cols / stride[1]);
        let conv = Convolved {
            bias,
            stride,
            ..Convolved::plain(x, weight, 1)
        };
        let source = self.add(vec![gives, rows, cols], What::Conv(Box::new(conv)))?;
        let mut view = View {
            source,
            offset: 0,
            ..view
        };
        view.axes[over] = normal([Atom {
            size: gives,
            stride: rows * cols,
        }]);
        Ok(view)
    }

    /// A linear layer over patches, as the convolution with a stride that it is: its input, kernel and stride, and the axes of
    /// its output's positions.
    #[allow(clippy::type_complexity)]
    fn patches(
        &mut self,
        view: &View,
        over: usize,
        weight: &Tensor,
    ) -> Result<Option<(usize, Tensor, [usize; 2], View)>> {
        let [channels, height, width] = self.shape(view.source)?;
        let plane = height * width;
        // Taps of a row and of a column, by their strides.
        let taps = &view.axes[over];
        let find = |stride: usize| {
            taps.iter()
                .find(|atom| atom.stride == stride && stride < plane)
                .map_or(1, |atom| atom.size)
        };
        let (p, q) = (if height > 1 { find(width) } else { 1 }, find(1));
        let across: usize = taps
            .iter()
            .filter(|atom| atom.stride >= plane)
            .map(|atom| atom.size)
            .product();
        let fits = view.offset == 0
            && across == channels
            && across * p * q == super::view::size(taps)
            && height.is_multiple_of(p)
            && width.is_multiple_of(q)
            && (p, q) != (1, 1);
        if !fits {
            return Ok(None);
        }
        let (rows, cols) = (height / p, width / q);
        let moved = |atom: &Atom| match atom.stride {
            stride if stride == p * width && atom.size == rows => Some(Atom { stride: cols, ..*atom }),
            stride if stride == q && atom.size == cols => Some(Atom { stride: 1, ..*atom }),
            _ => None,
        };
        let mut axes = vec![];
        for (i, axis) in view.axes.iter().enumerate() {
            let moved: Option<Axis> = if i == over {
                Some(vec![])
            } else {
                axis.iter().map(moved).collect()
            };
            let Some(axis) = moved else {
                return Ok(None);
            };
            axes.push(normal(axis));
        }
        let all: Axis = normal(axes.iter().flatten().copied());
        if all
            != normal([Atom {
                size: rows * cols,
                stride: 1,
            }])
        {
            return Ok(None);
        }
        let kernel = View {
            axes: vec![taps.clone()],
            ..view.clone()
        };
        let (inputs, outputs) = (channels * p * q, weight.sizes[0]);
        let mut data = vec![0.0; outputs * inputs];
        for (k, at) in kernel.offsets().enumerate() {
            let tap = (at / plane * p + at % plane / width) * q + at % width;
            for o in 0..outputs {
                data[o * inputs + tap] = weight.data[o * inputs + k];
            }
        }
        let kernel = Tensor {
            key: weight.key.clone(),
            ..Tensor::new(weight.kind, vec![outputs, channels, p, q], data)
        };
        let view = View { axes, ..view.clone() };
        Ok(Some((view.source, kernel, [p, q], view)))
    }

    /// Nearest-neighbour repetition by whole factors.
    pub fn upsampled(&mut self, view: &View, factors: [usize; 2]) -> Result<View> {
        let x = self.image(view)?;
        let [channels, rows, cols] = self.shape(x)?;
        let sizes = vec![channels, rows * factors[0], cols * factors[1]];
        let source = self.add(sizes, What::Up { x, factors })?;
        Ok(self.shown_as(source, view.axes.len()))
    }

    /// The mean over windows, or the maximum.
    pub fn pooled(&mut self, view: &View, pool: Pool) -> Result<View> {
        let x = self.image(view)?;
        let [channels, rows, cols] = self.shape(x)?;
        let out = |extent: usize, i: usize| {
            let left = extent.checked_sub(pool.window[i])?;
            Some(left.checked_div(pool.stride[i])? + 1)
        };
        let extents = out(rows, 0).zip(out(cols, 1));
        let (rows, cols) = extents.ok_or_else(|| format!("its windows do not fit {rows} x {cols} positions"))?;
        let source = self.add(vec![channels, rows, cols], What::Pool { x, pool })?;
        Ok(self.shown_as(source, view.axes.len()))
    }

    /// Zeros at top, left, bottom and right.
    pub fn padded(&mut self, view: &View, pad: [usize; 4]) -> Result<View> {
        let x = self.image(view)?;
        let [channels, rows, cols] = self.shape(x)?;
        if pad.iter().any(|pad| *pad > 1 << 16) {
            return Err(format!("it pads by {pad:?}"));
        }
        let sizes = vec![channels, rows + pad[0] + pad[2], cols + pad[1] + pad[3]];
        let source = self.add(sizes, What::Padded { x, pad })?;
        Ok(self.shown_as(source, view.axes.len()))
    }

    /// Constant rows before the positions of `view`, along `axis`: memory keys and values of an attention.
    pub fn extended(&mut self, rows: &Tensor, view: &View, axis: usize) -> Result<View> {
        let view = self.dense(view)?;
        let [channels, height, width] = self.shape(view.source)?;
        let (plane, more) = (height * width, rows.sizes[axis]);
        if normal(view.axes[axis].iter().copied()) != normal([Atom { size: plane, stride: 1 }]) {
            return Err(format!(
                "constants are joined to {} along an axis that is not that of its positions",
                shown(&view)
            ));
        }
        // One element a channel, in the order of the other axes.
        let mut across = view.clone();
        across.axes[axis] = vec![];
        let mut order: Vec<usize> = (0..rows.sizes.len()).filter(|i| *i != axis).collect();
        order.push(axis);
        let own = View::whole(0, &rows.sizes).permuted(&order).map(|own| rows.shown(&own));
        let own = own.ok_or("its constants do not fit")?;
        let mut data = vec![0.0; channels * more];
        for (at, numbers) in across.offsets().zip(own.data.chunks_exact(more.max(1))) {
            data[at / plane * more..][..more].copy_from_slice(numbers);
        }
        let rows = Tensor {
            key: rows.key.clone(),
            ..Tensor::new(rows.kind, vec![channels, more], data)
        };
        let x = view.source;
        let source = self.add(vec![channels, 1, more + plane], What::Extended { rows, x })?;
        let moved = |atom: &Atom| match atom.stride {
            stride if stride >= plane => Atom {
                stride: stride / plane * (more + plane),
                ..*atom
            },
            _ => *atom,
        };
        let mut axes: Vec<Axis> = view.axes.iter().map(|axis| axis.iter().map(moved).collect()).collect();
        axes[axis] = vec![Atom {
            size: more + plane,
            stride: 1,
        }];
        Ok(View {
            source,
            offset: 0,
            axes,
        })
    }

    /// Values one after the other along `axis`: their channels, or tokens.
    pub fn joined(&mut self, views: &[View], axis: usize) -> Result<View> {
        let mut spread = vec![];
        for view in views {
            spread.push(self.spread(view)?.unwrap_or_else(|| view.clone()));
        }
        let problem = match self.joined_as_they_lie(&spread, axis) {
            Ok(view) => return Ok(view),
            Err(problem) => problem,
        };
        if let Some(view) = self.turned(views, axis)? {
            return Ok(view);
        }
        if let Some(view) = self.side_by_side(views, axis)? {
            return Ok(view);
        }
        self.tokens(views, axis)?.ok_or(problem)
    }

    fn joined_as_they_lie(&mut self, views: &[View], axis: usize) -> Result<View> {
        let rank = views[0].axes.len();
        let positions: Vec<usize> = (0..rank).filter(|i| *i != axis).collect();
        let (mut parts, mut channels) = (vec![], 0);
        for view in views {
            let view = &self.unrolled(view, axis)?;
            parts
                .push(self.channels_first(view, &[axis], &positions).map_err(|problem| {
                    format!(
                        "{problem}; values are joined along their channels, and of positions vectors before those of one value alone: {}",
                        shown(view)
                    )
                })?);
            channels += view.sizes()[axis];
        }
        let [_, rows, cols] = self.shape(parts[0])?;
        let source = self.add(vec![channels, rows, cols], What::Joined(parts))?;
        let first = self.unrolled(&views[0], axis)?;
        let mut view = View {
            source,
            offset: 0,
            ..first
        };
        view.axes[axis] = normal([Atom {
            size: channels,
            stride: rows * cols,
        }]);
        Ok(view)
    }
}

/// A weight with rows and columns: `(out, in)`, `(out, in, col)` or `(out, in, row, col)`.
fn four(weight: Tensor) -> Result<Tensor> {
    let sizes = match weight.sizes[..] {
        [out, inputs] => vec![out, inputs, 1, 1],
        [out, inputs, cols] => vec![out, inputs, 1, cols],
        [_, _, _, _] => weight.sizes.clone(),
        _ => return Err(format!("its weight has extents {:?}", weight.sizes)),
    };
    if sizes.contains(&0) {
        return Err(format!("its weight has extents {sizes:?}"));
    }
    Ok(Tensor { sizes, ..weight })
}
