//! In which order a network's code has the axes of a sample, beside `(channel, row, col)` here.

/// The axes of a sample, without that of samples, as the network's code orders them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleLayout {
    /// For each of them, which of channel, row and col it is.
    order: Vec<usize>,
}

/// Names that stand for the channels.
const CHANNEL: [&str; 4] = ["channel", "action", "feature", "state"];
/// Names that stand for the columns, the only positions of a signal.
const COL: [&str; 7] = ["col", "time", "horizon", "width", "position", "token", "length"];
/// Names that stand for the rows.
const ROW: [&str; 2] = ["row", "height"];

impl SampleLayout {
    /// Channel, row, col.
    #[must_use]
    pub fn plain() -> Self {
        Self { order: vec![0, 1, 2] }
    }

    /// Channel and time.
    pub(super) fn of_rank(rank: usize) -> Option<Self> {
        match rank {
            1 => Some(Self { order: vec![0] }),
            3 => Some(Self::plain()),
            _ => None,
        }
    }

    /// A layout such as `(horizon, action)`: names of axes, one of them the channels.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let inner = text.trim().strip_prefix('(').and_then(|text| text.strip_suffix(')'));
        let names = inner.ok_or("write it as (channel, row, col), (channel, time), (horizon, action) or (channel)")?;
        let axis = |name: &str| {
            let is = |names: &[&str]| names.contains(&name);
            let found = [is(&CHANNEL), is(&ROW), is(&COL)].iter().position(|is| *is);
            found.ok_or_else(|| format!("the axis is none of {}", [&CHANNEL[..], &ROW, &COL].concat().join(", ")))
        };
        let order: Result<Vec<usize>, String> = names.split(',').map(|name| axis(name.trim())).collect();
        let order = order?;
        let mut sorted = order.clone();
        sorted.sort_unstable();
        match sorted[..] {
            [0] | [0, 2] | [0, 1, 2] => Ok(Self { order }),
            _ => Err("it needs one axis of channels, and one of columns where it has rows".to_string()),
        }
    }

    /// For each axis of the network's code, which of channel, row and col it is.
    #[must_use]
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// Extents in the network's code of a sample of `(channel, row, col)`.
    #[must_use]
    pub fn own(&self, shape: [usize; 3]) -> Vec<usize> {
        self.order.iter().map(|axis| shape[*axis]).collect()
    }

    /// Samples in the network's order as samples of `(channel, row, col)`.
    #[must_use]
    pub fn to_graph<T: Copy>(&self, data: &[T], shape: [usize; 3]) -> Vec<T> {
        let sizes = self.own(shape);
        let mut strides = [0; 3];
        let mut next = 1;
        for (axis, size) in self.order.iter().zip(&sizes).rev() {
            strides[*axis] = next;
            next *= size;
        }
        let [channels, rows, cols] = shape;
        let mut turned = Vec::with_capacity(data.len());
        for sample in data.chunks_exact(next.max(1)) {
            for i in 0..channels * rows * cols {
                let (c, y, x) = (i / (rows * cols), i / cols % rows, i % cols);
                turned.push(sample[c * strides[0] + y * strides[1] + x * strides[2]]);
            }
        }
        turned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_which_axis_is_which() {
        let policy = SampleLayout::parse("(horizon, action)").unwrap();
        assert_eq!(policy.own([2, 1, 16]), [16, 2]);
        assert_eq!(policy.to_graph(&[1, 2, 3, 4, 5, 6], [2, 1, 3]), [1, 3, 5, 2, 4, 6]);
        assert_eq!(
            SampleLayout::parse("(channel, row, col)").unwrap(),
            SampleLayout::plain()
        );
        assert_eq!(SampleLayout::parse("(channel)").unwrap().own([7, 1, 1]), [7]);
        for wrong in [
            "channel",
            "(row, col)",
            "(channel, channel)",
            "(channel, x)",
            "(channel, row)",
        ] {
            assert!(SampleLayout::parse(wrong).is_err(), "{wrong}");
        }
    }
}
