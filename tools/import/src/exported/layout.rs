//! From axes to `(channel, row, col)`: what a layer reads, found in a value as it lies.

use super::net::{Net, Result};
use super::source::What;
use super::view::{Atom, Axis, View, normal};

/// Most elements that are looked at one by one.
const MOST_LISTED: usize = 1 << 22;

impl Net {
    /// The source whose channels are `channels` of `view`, in that order, and whose positions are `positions`, in that order.
    /// Other axes must have one element.
    pub fn channels_first(&mut self, view: &View, channels: &[usize], positions: &[usize]) -> Result<usize> {
        let [_, height, width] = self.shape(view.source)?;
        let plane = height * width;
        let others = (0..view.axes.len()).filter(|i| !channels.contains(i) && !positions.contains(i));
        if others.into_iter().any(|i| !view.axes[i].is_empty()) {
            return Err("it works on more than one sample: export the network for a batch of 1".to_string());
        }
        if let Some(cut) = self.cut(view)? {
            return self.channels_first(&cut, channels, positions);
        }
        let along = view.joined(positions.iter().copied());
        let whole = along == normal([Atom { size: plane, stride: 1 }]);
        let across = View {
            axes: channels.iter().map(|i| view.axes[*i].clone()).collect(),
            ..view.clone()
        };
        if !whole || across.len() > self.sources[view.source].sizes[0].max(1) * 64 {
            return Err(format!("its input lies as {}, which no layer reads so", shown(view)));
        }
        let offsets: Vec<usize> = across.offsets().collect();
        if offsets.iter().any(|at| !at.is_multiple_of(plane)) {
            return Err(format!("its input lies as {}, which no layer reads so", shown(view)));
        }
        let rows: Vec<usize> = offsets.into_iter().map(|at| at / plane).collect();
        self.piece(view.source, &rows)
    }

    /// The source that `view`, of axes sample, channel, (row,) col, shows whole.
    pub fn image(&mut self, view: &View) -> Result<usize> {
        let rank = view.axes.len();
        let positions: Vec<usize> = (2..rank).collect();
        if rank != 3 && rank != 4 {
            return Err(format!("its input has {rank} axes"));
        }
        if let Some((base, factors)) = repeated_inside(view) {
            let up = self.upsampled(&base, factors)?;
            return Ok(up.source);
        }
        let sizes = view.sizes();
        let wanted = [sizes[1], if rank == 4 { sizes[2] } else { 1 }, sizes[rank - 1]];
        match self.channels_first(view, &[1], &positions) {
            Ok(source) if self.shape(source)? == wanted => Ok(source),
            Ok(source) => self.rearranged(source, wanted),
            Err(problem) => {
                let view = self.in_rows(view, wanted)?;
                self.unfolded(&view, wanted)?.ok_or(problem)
            }
        }
    }

    /// `view` of a vector that holds a sequence over the same with positions of their own: blocks of channels become these. Any other view as it is.
    pub(super) fn sequence(&mut self, view: &View, over: usize, positions: &[usize]) -> Result<View> {
        let count: usize = positions.iter().map(|i| super::view::size(&view.axes[*i])).product();
        let repeated = || view.axes.iter().flatten().any(|atom| atom.stride == 0);
        let is_vector = matches!(self.shape(view.source), Ok([_, 1, 1]));
        if !is_vector || count < 2 || repeated() || view.len() > MOST_LISTED {
            return Ok(view.clone());
        }
        let order = [&[over][..], positions].concat();
        let turned = View {
            axes: order.iter().map(|i| view.axes[*i].clone()).collect(),
            ..view.clone()
        };
        let rows: Vec<usize> = turned.offsets().collect();
        let x = self.piece(view.source, &rows)?;
        let sizes = vec![rows.len() / count, 1, count];
        let source = self.add(sizes, What::Blocks { x, block: [1, count] })?;
        let whole = View::whole(source, &turned.sizes());
        let mut axes = vec![vec![]; view.axes.len()];
        for (own, i) in whole.axes.iter().zip(&order) {
            axes[*i].clone_from(own);
        }
        Ok(View { axes, ..whole })
    }

    /// `view` of tokens in one row over the same in rows, where blocks of channels make an image of `wanted` of them.
    fn in_rows(&mut self, view: &View, wanted: [usize; 3]) -> Result<View> {
        let view = self.cut(view)?.unwrap_or_else(|| view.clone());
        let [depth, height, width] = self.shape(view.source)?;
        let [channels, rows, cols] = wanted;
        // As many taps as channels leave, in blocks as high as the outermost axis of rows says.
        let tall = view
            .axes
            .get(2)
            .and_then(|axis| axis.first())
            .map_or(1, |atom| atom.size);
        let fits = height == 1
            && tall > 1
            && width.is_multiple_of(tall)
            && rows.is_multiple_of(tall)
            && cols.is_multiple_of((width / tall).max(1))
            && depth.saturating_mul(width) == channels.saturating_mul(rows).saturating_mul(cols);
        if !fits {
            return Ok(view);
        }
        let (x, rows, cols) = (view.source, tall, width / tall);
        let source = self.add(vec![depth, rows, cols], What::Rows { x, rows, cols })?;
        Ok(view.over(source))
    }

    /// The same channels and positions, in other rows.
    fn rearranged(&mut self, source: usize, wanted: [usize; 3]) -> Result<usize> {
        let [_, rows, cols] = wanted;
        self.add(wanted.to_vec(), What::Rows { x: source, rows, cols })
    }

    /// Depth to space: positions of `wanted` that are blocks of channels of the source.
    fn unfolded(&mut self, view: &View, wanted: [usize; 3]) -> Result<Option<usize>> {
        let ([depth, height, width], [channels, rows, cols]) = (self.shape(view.source)?, wanted);
        let fits = rows.is_multiple_of(height) && cols.is_multiple_of(width) && view.len() <= MOST_LISTED;
        let (p, q) = (rows / height.max(1), cols / width.max(1));
        if !fits || channels * p * q != depth || (p, q) == (1, 1) {
            return Ok(None);
        }
        let offsets: Vec<usize> = view.offsets().collect();
        let at = |c: usize, y: usize, x: usize| offsets[(c * rows + y) * cols + x];
        let plane = height * width;
        let mut order = vec![];
        for c in 0..channels {
            for (i, j) in (0..p * q).map(|k| (k / q, k % q)) {
                let first = at(c, i, j);
                let holds = |y: usize, x: usize| at(c, y * p + i, x * q + j) == first + y * width + x;
                if !first.is_multiple_of(plane) || !(0..plane).all(|k| holds(k / width, k % width)) {
                    return Ok(None);
                }
                order.push(first / plane);
            }
        }
        let x = self.piece(view.source, &order)?;
        self.add(wanted.to_vec(), What::Blocks { x, block: [p, q] }).map(Some)
    }

    /// `view` of a source that it shows whole: of the channels that it shows, where these are a part.
    pub fn dense(&mut self, view: &View) -> Result<View> {
        if self.is_whole(view) {
            return Ok(view.clone());
        }
        let [_, height, width] = self.shape(view.source)?;
        let plane = height * width;
        let mut across: Axis = view
            .axes
            .iter()
            .flatten()
            .filter(|atom| atom.stride >= plane)
            .copied()
            .collect();
        across.sort_by_key(|atom| std::cmp::Reverse(atom.stride));
        let mut along: Axis = view
            .axes
            .iter()
            .flatten()
            .filter(|atom| atom.stride < plane)
            .copied()
            .collect();
        along.sort_by_key(|atom| std::cmp::Reverse(atom.stride));
        let fits = normal(along) == normal([Atom { size: plane, stride: 1 }])
            && view.offset.is_multiple_of(plane)
            && across.iter().all(|atom| atom.stride.is_multiple_of(plane));
        if !fits {
            return Err(format!(
                "its input lies as {}: only some positions of it are used",
                shown(view)
            ));
        }
        let channels = View {
            axes: vec![across.clone()],
            ..view.clone()
        };
        let rows: Vec<usize> = channels.offsets().map(|at| at / plane).collect();
        let source = self.piece(view.source, &rows)?;
        let mut next = plane;
        let mut strides = vec![];
        for atom in across.iter().rev() {
            strides.push((atom.stride, next));
            next *= atom.size;
        }
        let moved = |atom: &Atom| Atom {
            stride: strides
                .iter()
                .find(|(old, _)| *old == atom.stride)
                .map_or(atom.stride, |(_, new)| *new),
            ..*atom
        };
        let moved_axis = |axis: &Axis| -> Axis {
            let moved = axis
                .iter()
                .map(|atom| if atom.stride >= plane { moved(atom) } else { *atom });
            moved.collect()
        };
        Ok(View {
            source,
            offset: 0,
            axes: view.axes.iter().map(moved_axis).collect(),
        })
    }
}

/// A view as errors show it: extents, and strides in the value where an axis is not one run.
pub(super) fn shown(view: &View) -> String {
    let axis = |axis: &Axis| match axis[..] {
        [] => "1".to_string(),
        [atom] => format!("{}:{}", atom.size, atom.stride),
        _ => {
            let atoms: Vec<String> = axis
                .iter()
                .map(|atom| format!("{}:{}", atom.size, atom.stride))
                .collect();
            format!("({})", atoms.join(" "))
        }
    };
    let axes: Vec<String> = view.axes.iter().map(axis).collect();
    format!("[{}] (extent:stride)", axes.join(", "))
}

/// The image or signal of which `view` repeats every row and column, and how often; `None` where it repeats none.
pub(super) fn repeated_inside(view: &View) -> Option<(View, [usize; 2])> {
    let rank = view.axes.len();
    let mut base = view.clone();
    let mut factors = [1, 1];
    for axis in 2..rank {
        let atoms = &mut base.axes[axis];
        if let Some(atom) = atoms.last().copied().filter(|atom| atom.stride == 0 && atoms.len() > 1) {
            atoms.pop();
            factors[usize::from(axis + 1 == rank)] = atom.size;
        }
    }
    (factors != [1, 1]).then_some((base, factors))
}
