//! Attention with a constant mask, as attention without one: each query tells by channels of its own which keys it may not see.
//!
//! `q k^T + M` is `[q, e] [k, M^T]^T`, where row i of `e` has a one at the row of `M` that query i has. Rows that are the same share a
//! channel. What is forbidden weighs `e^-40` of what is not, which f64 does not see beside 1.

use super::net::{Net, Result};
use super::tensor::{Kind, Tensor};
use super::view::{Atom, View, normal, size};

/// What stands for minus infinity, in units of the exponent.
const FORBIDDEN: f64 = -40.0;
/// Most rows of a mask that differ.
const MOST_ROWS: usize = 64;

/// `(query, key)` addends of a mask's tensor, of which a truth value allows; `None` where it changes nothing.
pub(super) fn addends(mask: &Tensor, queries: usize, keys: usize) -> Result<Option<Vec<f64>>> {
    let rank = mask.sizes.len();
    let leads = rank < 2 || mask.sizes[..rank - 2].iter().any(|size| *size != 1);
    let spread = View::whole(0, &mask.sizes);
    let flat = match leads {
        true if rank >= 2 => return Err("its mask is another one for each head, which is not known".to_string()),
        true => spread.expanded(&[queries, keys]),
        false => spread
            .reshaped(&mask.sizes[rank - 2..])
            .and_then(|view| view.expanded(&[queries, keys])),
    };
    let flat = flat.ok_or_else(|| format!("its mask has extents {:?}", mask.sizes))?;
    let addend = |at: usize| match (mask.kind, mask.data[at]) {
        (Kind::Bool, 0.0) => FORBIDDEN,
        (Kind::Bool, _) => 0.0,
        (_, value) => value.max(FORBIDDEN),
    };
    let all: Vec<f64> = flat.offsets().map(addend).collect();
    if all.iter().any(|v| v.is_nan() || *v > -FORBIDDEN) {
        return Err("its mask holds numbers that are none, or above 40".to_string());
    }
    Ok(all.iter().any(|v| *v != 0.0).then_some(all))
}

/// The mask of an attention to what came before.
pub(super) fn causal(queries: usize, keys: usize) -> Vec<f64> {
    let addend = |at: usize| if at % keys > at / keys { FORBIDDEN } else { 0.0 };
    (0..queries * keys).map(addend).collect()
}

impl Net {
    /// `softmax(q k^T * scale + mask) v` of views of the axes head, position and depth.
    pub(super) fn masked(&mut self, [q, k, v]: [&View; 3], scale: f64, mask: &[f64]) -> Result<View> {
        let [heads, queries, depth] = [0, 1, 2].map(|i| size(&q.axes[i]));
        let keys = size(&k.axes[1]);
        let mut rows: Vec<&[f64]> = vec![];
        let mut own = vec![];
        for row in mask.chunks_exact(keys.max(1)) {
            own.push(match rows.iter().position(|known| *known == row) {
                Some(at) => Some(at),
                None if row.iter().all(|v| *v == 0.0) => None,
                None => {
                    rows.push(row);
                    Some(rows.len() - 1)
                }
            });
        }
        if own.len() != queries || rows.len() > MOST_ROWS {
            return Err(format!(
                "its mask of {queries} queries and {keys} keys has {} rows that differ; {MOST_ROWS} are known",
                rows.len()
            ));
        }
        let wide = depth + rows.len();
        let root = (wide as f64).sqrt();
        // Both channels of a row have the same range.
        let one = (-FORBIDDEN * root).sqrt();
        let extended =
            |net: &mut Self, view: &View, factor: f64, positions: usize, more: &dyn Fn(usize, usize) -> f64| {
                let source = net.channels_first(view, &[0, 2], &[1])?;
                let channel = |at: usize| match at % wide {
                    own if own < depth => (at / wide * depth + own, factor),
                    _ => (0, 0.0),
                };
                let list: Vec<(usize, f64)> = (0..heads * wide).map(channel).collect();
                let chosen = net.chosen(source, &list)?;
                let number = |at: usize| match (at / positions % wide).checked_sub(depth) {
                    Some(row) => more(row, at % positions),
                    None => 0.0,
                };
                let numbers: Vec<f64> = (0..heads * wide * positions).map(number).collect();
                let mut found = net.shown_as(chosen, 3);
                if numbers.iter().any(|v| *v != 0.0) {
                    found = net.plus(
                        &found,
                        &Tensor::new(Kind::F64, vec![1, heads * wide, positions], numbers),
                    )?;
                }
                let axes = vec![
                    normal([Atom {
                        size: heads,
                        stride: wide * positions,
                    }]),
                    normal([Atom {
                        size: positions,
                        stride: 1,
                    }]),
                    normal([Atom {
                        size: wide,
                        stride: positions,
                    }]),
                ];
                Ok::<_, String>(View { axes, ..found })
            };
        let q = extended(self, q, scale * root, queries, &|row, at| {
            if own[at] == Some(row) { one } else { 0.0 }
        })?;
        let k = extended(self, k, 1.0, keys, &|row, at| rows[row][at] * root / one)?;
        let v = extended(self, v, 1.0, keys, &|_, _| 0.0)?;
        let out = self.attended(&q, &k, &v, 1.0 / root)?;
        out.sliced(2, 0, depth, 1)
            .ok_or_else(|| "its mask does not fit its heads".to_string())
    }
}
