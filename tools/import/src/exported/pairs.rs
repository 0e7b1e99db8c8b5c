//! Sums and products of two operands that broadcast.

use super::net::{Net, Result};
use super::onnx;
use super::source::{Convolved, Map, Normalized, What};
use super::tensor::{Kind, Tensor};
use super::view::{Atom, Axis, View, broadcast};

/// Most elements of a vector that a constant repeats.
const MOST_REPEATED: usize = 1 << 14;

/// How the second operand lies beside the first, whose source it shows whole.
enum Beside {
    /// The same elements in the same order.
    Same(View),
    /// A number a channel: a view of one axis.
    Channel(View),
    /// A number a position, of a source of one channel.
    Position(usize),
}

/// An atom of both operands: its size, and the strides in both.
struct Pair {
    size: usize,
    first: usize,
    second: usize,
}

impl Net {
    /// `a + b`.
    pub fn sum(&mut self, a: &View, b: &View) -> Result<View> {
        if let Some(stated) = self.centred(a, b)? {
            return Ok(stated);
        }
        let (full, beside) = self.ordered(a, b)?;
        let sizes = self.sources[full.source].sizes.clone();
        let source = match beside {
            Beside::Same(other) => {
                let (a, b) = (full.source, other.source);
                self.add(sizes, What::Sum { a, b, divisor: 1.0 })?
            }
            Beside::Channel(shift) => match self.what(&full).clone() {
                What::Product { x, factor } if self.is_vector(&factor) && self.sources[full.source].value.is_none() => {
                    let (scale, one) = self.without_one(&factor);
                    self.add(sizes, What::Modulated { x, scale, shift, one })?
                }
                _ => {
                    let b = self.as_vector(&shift)?;
                    let a = full.source;
                    self.add(sizes, What::Sum { a, b, divisor: 1.0 })?
                }
            },
            Beside::Position(_) => {
                return Err("a value of one channel is added to one of several, which is not known".to_string());
            }
        };
        Ok(full.over(source))
    }

    /// `a * b`.
    pub fn product(&mut self, a: &View, b: &View) -> Result<View> {
        for (x, other) in [(a, b), (b, a)] {
            if let Some(normalized) = self.by_root(x, other)? {
                return Ok(normalized);
            }
        }
        let (full, beside) = self.ordered(a, b)?;
        let sizes = self.sources[full.source].sizes.clone();
        let factor = match beside {
            Beside::Same(factor) | Beside::Channel(factor) => factor,
            Beside::Position(source) => self.whole(source),
        };
        let source = self.add(sizes, What::Product { x: full.source, factor })?;
        Ok(full.over(source))
    }

    /// `view` plus a constant.
    pub fn plus(&mut self, view: &View, tensor: &Tensor) -> Result<View> {
        if let Some(scores) = self.masked_scores(view, tensor)? {
            return Ok(scores);
        }
        if self.apart && !tensor.sizes.is_empty() && matches!(self.what(view), What::Conv(_)) {
            let full = self.full(view, &tensor.sizes)?;
            let (constant, vector) = self.constant(&full, tensor)?;
            if let (Some(what), true) = (onnx::biased(self, &full, &constant), vector) {
                let sizes = self.sources[full.source].sizes.clone();
                let source = self.add(sizes, what)?;
                return Ok(full.over(source));
            }
        }
        if let Some(shift) = tensor.scalar() {
            let sized = self.repeated(view, tensor)?;
            return self.map(&sized, Map::Affine { scale: 1.0, shift });
        }
        let full = self.full(view, &tensor.sizes)?;
        let (constant, vector) = self.constant(&full, tensor)?;
        let sizes = self.sources[full.source].sizes.clone();
        if let (What::Norm(norm), true) = (self.what(&full).clone(), vector)
            && norm.beta.is_none()
            && (norm.scale - 1.0).abs() < 1e-14
        {
            let norm = Normalized {
                beta: Some(constant),
                ..*norm
            };
            let source = self.add(sizes, What::Norm(Box::new(norm)))?;
            return Ok(full.over(source));
        }
        let constant = self.add(constant.sizes.clone(), What::Constant(constant))?;
        let a = full.source;
        let source = self.add(
            sizes,
            What::Sum {
                a,
                b: constant,
                divisor: 1.0,
            },
        )?;
        Ok(full.over(source))
    }

    /// `view` times a constant.
    pub fn times(&mut self, view: &View, tensor: &Tensor) -> Result<View> {
        if let Some(scale) = tensor.scalar() {
            let sized = self.repeated(view, tensor)?;
            return self.scaled(&sized, scale);
        }
        if let Some(view) = self.outer(view, tensor)? {
            return Ok(view);
        }
        let full = self.full(view, &tensor.sizes)?;
        let (constant, vector) = self.constant(&full, tensor)?;
        let sizes = self.sources[full.source].sizes.clone();
        if !vector {
            let factor = self.add(constant.sizes.clone(), What::Constant(constant))?;
            let factor = self.whole(factor);
            let source = self.add(sizes, What::Product { x: full.source, factor })?;
            return Ok(full.over(source));
        }
        let what = match self.what(&full).clone() {
            What::Norm(norm) if norm.beta.is_none() && self.sources[full.source].value.is_none() => {
                let gamma = match &norm.gamma {
                    None => constant,
                    Some(gamma) => {
                        let data: Vec<f64> = gamma.data.iter().zip(&constant.data[..]).map(|(a, b)| a * b).collect();
                        Tensor::new(Kind::F64, vec![data.len()], data)
                    }
                };
                What::Norm(Box::new(Normalized {
                    gamma: Some(gamma),
                    ..*norm
                }))
            }
            _ => What::Conv(Box::new(each_channel(full.source, constant, sizes[0]))),
        };
        let source = self.add(sizes, what)?;
        Ok(full.over(source))
    }

    /// A number at each position times several along an axis of one element: a linear layer. `None` where they are not so.
    fn outer(&mut self, view: &View, tensor: &Tensor) -> Result<Option<View>> {
        let Some(both) = broadcast(&view.sizes(), &tensor.sizes) else {
            return Ok(None);
        };
        let Some(view) = (both.len() >= view.axes.len())
            .then(|| view.expanded(&[vec![1; both.len() - view.axes.len()], view.sizes()].concat()))
            .flatten()
        else {
            return Ok(None);
        };
        let wider: Vec<usize> = (0..both.len()).filter(|i| view.sizes()[*i] != both[*i]).collect();
        let [axis] = wider[..] else {
            return Ok(None);
        };
        if tensor.data.len() != both[axis] {
            return Ok(None);
        }
        let weight = Tensor {
            sizes: vec![both[axis], 1],
            ..tensor.clone()
        };
        let mut order: Vec<usize> = (0..both.len()).filter(|i| *i != axis).collect();
        order.push(axis);
        let Some(last) = view.permuted(&order) else {
            return Ok(None);
        };
        let product = self.linear(&last, weight, None)?;
        let mut back: Vec<usize> = (0..axis).collect();
        back.push(both.len() - 1);
        back.extend(axis..both.len() - 1);
        Ok(product.permuted(&back))
    }

    /// `view` times a number.
    pub fn scaled(&mut self, view: &View, scale: f64) -> Result<View> {
        let sizes = self.sources[view.source].sizes.clone();
        let unwritten = self.sources[view.source].value.is_none();
        let what = match self.what(view).clone() {
            What::Sum { a, b, divisor }
                if unwritten && scale != 1.0 && scale != 0.0 && self.sources[b].sizes == sizes =>
            {
                What::Sum {
                    a,
                    b,
                    divisor: divisor / scale,
                }
            }
            What::Scores { q, k, scale: before } => What::Scores {
                q,
                k,
                scale: before * scale,
            },
            What::Norm(norm) if norm.beta.is_none() && unwritten => What::Norm(Box::new(Normalized {
                scale: norm.scale * scale,
                ..*norm
            })),
            _ => return self.map(view, Map::Affine { scale, shift: 0.0 }),
        };
        let source = self.add(sizes, what)?;
        Ok(view.over(source))
    }

    /// The operand with all elements, shown whole, and the other beside it.
    fn ordered(&mut self, a: &View, b: &View) -> Result<(View, Beside)> {
        let problem = match self.ordered_as_they_lie(a, b) {
            Ok(found) => return Ok(found),
            Err(problem) => problem,
        };
        // Positions that are blocks of channels become positions of their own.
        let (x, y) = (self.with_positions(a), self.with_positions(b));
        match (x == *a, y == *b) {
            (true, true) => Err(problem),
            _ => self.ordered_as_they_lie(&x, &y).map_err(|_| problem),
        }
    }

    /// `view` as an image or a signal that lies in order, where it is one.
    fn with_positions(&mut self, view: &View) -> View {
        let rank = view.axes.len();
        match self.image(view) {
            Ok(x) if self.shape(x).is_ok() => self.shown_as(x, rank),
            _ => view.clone(),
        }
    }

    fn ordered_as_they_lie(&mut self, a: &View, b: &View) -> Result<(View, Beside)> {
        let sizes = broadcast(&a.sizes(), &b.sizes());
        let sizes = sizes.ok_or_else(|| format!("extents {:?} and {:?} do not broadcast", a.sizes(), b.sizes()))?;
        let total: usize = sizes.iter().product();
        let spread = |view: &View| view.expanded(&sizes).ok_or("it does not broadcast".to_string());
        // A vector is the second, where both are: the order of the file otherwise.
        let swap = a.len() < total
            || (b.len() == total
                && self.sources[a.source].sizes[1..] == [1, 1]
                && self.sources[b.source].sizes[1..] != [1, 1]);
        let (full, other) = if swap { (b, a) } else { (a, b) };
        if full.len() != total {
            return Err(format!(
                "both operands of extents {:?} and {:?} are repeated",
                a.sizes(),
                b.sizes()
            ));
        }
        let full = self.dense(&spread(full)?)?;
        let other = spread(other)?;
        let beside = self.beside(&full, &other)?;
        Ok((full, beside))
    }

    fn beside(&mut self, full: &View, other: &View) -> Result<Beside> {
        let [channels, height, width] = self.shape(full.source)?;
        let [others, rows, cols] = self.shape(other.source)?;
        let plane = height * width;
        let order = "its operands lie in different orders of axes";
        let mut pairs = pairs(full, other).ok_or(order)?;
        pairs.sort_by_key(|pair| std::cmp::Reverse(pair.first));
        let across = pairs.iter().filter(|pair| pair.first >= plane);
        let along = || pairs.iter().filter(|pair| pair.first < plane);
        if rows * cols == 1 && along().all(|pair| pair.second == 0) {
            let axis: Axis = across
                .map(|pair| Atom {
                    size: pair.size,
                    stride: pair.second,
                })
                .collect();
            return Ok(Beside::Channel(View {
                source: other.source,
                offset: other.offset,
                axes: vec![axis],
            }));
        }
        let other_view = View {
            source: other.source,
            offset: other.offset,
            axes: pairs
                .iter()
                .map(|pair| {
                    vec![Atom {
                        size: pair.size,
                        stride: pair.second,
                    }]
                })
                .collect(),
        };
        if others == 1 && channels > 1 && rows * cols == plane && self.sources[full.source].sizes[1..] == [rows, cols] {
            let fits = across.clone().all(|pair| pair.second == 0) && along().all(|pair| pair.second == pair.first);
            return if fits {
                Ok(Beside::Position(other.source))
            } else {
                Err(order.to_string())
            };
        }
        let dense = self.dense(&other_view)?;
        let strides: Axis = dense.axes.iter().flatten().copied().collect();
        let expected: Vec<usize> = pairs
            .iter()
            .filter(|pair| pair.size > 1)
            .map(|pair| pair.first)
            .collect();
        if strides.iter().map(|atom| atom.stride).ne(expected) {
            return Err(order.to_string());
        }
        // The same positions in other rows.
        let wanted = [channels, height, width];
        let source = match self.shape(dense.source)? {
            own if own == wanted || own[0] != channels => dense.source,
            _ => self.add(
                wanted.to_vec(),
                What::Rows {
                    x: dense.source,
                    rows: height,
                    cols: width,
                },
            )?,
        };
        Ok(Beside::Same(self.whole(source)))
    }

    /// Whether `view` is a number a channel and no activation with positions.
    fn is_vector(&self, view: &View) -> bool {
        self.sources[view.source].sizes[1..] == [1, 1]
    }

    /// A source of the numbers of a vector's view.
    fn as_vector(&mut self, view: &View) -> Result<usize> {
        let rows: Vec<usize> = view.offsets().collect();
        self.piece(view.source, &rows)
    }

    /// A factor without the 1 that is added to it, and whether there is one.
    fn without_one(&self, factor: &View) -> (View, bool) {
        match *self.what(factor) {
            What::Map {
                x,
                map: Map::Affine { scale: 1.0, shift: 1.0 },
            } => (factor.over(x), true),
            _ => (factor.clone(), false),
        }
    }

    /// `view`, which a constant of these extents must not repeat, whole.
    fn full(&mut self, view: &View, sizes: &[usize]) -> Result<View> {
        let both = broadcast(&view.sizes(), sizes).ok_or("its operands do not broadcast")?;
        if both.iter().product::<usize>() != view.len() {
            // A vector that is repeated is a longer vector.
            let spread = view.expanded(&both).filter(|_| self.is_vector(view));
            let spread = spread.filter(|spread| spread.len() <= MOST_REPEATED);
            let spread = spread.ok_or("a constant repeats an activation with positions, which is not known")?;
            let rows: Vec<(usize, f64)> = spread.offsets().map(|at| (at, 1.0)).collect();
            let source = self.chosen(view.source, &rows)?;
            let whole = View::whole(source, &[rows.len()]).reshaped(&both);
            return whole.ok_or_else(|| "its operands do not broadcast".to_string());
        }
        let view = view.expanded(&both).ok_or("its operands do not broadcast")?;
        self.dense(&view)
    }

    /// `view` with the rank that a constant of one number gives it.
    fn repeated(&self, view: &View, tensor: &Tensor) -> Result<View> {
        let sizes = broadcast(&view.sizes(), &tensor.sizes).ok_or("its operands do not broadcast")?;
        view.expanded(&sizes)
            .ok_or_else(|| "its operands do not broadcast".to_string())
    }

    /// A constant in the order of the elements of `full`, and whether it is a number a channel.
    fn constant(&self, full: &View, tensor: &Tensor) -> Result<(Tensor, bool)> {
        let [channels, height, width] = self.shape(full.source)?;
        let plane = height * width;
        let own = View::whole(0, &tensor.sizes)
            .expanded(&full.sizes())
            .ok_or("its operands do not broadcast")?;
        let pairs = pairs(full, &own).ok_or("a constant lies across the axes of an activation")?;
        let vector = pairs.iter().all(|pair| pair.first >= plane || pair.second == 0);
        let each = if vector { 1 } else { plane };
        let mut data = vec![0.0; channels * each];
        for (at, from) in full.offsets().zip(own.offsets()) {
            data[if vector { at / plane } else { at }] = tensor.data[from];
        }
        let sizes = if vector {
            vec![channels, 1, 1]
        } else {
            vec![channels, height, width]
        };
        let constant = Tensor {
            key: tensor.key.clone(),
            ..Tensor::new(tensor.kind, sizes, data)
        };
        Ok((constant, vector))
    }
}

/// A factor a channel, as the depthwise convolution that it is.
fn each_channel(x: usize, factors: Tensor, channels: usize) -> Convolved {
    let weight = Tensor {
        sizes: vec![channels, 1, 1, 1],
        ..factors
    };
    Convolved::plain(x, weight, channels)
}

/// The atoms of two views of the same extents, split so that both have the same.
fn pairs(first: &View, second: &View) -> Option<Vec<Pair>> {
    let mut pairs = vec![];
    for (a, b) in first.axes.iter().zip(&second.axes) {
        let (mut a, mut b) = (a.clone(), b.clone());
        while let (Some(x), Some(y)) = (a.pop(), b.pop()) {
            let size = x.size.min(y.size);
            if x.size % size != 0 || y.size % size != 0 {
                return None;
            }
            pairs.push(Pair {
                size,
                first: x.stride,
                second: y.stride,
            });
            for (rest, atom) in [(&mut a, x), (&mut b, y)] {
                if atom.size > size {
                    rest.push(Atom {
                        size: atom.size / size,
                        stride: atom.stride * size,
                    });
                }
            }
        }
        if !a.is_empty() || !b.is_empty() {
            return None;
        }
    }
    Some(pairs)
}
