//! A convolution's weights as they stand in the model file.

use mote_runtime::internals::family::padded;
use mote_runtime::internals::numeric::requant::WideRequant;
use mote_runtime::internals::ops::Weights;
use mote_runtime::internals::ops::conv::proof::input_bound;
use mote_runtime::internals::tensor::int4;

use super::Conv;
use crate::emit::{Emitter, f16_bits};
use crate::program::SlotId;
use crate::quantize::Quantization;
use crate::quantize::scheme::Bits;
use crate::quantize::weights::{
    Channel, InputFacts, best_scale, channel, channel_of_4_bits, channel_of_8_bits, widest_scale,
};

/// Writes the weights of `conv`, whose output is `out`. One unit of its inputs is worth `units`; `ratio` is the first of them over a unit of
/// the sum.
pub(super) fn weights(conv: &Conv, out: SlotId, units: &[f64], ratio: f64, e: &mut Emitter<'_>) -> Weights {
    match e.quantization() {
        None => float(conv, e),
        Some(q) => {
            let channels = match units.iter().all(|unit| *unit == units[0]) {
                true => channels(conv, out, units[0], q, e),
                false => channels_by_slot(conv, out, units, q, e),
            };
            integer(&of_groups(conv, channels), q.assignment.weights[out.0], ratio, e)
        }
    }
}

/// `(group, tap, out)`: outputs next to each other.
fn float(conv: &Conv, e: &mut Emitter<'_>) -> Weights {
    let groups = conv.groups.len().max(1);
    let (outs, taps) = (conv.bias.len() / groups, conv.taps());
    // The weights that each output has, by its place among all.
    let seen: Vec<Vec<usize>> = (0..groups * outs)
        .map(|o| conv.seen(o).map(|tap| o * taps + tap).collect())
        .collect();
    let each = taps / conv.split;
    let group = |g: usize| (0..each).flat_map(move |tap| (0..outs).map(move |o| (g * outs + o, tap)));
    let order = (0..groups).flat_map(group).map(|(o, tap)| seen[o][tap]);
    Weights::F16 {
        data: e.weights.put(order.map(|i| f16_bits(conv.weight[i]))),
        bias: e.weights.put(conv.bias.iter().copied()),
    }
}

/// Without the zeros between groups.
fn of_groups(conv: &Conv, mut channels: Vec<Channel>) -> Vec<Channel> {
    if conv.split > 1 {
        for (out, channel) in channels.iter_mut().enumerate() {
            channel.weights = conv.seen(out).map(|tap| channel.weights[tap]).collect();
        }
    }
    channels
}

/// The integers of every output channel.
fn channels(conv: &Conv, out: SlotId, input_unit: f64, q: &Quantization<'_>, e: &Emitter<'_>) -> Vec<Channel> {
    let means: Vec<f64> = conv.source.iter().flat_map(|id| q.stats[id.0].means()).collect();
    let bound = match conv.source[..] {
        [one] => input_bound(e.format(one).dtype, e.format(one).zero_point),
        _ => 1 << 15,
    };
    let facts = InputFacts {
        means: &means,
        scale: input_unit,
        bound,
    };
    let (bits, narrow) = (q.assignment.weights[out.0], i32::MAX.into());
    let integers = |(o, (row, &bias)): (usize, (&[f32], &f32))| match bits {
        Bits::Four => channel_of_4_bits(row, bias, q.int4_row(out, o), &facts, narrow),
        Bits::Eight => channel_of_8_bits(row, bias, q.int8_row(out, o), q.scales[out.0][o], &facts, narrow),
        Bits::Sixteen => channel(row, bias, 16, widest_scale(row, 16), &facts, WideRequant::ACC_LIMIT),
    };
    conv.rows().zip(&conv.bias).enumerate().map(integers).collect()
}

/// The same of inputs with units of their own: weights of each are as many times larger as its unit is than that of the first.
fn channels_by_slot(conv: &Conv, out: SlotId, units: &[f64], q: &Quantization<'_>, e: &Emitter<'_>) -> Vec<Channel> {
    let ratios: Vec<f64> = (conv.source.iter().zip(units))
        .flat_map(|(slot, unit)| vec![unit / units[0]; e.program.slot(*slot).shape[0]])
        .collect();
    let stats = conv.source.iter().map(|id| &q.stats[id.0]);
    let means = stats.clone().flat_map(|stats| stats.means());
    let means: Vec<f64> = means.zip(&ratios).map(|(mean, ratio)| mean / ratio).collect();
    let power = stats.flat_map(|stats| stats.mean_squares());
    let power: Vec<f64> = power
        .zip(&ratios)
        .map(|(square, ratio)| square / ratio / ratio)
        .collect();
    let facts = InputFacts {
        means: &means,
        scale: units[0],
        bound: 1 << 15,
    };
    let bits = q.assignment.weights[out.0];
    let integers = |(row, &bias): (&[f32], &f32)| {
        let scaled = row.iter().enumerate();
        let row: Vec<f32> = scaled
            .map(|(i, w)| (f64::from(*w) * ratios[i % ratios.len()]) as f32)
            .collect();
        match bits {
            Bits::Four => channel_of_4_bits(&row, bias, None, &facts, i32::MAX.into()),
            Bits::Eight => channel(&row, bias, 8, best_scale(&row, &power), &facts, i32::MAX.into()),
            Bits::Sixteen => channel(&row, bias, 16, widest_scale(&row, 16), &facts, WideRequant::ACC_LIMIT),
        }
    };
    conv.rows().zip(&conv.bias).map(integers).collect()
}

/// Weights in rows of whole words, biases, and the factors `weight scale * ratio`.
fn integer(channels: &[Channel], bits: Bits, ratio: f64, e: &mut Emitter<'_>) -> Weights {
    let padded_row = |c: &Channel| {
        let mut row = c.weights.clone();
        row.resize(padded(row.len()), 0);
        row
    };
    let nibbles = |c: &Channel| {
        let nibbles: Vec<i8> = c.weights.iter().map(|w| (w / int4::UNIT) as i8).collect();
        int4::pack(&nibbles).collect::<Vec<u32>>()
    };
    let rows = channels.iter().flat_map(padded_row);
    let (data, bias) = match bits {
        Bits::Four => {
            let data = e.weights.put(channels.iter().flat_map(nibbles));
            (data, e.weights.put(channels.iter().map(|c| c.bias as i32)))
        }
        Bits::Eight => {
            let data = e.weights.put(rows.map(|w| w as i8));
            (data, e.weights.put(channels.iter().map(|c| c.bias as i32)))
        }
        Bits::Sixteen => {
            let data = e.weights.put(rows.map(|w| w as i16));
            (data, e.weights.put(channels.iter().map(|c| c.bias)))
        }
    };
    let factor = |c: &Channel| match bits {
        Bits::Four | Bits::Eight => {
            let r = e.requant(c.scale * ratio);
            (r.mult, r.shift)
        }
        Bits::Sixteen => {
            let r = e.wide_requant(c.scale * ratio);
            (r.mult, r.shift)
        }
    };
    let factors: Vec<(i32, u8)> = channels.iter().map(factor).collect();
    let requant = e.weights.put_requants(&factors);
    match bits {
        Bits::Four => Weights::W4 { data, bias, requant },
        Bits::Eight => Weights::W8 { data, bias, requant },
        Bits::Sixteen => Weights::W16 { data, bias, requant },
    }
}
