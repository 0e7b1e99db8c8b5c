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
        // Weights in another file are read by convolutions that see every channel.
        let plain = plain && checker.context.apart().is_none();
        checker.ensure(plain && self.groups > 0, Fault::Parameter)?;
        let outs = checker.tensors[slot::OUT].channels;
        let source = &mut checker.tensors[slot::FIRST];
        let whole = source.channels.is_multiple_of(self.groups) && outs.is_multiple_of(self.groups);
        source.channels /= self.groups.max(1);
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
        let groups = usize::from(self.groups).max(1);
        let channels = usize::from(r.tensor(slot::FIRST).channels);
        let src = &r.view(slot::FIRST)?;
        let each = channels / groups;
        let filter = &filter(context, &self.conv, Rows::ALL, g, each)?;
        let add = &addition(&self.conv, r)?;
        let out = &mut r.output()?;
        let lines = Lines {
            g,
            channels,
            each,
            outs: g.outs / groups,
        };
        match filter {
            Filter::W16 { .. } if Feature::W16.is_built() => lines.run(filter, src, add, out, wide_terms),
            Filter::W8 { .. } | Filter::W4 { .. } => lines.run(filter, src, add, out, terms),
            Filter::W16 { .. } => None,
        }
    }

    fn run_f16(&self, context: &Context<'_>, _: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        let g = &geometry(&self.conv, r);
        let channels = usize::from(r.tensor(slot::FIRST).channels);
        let View::F16(src) = r.view(slot::FIRST)? else {
            return None;
        };
        let each = channels / usize::from(self.groups).max(1);
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

/// Outputs of a row whose sums are made at once.
const LINE: usize = 16;

/// Adds an input element a position, `step` apart, times a weight to the sums of a row.
type Terms<A> = fn(&mut [A], &View<'_>, usize, usize, i32);

/// [`Terms`] in 32 bits.
fn terms(sums: &mut [i32], x: &View<'_>, from: usize, step: usize, w: i32) {
    match *x {
        View::I8(x, zero) => terms8(sums, x.get(from..).unwrap_or_default(), step, zero, w),
        View::I16(x) => terms16(sums, x.get(from..).unwrap_or_default(), step, w),
        View::F16(_) | View::Q24(_) => {}
    }
}

#[inline(never)]
fn terms8(sums: &mut [i32], x: &[i8], step: usize, zero: i32, w: i32) {
    let mut at = 0;
    for sum in sums {
        let Some(&x) = x.get(at) else { return };
        *sum += (i32::from(x) - zero) * w;
        at += step;
    }
}

#[inline(never)]
fn terms16(sums: &mut [i32], x: &[i16], step: usize, w: i32) {
    let mut at = 0;
    for sum in sums {
        let Some(&x) = x.get(at) else { return };
        *sum += i32::from(x) * w;
        at += step;
    }
}

/// [`Terms`] in 64 bits.
#[inline(never)]
fn wide_terms(sums: &mut [i64], x: &View<'_>, from: usize, step: usize, w: i32) {
    let mut at = from;
    for sum in sums {
        *sum += i64::from(x.get(at) * w);
        at += step;
    }
}

/// Rows of outputs of a convolution in integers, a channel at a time.
struct Lines<'a> {
    g: &'a Geometry,
    /// Input channels, and those of a group.
    channels: usize,
    each: usize,
    /// Output channels of a group.
    outs: usize,
}

impl Lines<'_> {
    /// Runs all channels.
    #[inline(always)]
    fn run<A>(
        &self,
        filter: &Filter<'_>,
        src: &View<'_>,
        add: &Option<Addition<'_>>,
        out: &mut ViewMut<'_>,
        terms: Terms<A>,
    ) -> Option<()>
    where
        A: Copy + From<i32> + Into<i64> + Sum,
    {
        let g = self.g;
        let (mult, shift) = factors(filter);
        let (mut group, mut left) = (0, self.outs);
        for channel in 0..g.outs {
            if left == 0 {
                (group, left) = (group + self.each, self.outs);
            }
            left -= 1;
            let factor = WideRequant {
                mult: *mult.get(channel)?,
                shift: *shift.get(channel)?,
            };
            let bias = A::bias(filter, channel)?;
            let weight = Weight::of(filter, channel, g.kernel.area() * self.each);
            // One for every position.
            let term = match add {
                Some(add) if add.broadcast => Some(add.requant.apply(add.operand.at(out, channel))),
                _ => None,
            };
            for y in 0..g.output[0] {
                let mut x = 0;
                while x < g.output[1] {
                    let mut sums = [bias; LINE];
                    let sums = sums.get_mut(..LINE.min(g.output[1] - x))?;
                    self.sum(sums, [y, x], group, &weight, src, terms);
                    let mut at = (y * g.output[1] + x) * g.outs + channel;
                    x += sums.len();
                    for sum in sums {
                        let mut value = factor.apply((*sum).into());
                        if let Some(term) = term {
                            value = add_guarded(value, term);
                        } else if let Some(add) = add {
                            value = add_guarded(value, add.requant.apply(add.operand.at(out, at)));
                        }
                        out.set(at, value);
                        at += g.outs;
                    }
                }
            }
        }
        Some(())
    }

    /// Adds every tap of a channel to the sums of the outputs from `[y, x]` on in a row.
    #[inline(always)]
    fn sum<A>(
        &self,
        sums: &mut [A],
        [y, x]: [usize; 2],
        group: usize,
        weight: &Weight<'_>,
        src: &View<'_>,
        terms: Terms<A>,
    ) {
        let g = self.g;
        let (top, under) = inside(g, 0, y);
        let stride = g.stride.cols().max(1);
        for ky in under.clone() {
            let row = (top + ky - under.start) * g.input[1];
            for kx in 0..g.kernel.cols() {
                // Outputs whose input column is there: its number is `(x + i) stride + kx - left`.
                let at = x * stride + kx;
                let first = g.pad[1].saturating_sub(at).div_ceil(stride);
                let last = (g.input[1] + g.pad[1]).saturating_sub(at).div_ceil(stride);
                let Some(sums) = sums.get_mut(first..last.min(sums.len())) else {
                    continue;
                };
                let from = (row + at + first * stride - g.pad[1]) * self.channels + group;
                for i in 0..self.each {
                    let w = weight.at((ky * g.kernel.cols() + kx) * self.each + i);
                    terms(sums, src, from + i, stride * self.channels, w);
                }
            }
        }
    }
}

/// What sums are held in: 32 bits, or 64 with weights of 16 bits.
trait Sum: Sized {
    /// The bias of a channel.
    fn bias(filter: &Filter<'_>, channel: usize) -> Option<Self>;
}

impl Sum for i32 {
    fn bias(filter: &Filter<'_>, channel: usize) -> Option<Self> {
        match filter {
            Filter::W8 { bias, .. } | Filter::W4 { bias, .. } => bias.get(channel).copied(),
            Filter::W16 { .. } => None,
        }
    }
}

impl Sum for i64 {
    fn bias(filter: &Filter<'_>, channel: usize) -> Option<Self> {
        match filter {
            Filter::W16 { bias, .. } => bias.get(channel).copied().map(wide_bias),
            Filter::W8 { .. } | Filter::W4 { .. } => None,
        }
    }
}

/// The weights of a channel.
enum Weight<'m> {
    W8(&'m [i8]),
    W16(&'m [i16]),
    W4(&'m [u32]),
}

impl<'m> Weight<'m> {
    fn of(filter: &Filter<'m>, channel: usize, taps: usize) -> Self {
        let row = channel * crate::family::padded(taps);
        match *filter {
            Filter::W8 { data, .. } => Self::W8(data.get(row..).unwrap_or_default()),
            Filter::W16 { data, .. } => Self::W16(data.get(row..).unwrap_or_default()),
            Filter::W4 { data, .. } => Self::W4(data.get(channel * int4::row_words(taps)..).unwrap_or_default()),
        }
    }

    /// That of a tap.
    fn at(&self, tap: usize) -> i32 {
        match self {
            Self::W8(weights) => weights.get(tap).map_or(0, |w| (*w).into()),
            Self::W16(weights) => weights.get(tap).map_or(0, |w| (*w).into()),
            Self::W4(words) => {
                let word = words.get(tap / int4::TAPS).copied().unwrap_or_default();
                int4::unpack(word).get(tap % int4::TAPS).map_or(0, |w| (*w).into())
            }
        }
    }
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
