//! How the axes of an exported tensor lie in the value that holds its numbers.
//!
//! Views, transpositions, permutations, slices and expansions move no number: they say anew where each one lies. A
//! [`View`] keeps that, so that a layer can be recognized by what it reads, however it was reshaped on the way. An axis is
//! a list of atoms, outermost first, each with a size and a stride; an axis of size 1 has none.

use std::iter;

/// A part of an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Atom {
    pub size: usize,
    pub stride: usize,
}

/// An axis: its atoms, outermost first.
pub(crate) type Axis = Vec<Atom>;

/// Axes over the numbers of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    /// Index of the source.
    pub source: usize,
    /// Where the first element lies.
    pub offset: usize,
    pub axes: Vec<Axis>,
}

impl View {
    /// Axes of `sizes` and `strides`.
    pub fn strided(source: usize, offset: usize, sizes: &[usize], strides: &[usize]) -> Self {
        let axis = |(size, stride): (&usize, &usize)| match *size {
            1 => vec![],
            size => vec![Atom { size, stride: *stride }],
        };
        Self {
            source,
            offset,
            axes: sizes.iter().zip(strides).map(axis).collect(),
        }
    }

    /// All of a source, row-major.
    pub fn whole(source: usize, sizes: &[usize]) -> Self {
        let mut strides = vec![1; sizes.len()];
        for i in (1..sizes.len()).rev() {
            strides[i - 1] = strides[i] * sizes[i].max(1);
        }
        Self::strided(source, 0, sizes, &strides)
    }

    /// The same axes over another source.
    pub fn over(&self, source: usize) -> Self {
        Self { source, ..self.clone() }
    }

    /// Extents of the axes.
    pub fn sizes(&self) -> Vec<usize> {
        self.axes.iter().map(|axis| size(axis)).collect()
    }

    /// Elements.
    pub fn len(&self) -> usize {
        self.axes.iter().map(|axis| size(axis)).product()
    }

    /// All atoms of `axes`, joined where they lie in one another.
    pub fn joined(&self, axes: impl IntoIterator<Item = usize>) -> Axis {
        normal(axes.into_iter().flat_map(|i| self.axes[i].iter().copied()))
    }

    /// Where the elements lie, in row-major order.
    pub fn offsets(&self) -> impl Iterator<Item = usize> + '_ {
        let atoms: Axis = self.axes.iter().flatten().copied().collect();
        let mut index = vec![0; atoms.len()];
        let mut next = (self.len() > 0).then_some(self.offset);
        iter::from_fn(move || {
            let now = next?;
            let mut at = now;
            next = None;
            for i in (0..atoms.len()).rev() {
                index[i] += 1;
                at += atoms[i].stride;
                if index[i] < atoms[i].size {
                    next = Some(at);
                    break;
                }
                at -= atoms[i].size * atoms[i].stride;
                index[i] = 0;
            }
            Some(now)
        })
    }

    /// The axes in another order.
    pub fn permuted(&self, order: &[usize]) -> Option<Self> {
        let mut seen = vec![false; self.axes.len()];
        for i in order {
            if std::mem::replace(seen.get_mut(*i)?, true) {
                return None;
            }
        }
        (order.len() == self.axes.len()).then(|| Self {
            axes: order.iter().map(|i| self.axes[*i].clone()).collect(),
            ..self.clone()
        })
    }

    /// The elements in the same order, with other extents.
    pub fn reshaped(&self, sizes: &[usize]) -> Option<Self> {
        if sizes.iter().try_fold(1usize, |n, size| n.checked_mul(*size)) != Some(self.len()) || self.len() == 0 {
            return None;
        }
        let mut rest: Vec<Atom> = normal(self.axes.iter().flatten().copied());
        rest.reverse();
        let mut axes = vec![];
        for wanted in sizes {
            let (mut axis, mut left) = (vec![], *wanted);
            while left > 1 {
                let atom = rest.pop()?;
                if left.is_multiple_of(atom.size) {
                    left /= atom.size;
                    axis.push(atom);
                } else if atom.size.is_multiple_of(left) {
                    let inner = atom.size / left;
                    axis.push(Atom {
                        size: left,
                        stride: atom.stride * inner,
                    });
                    rest.push(Atom { size: inner, ..atom });
                    left = 1;
                } else {
                    return None;
                }
            }
            axes.push(normal(axis));
        }
        Some(Self { axes, ..self.clone() })
    }

    /// With an axis of size 1 before `axis`.
    pub fn unsqueezed(&self, axis: usize) -> Option<Self> {
        let mut axes = self.axes.clone();
        (axis <= axes.len()).then(|| axes.insert(axis, vec![]))?;
        Some(Self { axes, ..self.clone() })
    }

    /// Every `step`-th element of `axis`, `count` of them from `first`.
    pub fn sliced(&self, axis: usize, first: usize, count: usize, step: usize) -> Option<Self> {
        let atoms = normal(self.axes.get(axis)?.iter().copied());
        let size = size(&atoms);
        let past = first.checked_add(count.checked_sub(1)?.checked_mul(step)?)?;
        if past >= size {
            return None;
        }
        let mut view = self.clone();
        if first == 0 && count == size {
            return Some(view);
        }
        let outer = *atoms.first()?;
        // Slices of an axis of several atoms are those that leave the inner ones whole, or the outer ones at one index.
        let inner = size / outer.size;
        let mut rest: Axis = atoms[1..].to_vec();
        if rest.is_empty() {
            view.offset += first * outer.stride;
            let atom = Atom {
                size: count,
                stride: outer.stride * step,
            };
            view.axes[axis] = normal([atom]);
            return Some(view);
        }
        if step != 1 {
            return None;
        }
        if first.is_multiple_of(inner) && count.is_multiple_of(inner) {
            view.offset += first / inner * outer.stride;
            rest.insert(
                0,
                Atom {
                    size: count / inner,
                    ..outer
                },
            );
            view.axes[axis] = normal(rest);
            return Some(view);
        }
        if first / inner == past / inner {
            view.offset += first / inner * outer.stride;
            view.axes[axis] = rest;
            return view.sliced(axis, first % inner, count, 1);
        }
        None
    }

    /// With axes of size 1 repeated, and others before them, so that the extents are `sizes`.
    pub fn expanded(&self, sizes: &[usize]) -> Option<Self> {
        let before = sizes.len().checked_sub(self.axes.len())?;
        let mut axes = vec![vec![]; before];
        axes.extend(self.axes.iter().cloned());
        for (axis, wanted) in axes.iter_mut().zip(sizes) {
            let found = size(axis);
            if found == 1 && *wanted != 1 {
                *axis = vec![Atom {
                    size: *wanted,
                    stride: 0,
                }];
            } else if found != *wanted {
                return None;
            }
        }
        Some(Self { axes, ..self.clone() })
    }
}

/// The extent of an axis.
pub(super) fn size(axis: &[Atom]) -> usize {
    axis.iter().map(|atom| atom.size).product()
}

/// Without atoms of size 1, and with neighbours joined that lie in one another.
pub(super) fn normal(atoms: impl IntoIterator<Item = Atom>) -> Axis {
    let mut axis: Axis = vec![];
    for atom in atoms {
        match axis.last_mut() {
            _ if atom.size == 1 => {}
            Some(last) if last.stride == atom.stride * atom.size => {
                last.size *= atom.size;
                last.stride = atom.stride;
            }
            _ => axis.push(atom),
        }
    }
    axis
}

/// Extents that both broadcast to.
pub(super) fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let at = |sizes: &[usize], i: usize| (i + sizes.len()).checked_sub(rank).map_or(1, |i| sizes[i]);
    (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (x, y) if x == y => Some(x),
            (1, y) => Some(y),
            (x, 1) => Some(x),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(view: &View) -> Vec<usize> {
        view.offsets().collect()
    }

    #[test]
    fn views_move_nothing_and_know_where_all_lies() {
        let view = View::whole(0, &[2, 3, 4]);
        let turned = view.permuted(&[0, 2, 1]).unwrap();
        assert_eq!(turned.sizes(), [2, 4, 3]);
        assert_eq!(listed(&turned)[..4], [0, 4, 8, 1]);
        // Back in one go, through a reshape that no strides could hold.
        let flat = turned.reshaped(&[2, 12]).unwrap();
        let back = flat.reshaped(&[2, 4, 3]).unwrap().permuted(&[0, 2, 1]).unwrap();
        assert_eq!(listed(&back), (0..24).collect::<Vec<_>>());
        assert_eq!(back.joined(0..3), [Atom { size: 24, stride: 1 }]);
        assert_eq!(listed(&flat.sliced(1, 3, 3, 1).unwrap())[..3], [1, 5, 9]);
        assert!(view.reshaped(&[5, 5]).is_none());
        assert!(view.permuted(&[0, 0, 1]).is_none());
    }

    #[test]
    fn slices_and_repetitions() {
        let view = View::whole(0, &[6]);
        assert_eq!(listed(&view.sliced(0, 1, 2, 3).unwrap()), [1, 4]);
        assert!(view.sliced(0, 5, 2, 1).is_none());
        assert!(view.sliced(0, 0, 0, 1).is_none());
        let row = view.unsqueezed(1).unwrap().expanded(&[6, 2]).unwrap();
        assert_eq!(listed(&row)[..4], [0, 0, 1, 1]);
        assert_eq!(broadcast(&[1, 16, 1], &[16, 8]), Some(vec![1, 16, 8]));
        assert_eq!(broadcast(&[2], &[3]), None);
    }
}
