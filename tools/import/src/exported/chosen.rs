//! Values put together otherwise than layers lie: channels in another order or with another sign, tokens one after the other, a part of the
//! positions, a vector at every position. Each is written as layers that are known.

use super::layers::Geometry;
use super::net::{Net, Result};
use super::source::{Convolved, Map, Normalized, What};
use super::tensor::{Kind, Tensor};
use super::view::{Atom, Axis, View, normal, size};

/// Most weights of a layer that does nothing but choose.
const MOST: usize = 1 << 22;
/// Most positions that are left out: a kernel is one wider.
const MOST_CUT: usize = 14;

impl Net {
    /// The channels `rows` of `source`, each times a factor: rows of a linear layer where it is one, or else a linear layer of its own.
    pub(super) fn chosen(&mut self, source: usize, rows: &[(usize, f64)]) -> Result<usize> {
        let [channels, height, width] = self.shape(source)?;
        if rows.iter().copied().eq((0..channels).map(|row| (row, 1.0))) {
            return Ok(source);
        }
        if rows.iter().any(|(row, _)| *row >= channels) {
            return Err(format!("it reads channels behind the {channels} that are there"));
        }
        let key: Vec<(usize, u64)> = rows.iter().map(|(row, factor)| (*row, factor.to_bits())).collect();
        if let Some(known) = self.chosen.get(&(source, key.clone())) {
            return Ok(*known);
        }
        let order: Vec<usize> = rows.iter().map(|(row, _)| *row).collect();
        let sizes = vec![rows.len(), height, width];
        let module = std::mem::replace(&mut self.module, self.sources[source].module.clone());
        let found = match self.sources[source].what.clone() {
            What::Conv(conv) if conv.groups == 1 && conv.output_pad.is_none() => {
                let mut conv = conv.of_rows(&order);
                let each = conv.weight.data.len() / rows.len().max(1);
                let of = |tensor: &Tensor, each: usize| {
                    let of = |numbers: &[f64]| -> Vec<f64> {
                        let numbers = numbers.iter().enumerate();
                        numbers.map(|(i, v)| v * rows[i / each.max(1)].1).collect()
                    };
                    Tensor::new(tensor.kind, tensor.sizes.clone(), of(&tensor.data)).exactly(of(&tensor.exact))
                };
                conv.weight = of(&conv.weight, each);
                conv.bias = conv.bias.as_ref().map(|bias| of(bias, 1));
                self.add(sizes, What::Conv(Box::new(conv)))
            }
            _ if self.sources[source].part => Err(
                "some channels of a part of an attention or of a norm are used apart, which is not known".to_string(),
            ),
            _ if rows.len().saturating_mul(channels) > MOST => Err(format!(
                "it puts {} of {channels} channels in another order, which is too many",
                rows.len()
            )),
            _ => {
                let mut data = vec![0.0; rows.len() * channels];
                for (i, (row, factor)) in rows.iter().enumerate() {
                    data[i * channels + row] = *factor;
                }
                let weight = Tensor::new(Kind::F64, vec![rows.len(), channels, 1, 1], data);
                self.add(sizes, What::Conv(Box::new(Convolved::plain(source, weight, 1))))
            }
        };
        self.module = module;
        let found = found?;
        self.chosen.insert((source, key), found);
        Ok(found)
    }

    /// Parts of one value, some of them times a number, one after the other along `axis` within each of its other blocks of channels: the halves of
    /// a rotary embedding, turned. `None` where they are no such parts.
    pub(super) fn turned(&mut self, views: &[View], axis: usize) -> Result<Option<View>> {
        let mut parts = vec![];
        for view in views {
            let sizes = self.sources[view.source].sizes.clone();
            parts.push(match self.what(view).clone() {
                What::Map {
                    x,
                    map: Map::Affine { scale, shift: 0.0 },
                } => (view.over(x), scale),
                // A sign that norms and sums have taken in.
                What::Norm(norm) if norm.scale < 0.0 => {
                    let scale = -norm.scale;
                    let plain = What::Norm(Box::new(Normalized { scale, ..*norm }));
                    (view.over(self.add(sizes, plain)?), -1.0)
                }
                What::Sum { a, b, divisor } if divisor < 0.0 => {
                    let divisor = -divisor;
                    (view.over(self.add(sizes, What::Sum { a, b, divisor })?), -1.0)
                }
                _ => (view.clone(), 1.0),
            });
        }
        let root = parts[0].0.source;
        let Ok([_, height, width]) = self.shape(root) else {
            return Ok(None);
        };
        let plane = height * width;
        if parts.len() < 2 || plane == 0 || parts.iter().any(|(view, _)| view.source != root) {
            return Ok(None);
        }
        let (first, others) = (&parts[0].0, |view: &View| {
            let mut axes = view.axes.clone();
            axes[axis] = vec![];
            axes
        });
        let same = |(view, _): &(View, f64)| others(view) == others(first);
        let is_across = |atom: &Atom| atom.stride >= plane && atom.stride.is_multiple_of(plane);
        let along = normal(others(first).into_iter().flatten().filter(|atom| !is_across(atom)));
        let fits = parts.iter().all(same)
            && along == normal([Atom { size: plane, stride: 1 }])
            && parts
                .iter()
                .all(|(view, _)| view.axes[axis].iter().all(is_across) && view.offset.is_multiple_of(plane));
        if !fits {
            return Ok(None);
        }
        // Channels in the order of the other axes, those of `axis` innermost.
        let across: Axis = others(first).into_iter().flatten().filter(is_across).collect();
        let total: usize = parts.iter().map(|(view, _)| size(&view.axes[axis])).sum();
        let outer = View {
            axes: vec![across.clone()],
            offset: 0,
            source: root,
        };
        let mut rows = vec![];
        for start in outer.offsets() {
            for (view, factor) in &parts {
                let own = View {
                    axes: vec![view.axes[axis].clone()],
                    offset: view.offset + start,
                    source: root,
                };
                rows.extend(own.offsets().map(|at| (at / plane, *factor)));
            }
        }
        let source = self.chosen(root, &rows)?;
        let mut strides = vec![];
        let mut next = total * plane;
        for atom in across.iter().rev() {
            strides.push((*atom, next));
            next *= atom.size;
        }
        let moved = |atom: &Atom| {
            let found = strides.iter().find(|(old, _)| old == atom);
            let stride = found.map_or(atom.stride, |(_, stride)| *stride);
            Atom { stride, ..*atom }
        };
        let mut axes: Vec<Axis> = first.axes.iter().map(|own| own.iter().map(moved).collect()).collect();
        axes[axis] = normal([Atom {
            size: total,
            stride: plane,
        }]);
        Ok(Some(View {
            source,
            offset: 0,
            axes,
        }))
    }

    /// Values of the same extents and layout, one after the other along `axis`, within each block of their other channels.
    pub(super) fn side_by_side(&mut self, views: &[View], axis: usize) -> Result<Option<View>> {
        let sizes = views[0].sizes();
        if views.iter().any(|view| view.sizes() != sizes) {
            return Ok(None);
        }
        let mut parts: Vec<View> = vec![];
        for view in views {
            match self.dense(view) {
                Ok(dense) => parts.push(dense),
                Err(_) => return Ok(None),
            }
        }
        let first = parts[0].clone();
        let [channels, rows, cols] = self.shape(first.source)?;
        let whole = |net: &Self, part: &View| {
            part.axes == first.axes && net.sources[part.source].sizes == [channels, rows, cols]
        };
        let is_across = |atom: &Atom| atom.stride >= rows * cols;
        if !first.axes[axis].iter().all(is_across) || !parts.iter().all(|part| whole(self, part)) {
            return Ok(None);
        }
        let own: Vec<usize> = parts.iter().map(|part| part.source).collect();
        let source = self.add(vec![channels * parts.len(), rows, cols], What::Joined(own))?;
        let mut axes = first.axes.clone();
        let outer = Atom {
            size: parts.len(),
            stride: channels * rows * cols,
        };
        axes[axis] = normal([&[outer][..], &first.axes[axis]].concat());
        Ok(Some(View {
            source,
            offset: 0,
            axes,
        }))
    }

    /// `view` over the positions that it shows alone, where these are one run of a row: a convolution of which one tap is 1.
    pub(super) fn cut(&mut self, view: &View) -> Result<Option<View>> {
        let Ok([channels, 1, width]) = self.shape(view.source) else {
            return Ok(None);
        };
        let mut along: Axis = view
            .axes
            .iter()
            .flatten()
            .filter(|atom| atom.stride < width)
            .copied()
            .collect();
        along.sort_by_key(|atom| std::cmp::Reverse(atom.stride));
        let along = normal(along);
        let (count, first) = match along[..] {
            [Atom { size, stride: 1 }] => (size, view.offset % width),
            [] => (1, view.offset % width),
            _ => return Ok(None),
        };
        if count >= width || width - count > MOST_CUT || first + count > width {
            return Ok(None);
        }
        let taps = width - count + 1;
        let mut kernel = vec![0.0; taps];
        kernel[first] = 1.0;
        let weight = Tensor::new(Kind::F64, vec![channels, 1, 1, taps], kernel.repeat(channels));
        let key = (view.source, vec![(first, count as u64)]);
        let source = match self.cuts.get(&key) {
            Some(known) => *known,
            None => {
                let conv = Convolved::plain(view.source, weight, channels);
                let made = self.add(vec![channels, 1, count], What::Conv(Box::new(conv)))?;
                self.cuts.insert(key, made);
                made
            }
        };
        let moved = |atom: &Atom| match atom.stride {
            stride if stride >= width => Atom {
                stride: stride / width * count,
                ..*atom
            },
            _ => *atom,
        };
        Ok(Some(View {
            source,
            offset: view.offset / width * count,
            axes: view.axes.iter().map(|axis| axis.iter().map(moved).collect()).collect(),
        }))
    }

    /// Tokens one after the other along `axis`: vectors, then the positions of the last.
    pub(super) fn tokens(&mut self, views: &[View], axis: usize) -> Result<Option<View>> {
        let Some((last, vectors)) = views.split_last() else {
            return Ok(None);
        };
        let rank = last.axes.len();
        let channels: Vec<usize> = (0..rank).filter(|i| *i != axis).collect();
        if vectors.is_empty() || vectors.len() > MOST_CUT || vectors.iter().any(|view| view.sizes()[axis] != 1) {
            return Ok(None);
        }
        let Ok(x) = self.channels_first(last, &channels, &[axis]) else {
            return Ok(None);
        };
        let [width, rows, cols] = self.shape(x)?;
        let (more, count) = (vectors.len(), rows * cols);
        let x = match rows {
            1 => x,
            _ => self.add(
                vec![width, 1, count],
                What::Rows {
                    x,
                    rows: 1,
                    cols: count,
                },
            )?,
        };
        let all = more + count;
        // Zeros before the positions: the first of so many taps.
        let mut kernel = vec![0.0; more + 1];
        kernel[0] = 1.0;
        let weight = Tensor::new(Kind::F64, vec![width, 1, 1, more + 1], kernel.repeat(width));
        let moved = Convolved {
            pad: [0, more, 0, more],
            ..Convolved::plain(x, weight, width)
        };
        let mut sum = self.add(vec![width, 1, all], What::Conv(Box::new(moved)))?;
        for (place, view) in vectors.iter().enumerate() {
            let Ok(vector) = self.channels_first(view, &channels, &[axis]) else {
                return Ok(None);
            };
            if self.shape(vector)? != [width, 1, 1] {
                return Ok(None);
            }
            let data: Vec<f64> = (0..width * all).map(|i| f64::from(i % all == place)).collect();
            let mask = self.known_numbers(vec![width, 1, all], data)?;
            let factor = View::whole(vector, &[width]);
            let token = self.add(vec![width, 1, all], What::Product { x: mask, factor })?;
            let (a, b, divisor) = (sum, token, 1.0);
            sum = self.add(vec![width, 1, all], What::Sum { a, b, divisor })?;
        }
        let mut axes = vec![vec![]; rank];
        let mut stride = all;
        for i in channels.into_iter().rev() {
            let size = last.sizes()[i];
            axes[i] = normal([Atom { size, stride }]);
            stride *= size;
        }
        axes[axis] = vec![Atom { size: all, stride: 1 }];
        Ok(Some(View {
            source: sum,
            offset: 0,
            axes,
        }))
    }

    /// A vector that is repeated at every position of an image or a signal, as one: ones times the vector.
    pub(super) fn spread(&mut self, view: &View) -> Result<Option<View>> {
        let rank = view.axes.len();
        let repeated = |axis: &Axis| axis.iter().all(|atom| atom.stride == 0);
        if !(3..=4).contains(&rank)
            || !view.axes[2..].iter().all(repeated)
            || !view.axes[2..].iter().any(|axis| !axis.is_empty())
        {
            return Ok(None);
        }
        let sizes = view.sizes();
        let vector = View {
            axes: vec![view.axes[1].clone()],
            ..view.clone()
        };
        let Ok([_, 1, 1]) = self.shape(view.source) else {
            return Ok(None);
        };
        if repeated(&view.axes[1]) && !view.axes[1].is_empty() {
            return Ok(None);
        }
        let rows: Vec<usize> = vector.offsets().collect();
        let factor = self.piece(view.source, &rows)?;
        let sizes = vec![sizes[1], if rank == 4 { sizes[2] } else { 1 }, sizes[rank - 1]];
        let ones = self.known_numbers(sizes.clone(), vec![1.0; sizes.iter().product()])?;
        let factor = self.whole(factor);
        let source = self.add(sizes, What::Product { x: ones, factor })?;
        Ok(Some(self.shown_as(source, rank)))
    }

    /// A transposed convolution that repeats each position of each channel times one number, as resampling filters of two equal taps are.
    pub(super) fn repeated_by(
        &mut self,
        view: &View,
        weight: &Tensor,
        unbiased: bool,
        geometry: Geometry,
    ) -> Result<Option<View>> {
        let [channels, 1, rows, cols] = weight.sizes[..] else {
            return Ok(None);
        };
        let plain = geometry.output_pad == Some([0; 2]) && geometry.pad == [0; 4] && geometry.dilation == [1; 2];
        let fits = plain && unbiased && geometry.groups == channels && geometry.stride == [rows, cols];
        match weight.scalar() {
            Some(factor) if fits && rows * cols > 1 && view.sizes().get(1) == Some(&channels) => {
                let up = self.upsampled(view, [rows, cols])?;
                self.scaled(&up, factor).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Known numbers as an activation of these extents.
    pub(super) fn known_numbers(&mut self, sizes: Vec<usize>, data: Vec<f64>) -> Result<usize> {
        if data.len() > MOST {
            return Err(format!("a constant of extents {sizes:?} is too large"));
        }
        let constant = What::Constant(Tensor::new(Kind::F32, sizes.clone(), data));
        self.add(sizes, constant)
    }

    /// Twice as many positions along the axes of `factors`, those between interpolated by halves of the way: neighbours are repeated and
    /// averaged with the weights 1, 2, 1, and what lies outside of the image counts as its border.
    pub(super) fn interpolated(&mut self, view: &View, factors: [usize; 2]) -> Result<View> {
        let up = self.upsampled(view, factors)?;
        let [channels, rows, cols] = self.shape(up.source)?;
        let taps = |factor: usize| if factor == 2 { vec![0.25, 0.5, 0.25] } else { vec![1.0] };
        let (down, across) = (taps(factors[0]), taps(factors[1]));
        let kernel: Vec<f64> = down.iter().flat_map(|a| across.iter().map(move |b| a * b)).collect();
        let weight = Tensor::new(
            Kind::F64,
            vec![channels, 1, down.len(), across.len()],
            kernel.repeat(channels),
        );
        let pad = [down.len() / 2, across.len() / 2];
        let geometry = Geometry {
            stride: [1; 2],
            pad: [pad[0], pad[1], pad[0], pad[1]],
            dilation: [1; 2],
            groups: channels,
            output_pad: None,
        };
        let image = self.shown_as(up.source, 4);
        let filtered = self.conv(&image, weight, None, geometry)?;
        // A border lacks a quarter of its own value.
        let edge = |at: usize, count: usize, factor: usize| {
            let border = factor == 2 && (at == 0 || at + 1 == count);
            if border { 4.0 / 3.0 } else { 1.0 }
        };
        let places = (0..rows).flat_map(|y| (0..cols).map(move |x| (y, x)));
        let plane: Vec<f64> = places
            .map(|(y, x)| edge(y, rows, factors[0]) * edge(x, cols, factors[1]))
            .collect();
        let plane = Tensor::new(Kind::F64, vec![1, 1, rows, cols], plane);
        let whole = self.times(&filtered, &plane)?;
        Ok(self.shown_as(whole.source, view.axes.len()))
    }
}
