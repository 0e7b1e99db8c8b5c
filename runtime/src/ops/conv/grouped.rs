//! Convolution in groups: each output channel sees the input channels of its group alone. In a depthwise one that is a single channel.

use crate::error::Fault;
use crate::family::{Addition, Filter};
use crate::features::Feature;
use crate::numeric::float::{load, store, to_q24};
use crate::numeric::requant::{WideRequant, add_guarded};
use crate::ops::check::{Check, Checker};
use crate::ops::reader::Reader;
use crate::ops::{Call, Context, Conv, Operator};
use crate::tensor::int4;
use crate::tensor::regions::Regions;
use crate::tensor::slots::{Slots, slot};
use crate::tensor::view::{View, ViewMut};
use core::ops::Range;
use serde::{Deserialize, Serialize};

use super::proof::wide_bias;
use super::{Geometry, Rows, Weights, addition, filter, geometry};

/// A convolution in groups. Output channels and input channels are as many groups of neighbours; a group of outputs sees its group of
/// inputs. Rows of weights have the taps `(row, col, in)` of one group's inputs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Grouped {
    /// Window, weights and addend. It reads one activation, not doubled, and names its output as its scratch memory, of which it needs none.
    pub conv: Conv,
    /// Number of groups.
    pub groups: u16,
}

impl Operator for Grouped {
    const NAME: &'static str = "grouped_conv";
    const FEATURE: Option<Feature> = Some(Feature::Grouped);

    #[inline(always)]
    fn read(r: &mut Reader<'_>) -> Self {
        Self {
            conv: Conv::read(r),
            groups: r.u16(),
        }
    }

    #[inline(always)]
    fn slots(&self, slots: &mut Slots) {
        self.conv.slots(slots);
        slots.tensors[slot::SCRATCH] = None;
    }

    #[inline(never)]
    fn check(&self, checker: &mut Checker<'_, '_>) -> Check {
        let conv = &self.conv;
        let plain = conv.source.second.is_none() && !conv.upsample && conv.scratch == conv.out;
        checker.ensure(plain && self.groups > 0, Fault::Parameter)?;
        let outs = checker.tensors[slot::OUT].channels;
        let source = &mut checker.tensors[slot::FIRST];
        let whole = source.channels.is_multiple_of(self.groups) && outs.is_multiple_of(self.groups);
        source.channels /= self.groups;
        checker.ensure(whole, Fault::Parameter)?;
        conv.check_joined(checker, 1)
    }

    #[inline(always)]
    fn needs(&self, feature: Feature) -> bool {
        Self::FEATURE == Some(feature) || self.conv.needs(feature)
    }

    #[inline(always)]
    fn gives_output(&self) -> bool {
        true
    }

    fn run_integer(&self, context: &Context<'_>, _: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        let g = &geometry(&self.conv, r);
        let (groups, channels) = (usize::from(self.groups), usize::from(r.tensor(slot::FIRST).channels));
        let src = r.view(slot::FIRST)?;
        let each = channels / groups;
        let filter = &filter(context, &self.conv, Rows::ALL, g, each)?;
        let add = addition(&self.conv, r)?;
        let out = &mut r.output()?;
        let row = crate::family::padded(g.kernel.area() * each);
        let sum = |window: &Window, channel: usize| -> Option<i64> {
            let row_of = channel * row;
            Some(match (*filter, src) {
                (Filter::W8 { data, bias, .. }, View::I8(x, zero)) => {
                    let product = |x: i8, w: i8| (i32::from(x) - zero) * i32::from(w);
                    window.sum(*bias.get(channel)?, x, data.get(row_of..)?, product)?.into()
                }
                (Filter::W8 { data, bias, .. }, View::I16(x)) => {
                    let product = |x: i16, w: i8| i32::from(x) * i32::from(w);
                    window.sum(*bias.get(channel)?, x, data.get(row_of..)?, product)?.into()
                }
                (Filter::W16 { data, bias, .. }, View::I8(x, zero)) if Feature::W16.is_built() => {
                    let product = |x: i8, w: i16| i64::from((i32::from(x) - zero) * i32::from(w));
                    window.sum(wide_bias(*bias.get(channel)?), x, data.get(row_of..)?, product)?
                }
                (Filter::W16 { data, bias, .. }, View::I16(x)) if Feature::W16.is_built() => {
                    let product = |x: i16, w: i16| i64::from(i32::from(x) * i32::from(w));
                    window.sum(wide_bias(*bias.get(channel)?), x, data.get(row_of..)?, product)?
                }
                (Filter::W4 { data, bias, .. }, _) if Feature::W4.is_built() => {
                    let taps = g.kernel.area() * each;
                    let words = data.get(channel * int4::row_words(taps)..)?;
                    window.sum4(*bias.get(channel)?, &src, words).into()
                }
                _ => return None,
            })
        };
        each_window(g, channels, each, |window, channel, at| {
            let (mult, shift) = factors(filter);
            let factor = WideRequant {
                mult: *mult.get(channel)?,
                shift: *shift.get(channel)?,
            };
            finish(factor.apply(sum(window, channel)?), channel, at, add.as_ref(), out);
            Some(())
        })
    }

    fn run_f16(&self, context: &Context<'_>, _: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        let g = &geometry(&self.conv, r);
        let channels = usize::from(r.tensor(slot::FIRST).channels);
        let View::F16(src) = r.view(slot::FIRST)? else {
            return None;
        };
        let each = channels / usize::from(self.groups);
        let Weights::F16 { data, bias } = self.conv.weights else {
            return None;
        };
        let weights = context.table::<u16>(data, g.kernel.area() * each * g.outs)?;
        let bias = context.table::<f32>(bias, g.outs)?;
        let add = match self.conv.addend {
            None => None,
            Some(addend) => Some((
                r.operand(slot::THIRD)?,
                addend.factor,
                r.tensor(slot::THIRD).positions() == 1,
            )),
        };
        let out = &mut r.output()?;
        each_window(g, channels, each, |window, channel, at| {
            let mut value = *bias.get(channel)?;
            window.taps(|from, tap| {
                let (&x, &w) = (src.get(from)?, weights.get(tap * g.outs + channel)?);
                value += load(x) * load(w);
                Some(())
            })?;
            if let Some((operand, factor, broadcast)) = &add {
                let other = operand.get(out, if *broadcast { channel } else { at });
                value += load(other as u16) * factor;
            }
            let wide = matches!(out, ViewMut::Q24(_));
            out.set(at, if wide { to_q24(value) } else { store(value) });
            Some(())
        })
    }
}

/// Multipliers and shifts.
#[inline(always)]
fn factors<'m>(filter: &Filter<'m>) -> (&'m [i32], &'m [u8]) {
    match *filter {
        Filter::W8 { mult, shift, .. } | Filter::W16 { mult, shift, .. } | Filter::W4 { mult, shift, .. } => {
            (mult, shift)
        }
    }
}

/// Adds the term and stores an output.
#[inline(always)]
fn finish(mut value: i32, channel: usize, at: usize, add: Option<&Addition<'_>>, out: &mut ViewMut<'_>) {
    if let Some(add) = add {
        let term = add.operand.at(out, if add.broadcast { channel } else { at });
        value = add_guarded(value, add.requant.apply(term));
    }
    out.set(at, value);
}

/// What a group of channels has under the kernel at an output position, without what lies outside of the input.
struct Window {
    /// The first element that is inside.
    from: usize,
    /// Its place among the taps of a row of weights.
    tap: usize,
    /// Rows and columns that are inside.
    size: [usize; 2],
    /// Elements from a row, and from a position, to the next: of the input, of the taps.
    steps: [[usize; 2]; 2],
    /// Channels of the group.
    each: usize,
}

impl Window {
    /// Element and tap of all that is inside, in the order of the taps.
    #[inline(always)]
    fn taps(&self, mut f: impl FnMut(usize, usize) -> Option<()>) -> Option<()> {
        let (mut from, mut tap) = (self.from, self.tap);
        for _ in 0..self.size[0] {
            let (mut at, mut w) = (from, tap);
            for _ in 0..self.size[1] {
                for i in 0..self.each {
                    f(at + i, w + i)?;
                }
                (at, w) = (at + self.steps[0][1], w + self.each);
            }
            (from, tap) = (from + self.steps[0][0], tap + self.steps[1][0]);
        }
        Some(())
    }

    /// `sum`, with the products of elements and weights added.
    #[inline(always)]
    fn sum<X: Copy, W: Copy, A: core::ops::AddAssign>(
        &self,
        mut sum: A,
        x: &[X],
        weights: &[W],
        product: impl Fn(X, W) -> A,
    ) -> Option<A> {
        let (mut from, mut tap) = (self.from, self.tap);
        let (step, each) = (self.steps[0][1], self.each);
        for _ in 0..self.size[0] {
            let x = x.get(from..)?;
            let weights = weights.get(tap..tap + self.size[1] * each)?;
            match weights {
                // Depthwise: a row of three taps, or of any number.
                &[a, b, c] if each == 1 => {
                    sum += product(*x.first()?, a);
                    sum += product(*x.get(step)?, b);
                    sum += product(*x.get(2 * step)?, c);
                }
                _ if each == 1 => {
                    let mut at = 0;
                    for &w in weights {
                        sum += product(*x.get(at)?, w);
                        at += step;
                    }
                }
                _ => {
                    for (weights, x) in weights.chunks_exact(each).zip(x.chunks(step)) {
                        for (&w, &x) in weights.iter().zip(x) {
                            sum += product(x, w);
                        }
                    }
                }
            }
            (from, tap) = (from + self.steps[0][0], tap + self.steps[1][0]);
        }
        Some(sum)
    }

    /// [`Self::sum`] with weights of 4 bits.
    #[inline(never)]
    fn sum4(&self, mut sum: i32, x: &View<'_>, words: &[u32]) -> i32 {
        self.taps(|from, tap| {
            let word = int4::unpack(*words.get(tap / int4::TAPS)?);
            sum += x.get(from) * i32::from(*word.get(tap % int4::TAPS)?);
            Some(())
        });
        sum
    }
}

/// Calls `f` with the window of every output, its channel and its place.
#[inline(always)]
fn each_window(
    g: &Geometry,
    channels: usize,
    each: usize,
    mut f: impl FnMut(&Window, usize, usize) -> Option<()>,
) -> Option<()> {
    let [rows, cols] = g.output;
    let outs = (g.outs / (channels / each.max(1)).max(1)).max(1);
    let (mut group, mut left) = (0, outs);
    for channel in 0..g.outs {
        if left == 0 {
            (group, left) = (group + each, outs);
        }
        left -= 1;
        let mut at = channel;
        for y in 0..rows {
            let (top, under) = inside(g, 0, y);
            for x in 0..cols {
                let (first, across) = inside(g, 1, x);
                let window = Window {
                    from: (top * g.input[1] + first) * channels + group,
                    tap: (under.start * g.kernel.cols() + across.start) * each,
                    size: [under.len(), across.len()],
                    steps: [[g.input[1] * channels, channels], [g.kernel.cols() * each, each]],
                    each,
                };
                f(&window, channel, at)?;
                at += g.outs;
            }
        }
    }
    Some(())
}

/// The first row (axis 0) or column of the input under the kernel at an output position, and the kernel's that are inside.
#[inline(always)]
fn inside(g: &Geometry, axis: usize, at: usize) -> (usize, Range<usize>) {
    let at = at * g.stride.axis(axis);
    let first = g.pad[axis].saturating_sub(at);
    let left = (g.input[axis] + g.pad[axis]).saturating_sub(at);
    let last = g.kernel.axis(axis).min(left);
    ((at + first).saturating_sub(g.pad[axis]), first..last.max(first))
}
