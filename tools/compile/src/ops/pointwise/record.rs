//! The record of a pointwise operator: units, tables and factors.

use mote_runtime::internals::ops::pointwise::{Addend as AddendFields, Affine, Factor, Table};
use mote_runtime::internals::ops::{At, Pointwise as Fields};
use mote_runtime::internals::tensor::Dtype;

use super::{Addend, Pointwise, table};
use crate::emit::Emitter;
use crate::program::SlotId;

/// Bits of the largest multiplier.
const MULT_BITS: i32 = 30;
/// Straight lines may be this part of an int8 output's unit away from the function; of other outputs it is a unit.
const FINE: f64 = 0.125;

impl Pointwise {
    /// The operator as it stands in the file.
    pub(super) fn fields(&self, out: SlotId, e: &mut Emitter<'_>) -> Fields {
        let (table, affine) = if e.is_float() {
            self.float(out, e)
        } else {
            self.integer(out, e)
        };
        Fields {
            src: e.id(self.src),
            out: e.id(out),
            table,
            affine,
        }
    }

    fn float(&self, out: SlotId, e: &mut Emitter<'_>) -> (Option<Table>, Option<Affine>) {
        let table = (!self.function.is_empty()).then(|| {
            let (ends, segment_bits) = table::float(&self.function);
            // One table serves every operator with this function.
            let at = e.weights.put_once(ends);
            Table { at, segment_bits }
        });
        let direct = table.is_some() && self.is_function() && e.format(out).dtype == Dtype::F16;
        (table, (!direct).then(|| self.affine(1.0, 1.0, e)))
    }

    fn integer(&self, out: SlotId, e: &mut Emitter<'_>) -> (Option<Table>, Option<Affine>) {
        let (input, output) = (e.format(self.src), e.format(out));
        if self.function.is_empty() {
            return (None, Some(self.affine(input.scale, output.scale, e)));
        }
        let own = |at: At, segment_bits: u8| Some(Table { at, segment_bits });
        let plain = self.is_function();
        let (function, byte) = (&self.function, input.dtype == Dtype::I8);
        if plain && byte && output.dtype == Dtype::I8 {
            let at = e.weights.put(table::bytes(function, input, output).into_iter());
            return (own(at, 0), None);
        }
        // Of int16 and of Q24 the table's unit is as fine as 16 bits allow.
        let direct = plain && output.dtype == Dtype::I16;
        let finest = (table::max_abs(function, input) / 32767.0).max(output.scale / 32768.0);
        let unit = match plain {
            true if direct => output.scale,
            // A power of two below the output's: what is left is a shift.
            true if finest < output.scale => libm::ldexp(output.scale, -power_below(output.scale / finest)),
            _ => finest,
        };
        let (values, bits) = if byte {
            (table::words(function, input, unit), 0)
        } else {
            let part = if output.dtype == Dtype::I8 { FINE } else { 1.0 };
            let tolerance = unit.max(part * output.scale / self.largest_factor(e).max(f64::MIN_POSITIVE));
            table::segments(function, input, unit, tolerance)
        };
        let table = own(e.weights.put(values.into_iter()), bits);
        let affine = match power_below(output.scale / unit) {
            shift @ 1.. if plain && libm::ldexp(unit, shift) == output.scale => self.shifted(shift),
            _ => self.affine(unit, output.scale, e),
        };
        (table, (!direct).then_some(affine))
    }

    /// The affine of a function whose values are in units of a power of two below the output's.
    fn shifted(&self, shift: i32) -> Affine {
        Affine {
            one: 1,
            one_float: 1.0,
            shift: shift as u8,
            factor: None,
            addend: None,
        }
    }

    /// The largest magnitude that the function's value is multiplied by.
    fn largest_factor(&self, e: &Emitter<'_>) -> f64 {
        self.one.abs() + self.factor.map_or(0.0, |slot| e.format(slot).max_abs())
    }

    /// What follows a value of this unit, to an output of that.
    fn affine(&self, unit: f64, out: f64, e: &Emitter<'_>) -> Affine {
        let (addend, weight) = match self.addend {
            Some(Addend::Slot(slot, weight)) => (Some(slot), weight),
            Some(Addend::Modulation) => (self.factor, 1.0),
            None => (None, 0.0),
        };
        let mult = addend.map_or(0.0, |slot| weight * e.scale(slot) / out);
        // The largest of all multipliers has as many bits as there are.
        let largest = (self.largest_factor(e) * unit / out).max(mult.abs());
        let shift = (MULT_BITS - libm::frexp(largest).1).clamp(1, 62);
        let fixed = |v: f64| libm::round(libm::ldexp(v, shift)).clamp(-2_147_483_648.0, 2_147_483_647.0) as i32;
        let of_factor = |slot: SlotId| libm::ldexp(e.scale(slot) * unit / out, shift);
        Affine {
            one: if e.is_float() { 0 } else { fixed(self.one * unit / out) },
            one_float: self.one as f32,
            shift: shift as u8,
            factor: self.factor.map(|slot| Factor {
                tensor: e.id(slot),
                requant: e.requant(of_factor(slot)),
            }),
            addend: self.addend.map(|addend| AddendFields {
                tensor: match addend {
                    Addend::Slot(slot, _) => Some(e.id(slot)),
                    Addend::Modulation => None,
                },
                mult: if e.is_float() { 0 } else { fixed(mult) },
                mult_float: weight as f32,
            }),
        }
    }
}

/// The largest power of two that is at most `v`, as its exponent.
fn power_below(v: f64) -> i32 {
    libm::frexp(v).1 - 1
}
