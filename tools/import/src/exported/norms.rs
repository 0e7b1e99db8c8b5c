//! Normalizations, whole or written out as arithmetic.

use super::net::{Net, Result};
use super::source::{Map, Normalized, Statistic, What};
use super::tensor::{Kind, Tensor};
use super::view::{View, normal};
use mote_graph::ops::Over;

impl Net {
    /// Group normalization of `view`, of axes sample, channel, and positions.
    pub fn group_norm(&mut self, view: &View, groups: usize, eps: f64, affine: [Option<Tensor>; 2]) -> Result<View> {
        let rank = view.axes.len();
        let positions: Vec<usize> = (2..rank).collect();
        let x = if rank == 2 {
            self.channels_first(view, &[1], &[])?
        } else {
            self.channels_first(view, &[1], &positions)?
        };
        let [gamma, beta] = affine;
        let norm = Normalized {
            x,
            over: Over::Groups(groups),
            centred: true,
            eps,
            floor: 0.0,
            scale: 1.0,
            gamma,
            beta,
        };
        let sizes = self.sources[x].sizes.clone();
        let source = self.add(sizes, What::Norm(Box::new(norm)))?;
        // The axes of the positions, in the same order over a source that has no other channels.
        let mut view = View {
            source,
            offset: 0,
            ..view.clone()
        };
        let [channels, rows, cols] = self.shape(x)?;
        view.axes[1] = normal([super::view::Atom {
            size: channels,
            stride: rows * cols,
        }]);
        Ok(view)
    }

    /// Layer normalization, or RMS normalization where it is not `centred`, over the last axis.
    pub fn last_norm(&mut self, view: &View, centred: bool, eps: f64, affine: [Option<Tensor>; 2]) -> Result<View> {
        let last = view.axes.len().checked_sub(1).ok_or("its input has no axes")?;
        let view = self.dense(view)?;
        let over = self.over(&view, last)?;
        let [gamma, beta] = affine;
        let Over::Position(groups) = over else {
            return Err("it is not over channels".to_string());
        };
        let spread = |tensor: Option<Tensor>| {
            tensor.map(|tensor| match groups {
                1 => tensor,
                _ => Tensor::new(Kind::F64, vec![tensor.data.len() * groups], tensor.data.repeat(groups)),
            })
        };
        let norm = Normalized {
            x: view.source,
            over,
            centred,
            eps,
            floor: 0.0,
            scale: 1.0,
            gamma: spread(gamma),
            beta: spread(beta),
        };
        let sizes = self.sources[view.source].sizes.clone();
        let source = self.add(sizes, What::Norm(Box::new(norm)))?;
        Ok(view.over(source))
    }

    /// RMS normalization over the channels of a position, of axes sample, channel and positions; the root is at least `floor`.
    pub fn root_norm(&mut self, view: &View, floor: f64, gamma: Tensor) -> Result<View> {
        let positions: Vec<usize> = (2..view.axes.len()).collect();
        let x = self.channels_first(view, &[1], &positions)?;
        let norm = Normalized {
            x,
            over: Over::Position(1),
            centred: false,
            eps: 0.0,
            floor,
            scale: 1.0,
            gamma: Some(gamma),
            beta: None,
        };
        let sizes = self.sources[x].sizes.clone();
        let source = self.add(sizes, What::Norm(Box::new(norm)))?;
        Ok(self.shown_as(source, view.axes.len()))
    }

    /// What an axis is that something is summed over: the channels, or those of each group.
    fn over(&self, view: &View, axis: usize) -> Result<Over> {
        let [channels, rows, cols] = self.shape(view.source)?;
        let plane = rows * cols;
        let atoms = normal(view.axes[axis].iter().copied());
        match atoms[..] {
            [atom] if atom.stride == plane && channels.is_multiple_of(atom.size) => {
                Ok(Over::Position(channels / atom.size))
            }
            [] if channels == 1 => Ok(Over::Position(1)),
            _ => Err("it is over an axis that is not that of the channels".to_string()),
        }
    }

    /// A statistic over `axis`, which stays with one element where `keep` is set.
    pub fn statistic(&mut self, view: &View, axis: usize, keep: bool, statistic: Statistic) -> Result<View> {
        let view = self.dense(view)?;
        let over = self.over(&view, axis)?;
        let [_, rows, cols] = self.shape(view.source)?;
        let mut x = view.source;
        let mut statistic = statistic;
        if statistic == Statistic::Mean
            && let Some((inner, centred)) = self.square_of(x)
        {
            (x, statistic) = (inner, Statistic::Square { centred, eps: 0.0 });
        }
        let sizes = vec![over.groups(), rows, cols];
        let source = self.add(sizes, What::Statistic { x, over, statistic })?;
        let size = super::view::size(&view.axes[axis]);
        let moved = |atom: &super::view::Atom| super::view::Atom {
            // Groups of channels are as far apart as they have channels.
            stride: if atom.stride >= rows * cols {
                atom.stride / size
            } else {
                atom.stride
            },
            ..*atom
        };
        let mut axes: Vec<_> = view.axes.iter().map(|axis| axis.iter().map(moved).collect()).collect();
        axes[axis] = vec![];
        if !keep {
            axes.remove(axis);
        }
        Ok(View {
            source,
            offset: 0,
            axes,
        })
    }

    /// What `source` is the square of, and whether its mean was taken off before.
    fn square_of(&self, source: usize) -> Option<(usize, bool)> {
        match &self.sources[source].what {
            What::Product { x, factor } if factor.source == *x && self.is_whole(factor) => {
                Some(match self.sources[*x].what {
                    What::Centred { x, .. } => (x, true),
                    _ => (*x, false),
                })
            }
            _ => None,
        }
    }

    /// Another statistic made of the one that `view` shows; `None` where it shows none, or none is made so.
    pub fn restated(&mut self, view: &View, how: impl Fn(Statistic) -> Option<Statistic>) -> Result<Option<View>> {
        let What::Statistic { x, over, statistic } = *self.what(view) else {
            return Ok(None);
        };
        let Some(statistic) = how(statistic) else {
            return Ok(None);
        };
        let sizes = self.sources[view.source].sizes.clone();
        let source = self.add(sizes, What::Statistic { x, over, statistic })?;
        Ok(Some(view.over(source)))
    }

    /// `a + b` where `b` is the mean of `a`, negative.
    pub fn centred(&mut self, a: &View, b: &View) -> Result<Option<View>> {
        let What::Map {
            x: mean,
            map: Map::Affine {
                scale: -1.0,
                shift: 0.0,
            },
        } = *self.what(b)
        else {
            return Ok(None);
        };
        let What::Statistic {
            x,
            over,
            statistic: Statistic::Mean,
        } = self.sources[mean].what
        else {
            return Ok(None);
        };
        let a = self.dense(a)?;
        if a.source != x {
            return Ok(None);
        }
        let sizes = self.sources[x].sizes.clone();
        let source = self.add(sizes, What::Centred { x, over })?;
        Ok(Some(a.over(source)))
    }

    /// `x / b`, where `b` is a norm of `x`.
    pub fn quotient(&mut self, x: &View, b: &View) -> Result<Option<View>> {
        let What::Statistic { x: of, over, statistic } = *self.what(b) else {
            return Ok(None);
        };
        let elements = over.elements([self.sources[of].sizes[0], 1, 1]) as f64;
        match statistic {
            Statistic::Length { floor } => self.normalized_by(
                x,
                of,
                over,
                false,
                0.0,
                [floor / elements.sqrt(), 1.0 / elements.sqrt()],
            ),
            Statistic::Root {
                centred,
                eps,
                inverse: false,
            } => self.normalized_by(x, of, over, centred, eps, [0.0, 1.0]),
            _ => Ok(None),
        }
    }

    /// `x * b`, where `b` is one over a root of `x`.
    pub fn by_root(&mut self, x: &View, b: &View) -> Result<Option<View>> {
        let What::Statistic {
            x: of,
            over,
            statistic:
                Statistic::Root {
                    centred,
                    eps,
                    inverse: true,
                },
        } = *self.what(b)
        else {
            return Ok(None);
        };
        self.normalized_by(x, of, over, centred, eps, [0.0, 1.0])
    }

    fn normalized_by(
        &mut self,
        view: &View,
        of: usize,
        over: Over,
        centred: bool,
        eps: f64,
        [floor, scale]: [f64; 2],
    ) -> Result<Option<View>> {
        let view = self.dense(view)?;
        let (inner, gamma) = self.without_factors(view.source);
        let numerator = match (centred, &self.sources[inner].what) {
            (true, What::Centred { x, over: own }) if *own == over => *x,
            (false, _) if view.source == of => of,
            (false, _) => inner,
            _ => return Err("a value is divided by its deviation, but its mean was not taken off".to_string()),
        };
        if numerator != of {
            return Err("a value is divided by the norm of another, which is not known".to_string());
        }
        let norm = Normalized {
            x: of,
            over,
            centred,
            eps,
            floor,
            scale,
            gamma: gamma.filter(|_| view.source != of),
            beta: None,
        };
        let sizes = self.sources[of].sizes.clone();
        let source = self.add(sizes, What::Norm(Box::new(norm)))?;
        Ok(Some(view.over(source)))
    }

    /// What `source` is a multiple of, and the constant factors of its channels: a norm's factors may come before its quotient.
    fn without_factors(&self, source: usize) -> (usize, Option<Tensor>) {
        match &self.sources[source].what {
            What::Conv(conv) if conv.is_each_channel() => {
                let channels = conv.weight.data.len();
                let factors = Tensor {
                    sizes: vec![channels],
                    ..conv.weight.clone()
                };
                (conv.x, Some(factors))
            }
            _ => (source, None),
        }
    }
}
