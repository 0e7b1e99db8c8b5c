//! Attention, whole or as products and softmaxes: over keys (Vaswani et al. 2017), and linear (Shen et al. 2018).

use super::net::{Net, Result};
use super::source::{Map, Soft, What};
use super::view::{Atom, Axis, View, normal};

/// An operand of a product of matrices: its view, and the label of each axis.
#[derive(Debug, Clone)]
pub(crate) struct Operand {
    pub view: View,
    pub labels: Vec<char>,
}

/// Labels of a product: of both operands and the result, of both alone, of one.
#[derive(Debug, Default)]
struct Labels {
    heads: Vec<char>,
    summed: Vec<char>,
    first: Vec<char>,
    second: Vec<char>,
}

impl Operand {
    fn axis(&self, labels: &[char]) -> Axis {
        let at = |label: &char| self.labels.iter().position(|other| other == label);
        self.view.joined(labels.iter().filter_map(at))
    }

    /// A view of the axes head, position and depth, by their labels.
    fn heads(&self, [head, position, depth]: [&[char]; 3]) -> View {
        View {
            axes: vec![self.axis(head), self.axis(position), self.axis(depth)],
            ..self.view.clone()
        }
    }
}

impl Net {
    /// `softmax(q k^T * scale) v` of views whose last three axes are head, position and depth; others have one element.
    pub fn attention(&mut self, heads: [&View; 3], scale: Option<f64>) -> Result<View> {
        self.attention_under(heads, scale, |_, _| Ok(None))
    }

    /// The same with what `mask` gives of so many queries and keys, added before the softmax.
    pub fn attention_under(
        &mut self,
        [q, k, v]: [&View; 3],
        scale: Option<f64>,
        mask: impl FnOnce(usize, usize) -> Result<Option<Vec<f64>>>,
    ) -> Result<View> {
        let rank = q.axes.len();
        let of = |view: &View| -> Result<View> {
            let rank = view.axes.len();
            if rank < 2 || view.axes[..rank.saturating_sub(3)].iter().any(|axis| !axis.is_empty()) {
                return Err("attention is known of a batch of 1".to_string());
            }
            let head = if rank > 2 { view.axes[rank - 3].clone() } else { vec![] };
            Ok(View {
                axes: vec![head, view.axes[rank - 2].clone(), view.axes[rank - 1].clone()],
                ..view.clone()
            })
        };
        let (q, k, v) = (of(q)?, of(k)?, of(v)?);
        let depth = super::view::size(&q.axes[2]);
        let scale = scale.unwrap_or_else(|| 1.0 / (depth as f64).sqrt());
        let out = match mask(super::view::size(&q.axes[1]), super::view::size(&k.axes[1]))? {
            Some(mask) => self.masked([&q, &k, &v], scale, &mask)?,
            None => self.attended(&q, &k, &v, scale)?,
        };
        let mut axes = vec![vec![]; rank - 2];
        if rank > 2 {
            axes[rank - 3] = out.axes[0].clone();
        }
        axes.extend([out.axes[1].clone(), out.axes[2].clone()]);
        Ok(View { axes, ..out })
    }

    /// Attention of views of the axes head, position and depth; its result has them too.
    pub(super) fn attended(&mut self, q: &View, k: &View, v: &View, scale: f64) -> Result<View> {
        let [deep, values] = [q, v].map(|view| super::view::size(&view.axes[2]));
        if values < deep {
            let wide = self.widened(v, deep)?;
            let out = self.attended(q, k, &wide, scale)?;
            return out
                .sliced(2, 0, values, 1)
                .ok_or_else(|| "its values do not fit its queries".to_string());
        }
        let (q, a) = self.unscaled(q);
        let (k, b) = self.unscaled(k);
        let scale = scale * a * b;
        let [heads, positions, depth] = [0, 1, 2].map(|i| super::view::size(&q.axes[i]));
        let relative = scale * (depth as f64).sqrt();
        let near = if self.apart { 1e-6 } else { 1e-12 };
        let q = if (relative - 1.0).abs() < near {
            q
        } else {
            self.map(
                &q,
                Map::Affine {
                    scale: relative,
                    shift: 0.0,
                },
            )?
        };
        let mut inputs = [0; 3];
        for (input, (view, what)) in inputs.iter_mut().zip([(&q, "queries"), (&k, "keys"), (v, "values")]) {
            let source = self.channels_first(view, &[0, 2], &[1]);
            *input = source.map_err(|problem| format!("of its {what}: {problem}"))?;
        }
        let [q, k, v] = inputs;
        let channels = |i: usize| self.sources[i].sizes[0];
        if self.sources[k].sizes != self.sources[v].sizes || channels(q) != channels(k) {
            let sizes = [q, k, v].map(|i| self.sources[i].sizes.clone());
            return Err(format!(
                "its queries, keys and values have extents {sizes:?}, which do not fit"
            ));
        }
        let sizes = self.sources[q].sizes.clone();
        let source = self.add(sizes, What::Attention { q, k, v, heads })?;
        Ok(per_head(source, [heads, positions, depth]))
    }

    /// A view without the factor that its source is multiplied by, and that factor.
    fn unscaled(&self, view: &View) -> (View, f64) {
        match *self.what(view) {
            What::Map {
                x,
                map: Map::Affine { scale, shift: 0.0 },
            } => (view.over(x), scale),
            _ => (view.clone(), 1.0),
        }
    }

    /// A softmax of `view` over `axis`.
    pub fn softmax(&mut self, view: &View, axis: usize) -> Result<View> {
        let atoms = normal(view.axes[axis].iter().copied());
        if let What::Scores { q, k, scale } = self.what(view).clone() {
            let [heads, rows, cols] = [0, 1, 2].map(|i| self.sources[view.source].sizes[i]);
            let over_last = cols == 1 && atoms.is_empty() || atoms == [Atom { size: cols, stride: 1 }];
            let over_first = atoms
                == [Atom {
                    size: rows,
                    stride: cols,
                }];
            if over_last {
                let source = self.add(vec![heads, rows, cols], What::Weights { q, k, scale })?;
                return Ok(view.over(source));
            }
            if over_first {
                let (q, k) = (k, q);
                let source = self.add(vec![heads, cols, rows], What::Weights { q, k, scale })?;
                return Ok(turned(view, source, [heads, rows, cols]));
            }
            return Err("a softmax of products is over neither of their two axes".to_string());
        }
        let view = self.dense(view)?;
        let [channels, rows, cols] = self.shape(view.source)?;
        let plane = rows * cols;
        let over = match normal(view.axes[axis].iter().copied())[..] {
            [Atom { size, stride: 1 }] if size == plane => Soft::Positions,
            [Atom { size, stride }] if stride == plane && channels % size == 0 => Soft::Depth(channels / size),
            _ => return Err("a softmax is over an axis that no attention has it over".to_string()),
        };
        let sizes = self.sources[view.source].sizes.clone();
        let source = self.add(sizes, What::Softmax { x: view.source, over })?;
        Ok(view.over(source))
    }

    /// The product of `a` and `b` that sums over every label that `out` has not. Axes of one element play no part.
    pub fn contracted(&mut self, a: Operand, b: Operand, out: &[char]) -> Result<View> {
        let labels = labels(&a, &b, out)?;
        let (one, two) = (self.what(&a.view).clone(), self.what(&b.view).clone());
        let result = match (one, two) {
            (What::Weights { q, k, scale }, _) => {
                self.weighted((q, k, scale), [&a, &b], [&labels.first, &labels.second], &labels)?
            }
            (_, What::Weights { q, k, scale }) => {
                self.weighted((q, k, scale), [&b, &a], [&labels.second, &labels.first], &labels)?
            }
            (What::Context { .. }, _) => self.read(&a, &b, [&labels.first, &labels.second], &labels)?,
            (_, What::Context { .. }) => self.read(&b, &a, [&labels.second, &labels.first], &labels)?,
            (
                What::Softmax {
                    over: Soft::Positions, ..
                },
                _,
            ) => self.context([&a, &b], [&labels.first, &labels.second], &labels)?,
            (
                _,
                What::Softmax {
                    over: Soft::Positions, ..
                },
            ) => self.context([&b, &a], [&labels.second, &labels.first], &labels)?,
            _ => self.scores([&a, &b], &labels)?,
        };
        let axes: Option<Vec<Axis>> = out
            .iter()
            .map(|label| match result.labels.iter().position(|other| other == label) {
                Some(at) => Some(result.view.axes[at].clone()),
                None => Some(vec![]),
            })
            .collect();
        let axes = axes.ok_or("its result has an axis of neither operand")?;
        Ok(View { axes, ..result.view })
    }

    fn scores(&mut self, [a, b]: [&Operand; 2], labels: &Labels) -> Result<Operand> {
        let q = a.heads([&labels.heads, &labels.first, &labels.summed]);
        let k = b.heads([&labels.heads, &labels.second, &labels.summed]);
        let sizes = [&q.axes[0], &q.axes[1], &k.axes[1]]
            .map(|axis| super::view::size(axis))
            .to_vec();
        let source = self.add(sizes, What::Scores { q, k, scale: 1.0 })?;
        Ok(self.labelled(source, a, b, [&labels.heads, &labels.first, &labels.second]))
    }

    /// Weights times values: an attention.
    fn weighted(
        &mut self,
        (q, k, scale): (View, View, f64),
        [weights, v]: [&Operand; 2],
        [queries, depth]: [&[char]; 2],
        labels: &Labels,
    ) -> Result<Operand> {
        let keys = self.sources[weights.view.source].sizes[2];
        if weights.axis(&labels.summed) != normal([Atom { size: keys, stride: 1 }]) {
            return Err("values are multiplied by the wrong axis of an attention's weights".to_string());
        }
        let value = v.heads([&labels.heads, &labels.summed, depth]);
        let view = self.attended(&q, &k, &value, scale)?;
        Ok(split(view, [v, weights], [&labels.heads, queries, depth]))
    }

    fn context(&mut self, [k, v]: [&Operand; 2], [own, other]: [&[char]; 2], labels: &Labels) -> Result<Operand> {
        let key = k.heads([&labels.heads, &labels.summed, own]);
        let (value, scale) = self.unscaled(&v.heads([&labels.heads, &labels.summed, other]));
        let soft = self.channels_first(&key, &[0, 2], &[1])?;
        let What::Softmax { x, .. } = self.sources[soft].what else {
            return Err("some keys of an attention are used apart".to_string());
        };
        let (heads, depth) = (super::view::size(&key.axes[0]), super::view::size(&key.axes[2]));
        let value = self.channels_first(&value, &[0, 2], &[1])?;
        let sizes = vec![heads, depth, self.sources[value].sizes[0] / heads.max(1)];
        let (k_source, v_source) = (x, value);
        let what = What::Context {
            k: k_source,
            v: v_source,
            heads,
            scale,
        };
        let source = self.add(sizes, what)?;
        Ok(self.labelled(source, k, v, [&labels.heads, own, other]))
    }

    /// What queries read of a context: a linear attention.
    fn read(&mut self, context: &Operand, q: &Operand, [own, other]: [&[char]; 2], labels: &Labels) -> Result<Operand> {
        let What::Context { k, v, heads, scale } = *self.what(&context.view) else {
            return Err("it is no context".to_string());
        };
        let (query, more) = self.unscaled(&q.heads([&labels.heads, other, &labels.summed]));
        let depths = self.sources[context.view.source].sizes.clone();
        let expected = [Atom {
            size: depths[1],
            stride: depths[2],
        }];
        if context.axis(&labels.summed) != normal(expected) {
            return Err("queries of a linear attention are multiplied by the wrong axis of its context".to_string());
        }
        let soft = self.channels_first(&query, &[0, 2], &[1])?;
        let x = match self.sources[soft].what {
            What::Softmax {
                x,
                over: Soft::Depth(found),
            } if found == heads => x,
            _ => return Err("queries of a linear attention go through no softmax over their head".to_string()),
        };
        let [_, rows, cols] = self.shape(x)?;
        let what = What::LinearAttention {
            q: x,
            k,
            v,
            heads,
            scale: scale * more,
        };
        let source = self.add(vec![heads * depths[2], rows, cols], what)?;
        let view = per_head(source, [heads, rows * cols, depths[2]]);
        Ok(split(view, [context, q], [&labels.heads, other, own]))
    }

    /// A source of three axes with their labels. Several labels of one axis are split as the operands have them.
    fn labelled(&self, source: usize, a: &Operand, b: &Operand, labels: [&[char]; 3]) -> Operand {
        let mut all = Operand {
            view: View {
                axes: vec![],
                ..self.whole(source)
            },
            labels: vec![],
        };
        for (axis, labels) in self.whole(source).axes.into_iter().zip(labels) {
            let size = |label: &char| {
                let of = |operand: &Operand| {
                    let at = operand.labels.iter().position(|other| other == label)?;
                    Some(super::view::size(&operand.view.axes[at]))
                };
                of(a).or_else(|| of(b)).unwrap_or(1)
            };
            spread(&mut all, axis, labels, size);
        }
        all
    }
}

/// Labels of the axes with more than one element.
fn labels(a: &Operand, b: &Operand, out: &[char]) -> Result<Labels> {
    let mut found = Labels::default();
    let real = |operand: &Operand| -> Vec<char> {
        let pairs = operand.labels.iter().zip(&operand.view.axes);
        pairs
            .filter(|(_, axis)| !axis.is_empty())
            .map(|(label, _)| *label)
            .collect()
    };
    let (first, second) = (real(a), real(b));
    for label in &first {
        match (second.contains(label), out.contains(label)) {
            (true, true) => found.heads.push(*label),
            (true, false) => found.summed.push(*label),
            (false, true) => found.first.push(*label),
            (false, false) => return Err("it sums an axis of one operand alone".to_string()),
        }
    }
    for label in second.iter().filter(|label| !first.contains(label)) {
        if !out.contains(label) {
            return Err("it sums an axis of one operand alone".to_string());
        }
        found.second.push(*label);
    }
    Ok(found)
}

/// An activation of heads as the axes head, position and depth.
fn per_head(source: usize, [heads, positions, depth]: [usize; 3]) -> View {
    View::strided(
        source,
        0,
        &[heads, positions, depth],
        &[depth * positions, 1, positions],
    )
}

/// The axes of `view`, each split into its labels; extents are those of the operands, or all.
fn split(view: View, others: [&Operand; 2], labels: [&[char]; 3]) -> Operand {
    let mut all = Operand {
        view: View {
            axes: vec![],
            ..view.clone()
        },
        labels: vec![],
    };
    for (axis, labels) in view.axes.into_iter().zip(labels) {
        let whole = super::view::size(&axis);
        let of = |other: &&Operand, label: &char| {
            let at = other.labels.iter().position(|own| own == label)?;
            Some(super::view::size(&other.view.axes[at]))
        };
        let size = |label: &char| others.iter().find_map(|other| of(other, label)).unwrap_or(whole);
        spread(&mut all, axis, labels, size);
    }
    all
}

/// Appends `axis` under `labels`, whose extents `size` gives.
fn spread(all: &mut Operand, axis: Axis, labels: &[char], size: impl Fn(&char) -> usize) {
    let sizes: Vec<usize> = labels.iter().map(size).collect();
    let one = View {
        axes: vec![axis],
        ..all.view.clone()
    };
    match one.reshaped(&sizes) {
        Some(parts) => {
            all.labels.extend(labels);
            all.view.axes.extend(parts.axes);
        }
        None => {
            all.labels.extend(labels.first());
            all.view.axes.extend(labels.first().map(|_| one.axes[0].clone()));
        }
    }
}

/// A view of scores as one of the weights whose last two axes were exchanged.
fn turned(view: &View, source: usize, [_, rows, cols]: [usize; 3]) -> View {
    let moved = |atom: &Atom| {
        let stride = match atom.stride {
            1 => rows,
            stride if stride < rows * cols => stride / cols,
            stride => stride,
        };
        Atom { stride, ..*atom }
    };
    View {
        source,
        offset: 0,
        axes: view.axes.iter().map(|axis| axis.iter().map(moved).collect()).collect(),
    }
}
