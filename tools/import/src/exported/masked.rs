//! Attention with a constant mask, as attention without one: each query tells by channels of its own which keys it may not see.
//!
//! `q k^T + M` is `[q, e] [k, M^T]^T`, where row i of `e` has a one at the row of `M` that query i has. Rows that are the same share a
//! channel. What is forbidden weighs `e^-40` of what is not, which f64 does not see beside 1.

use super::net::{Net, Result};
use super::source::What;
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
    /// Scores plus a constant; `None` where `view` is none, or the constant one number.
    pub(super) fn masked_scores(&mut self, view: &View, tensor: &Tensor) -> Result<Option<View>> {
        let What::Scores { q, k, scale } = self.what(view).clone() else {
            return Ok(None);
        };
        if tensor.scalar().is_some() {
            return Ok(None);
        }
        let [_, queries, keys] = [0, 1, 2].map(|i| self.sources[view.source].sizes[i]);
        let own = View::whole(0, &tensor.sizes).expanded(&view.sizes());
        let own = own.ok_or("its mask does not fit its scores")?;
        let mut mask = vec![None; queries * keys];
        for (at, from) in view.offsets().zip(own.offsets()) {
            let value = tensor.data[from].max(FORBIDDEN);
            let place = &mut mask[at % (queries * keys)];
            if place.is_some_and(|known| known != value) {
                return Err("its mask is another one for each head, which is not known".to_string());
            }
            *place = Some(value);
        }
        let mask: Option<Vec<f64>> = mask.into_iter().collect();
        let mask = mask.ok_or("its mask does not fit its scores")?;
        let (q, k, scale) = self.under([&q, &k], scale, &mask)?;
        let sizes = self.sources[view.source].sizes.clone();
        let source = self.add(sizes, What::Scores { q, k, scale })?;
        Ok(Some(view.over(source)))
    }

    /// `softmax(q k^T * scale + mask) v` of views of the axes head, position and depth.
    pub(super) fn masked(&mut self, [q, k, v]: [&View; 3], scale: f64, mask: &[f64]) -> Result<View> {
        let (q, k, scale) = self.under([q, k], scale, mask)?;
        self.attended(&q, &k, v, scale)
    }

    /// `view` of the axes head, position and depth with channels of zeros behind those of each head, so that these are `wide`.
    pub(super) fn widened(&mut self, view: &View, wide: usize) -> Result<View> {
        self.extended_heads(view, wide, 1.0, &|_, _| 0.0)
    }

    /// Queries and keys with channels for a mask, and the factor of their products.
    fn under(&mut self, [q, k]: [&View; 2], scale: f64, mask: &[f64]) -> Result<(View, View, f64)> {
        let [_, queries, depth] = [0, 1, 2].map(|i| size(&q.axes[i]));
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
        let q = self.extended_heads(q, wide, scale * root, &|row, at| {
            if own[at] == Some(row) { one } else { 0.0 }
        })?;
        let k = self.extended_heads(k, wide, 1.0, &|row, at| rows[row][at] * root / one)?;
        Ok((q, k, 1.0 / root))
    }

    /// `view` of the axes head, position and depth times a factor, with channels of `more(row, position)` behind those of each head, so that these
    /// are `wide`.
    fn extended_heads(
        &mut self,
        view: &View,
        wide: usize,
        factor: f64,
        more: &dyn Fn(usize, usize) -> f64,
    ) -> Result<View> {
        let [heads, positions, depth] = [0, 1, 2].map(|i| size(&view.axes[i]));
        let source = self.channels_first(view, &[0, 2], &[1])?;
        let channel = |at: usize| match at % wide {
            own if own < depth => (at / wide * depth + own, factor),
            _ => (0, 0.0),
        };
        let list: Vec<(usize, f64)> = (0..heads * wide).map(channel).collect();
        let chosen = self.chosen(source, &list)?;
        let number = |at: usize| match (at / positions % wide).checked_sub(depth) {
            Some(row) => more(row, at % positions),
            None => 0.0,
        };
        let numbers: Vec<f64> = (0..heads * wide * positions).map(number).collect();
        let mut found = self.shown_as(chosen, 3);
        if numbers.iter().any(|v| *v != 0.0) {
            found = self.plus(
                &found,
                &Tensor::new(Kind::F64, vec![1, heads * wide, positions], numbers),
            )?;
        }
        let axis = |size, stride| normal([Atom { size, stride }]);
        let axes = vec![axis(heads, wide * positions), axis(positions, 1), axis(wide, positions)];
        Ok(View { axes, ..found })
    }
}
