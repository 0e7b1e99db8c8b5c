//! Random programs of every shape that a kernel may see, and factors at random.

use mote_engine::memory::AlignedBytes;
use mote_runtime::internals::numeric::requant::{Requant, WideRequant};
use mote_runtime::internals::ops as op;
use mote_runtime::internals::ops::rearrange::Pattern;
use mote_runtime::internals::ops::{At, Conv, GroupNorm, Norm, Op, Weights};
use mote_runtime::internals::schedule::coefficients::{Clip, Prediction};
use mote_runtime::internals::schedule::spacing::Spacing;
use mote_runtime::{Model, ParseError};
use mote_tests::parts::{Parts, WEIGHTS};
use mote_tests::random::Random;
use mote_tools::emit::Diffusion;
use mote_tools::ops::{Attention, AvgPool, Input, Rearrange, Silu, TimeProj, Upsample};
use mote_tools::plan::Windows;
use mote_tools::program::{Program, SlotId};
use mote_tools::quantize::scheme::Bits;

use crate::builder::{Builder, POINT, Window, along, file, same};

/// Channels around the widths of registers and blocks, and odd ones.
const CHANNELS: [usize; 14] = [1, 2, 3, 4, 5, 7, 8, 12, 15, 16, 17, 24, 32, 40];

/// A model file of a few random operators on every kind of window, in which every second normalization that can be is made inside
/// the convolution that reads it.
pub fn program(random: &mut Random, seed: u64) -> AlignedBytes {
    let inside = random.below(2) == 0;
    program_with(random, seed, if inside { Windows::all } else { Windows::none })
}

/// The same on square windows alone.
pub fn squares(random: &mut Random, seed: u64) -> AlignedBytes {
    let windows = if random.below(2) == 0 {
        Windows::all
    } else {
        Windows::none
    };
    let mut b = Builder::new(seed, sample(random));
    b.squares = true;
    of_builder(b, random, windows, false)
}

/// [`program`] in f16.
pub fn floats(random: &mut Random, seed: u64) -> AlignedBytes {
    of_builder(Builder::new(seed, sample(random)), random, Windows::none, true)
}

/// Attentions over `rows * cols` positions, with so many heads of so many channels each. Widths by `bits(is_weight)`; `None` is f16.
pub fn heads(
    seed: u64,
    [rows, cols]: [usize; 2],
    heads: &[[usize; 2]],
    bits: Option<&mut dyn FnMut(bool) -> Bits>,
) -> AlignedBytes {
    let mut b = Builder::new(seed, [1, rows, cols]);
    let x = b.push(Input::IDENTITY, [1, rows, cols]);
    let first = b.conv(&[x], 6, same(3), None);
    for &[heads, depth] in heads {
        let channels = heads * depth;
        let qkv = [(); 3].map(|()| b.conv(&[first], channels, POINT, None));
        let out = b.push(Attention { qkv, heads }, [channels, rows, cols]);
        b.conv(&[out], 2, POINT, None);
    }
    b.conv(&[first], 1, POINT, None);
    let windows = Windows::none(&b.program);
    file(&b.program, &diffusion(), windows, bits)
}

/// [`program`] with normalizations of the caller's choice.
pub fn program_with(random: &mut Random, seed: u64, windows: fn(&Program) -> Windows) -> AlignedBytes {
    let b = Builder::new(seed, sample(random));
    of_builder(b, random, windows, false)
}

fn sample(random: &mut Random) -> [usize; 3] {
    [1 + random.below(3), 3 + random.below(7), 3 + random.below(7)]
}

fn of_builder(mut b: Builder, random: &mut Random, windows: fn(&Program) -> Windows, float: bool) -> AlignedBytes {
    let sample = b.program.sample;
    let scale = 1.0 + random.below(3) as f64;
    let x = b.push(Input { scale, shift: 0.5 }, sample);
    let frequencies = vec![1.0, 0.3, 0.1];
    let time = b.push(
        TimeProj {
            frequencies,
            cos_first: true,
            series: false,
        },
        [6, 1, 1],
    );
    let hidden = b.conv(&[time], 5, POINT, None);
    let embedding = b.push(Silu { src: hidden }, [5, 1, 1]);
    let first = b.conv(&[x], random.pick(&CHANNELS), same(3), None);
    let mut slots = vec![first];
    for _ in 0..8 {
        if let Some(slot) = step(&mut b, random, &slots, embedding) {
            slots.push(slot);
        }
    }
    let window = same(random.pick(&[1, 3, 5]));
    b.conv(&[first], sample[0], window, None);
    let widths = random.below(4);
    let mut bits = |weights| match widths {
        0 => Bits::Eight,
        1 => Bits::Sixteen,
        2 if weights => random.pick(&[Bits::Four, Bits::Eight, Bits::Sixteen]),
        _ => random.pick(&[Bits::Eight, Bits::Sixteen]),
    };
    let bits: Option<&mut dyn FnMut(bool) -> Bits> = if float { None } else { Some(&mut bits) };
    file(&b.program, &diffusion(), windows(&b.program), bits)
}

/// Large operators: convolutions with a residual, through the x2, and of a concatenation.
pub fn large(bits: Bits) -> AlignedBytes {
    large_of(26, bits)
}

/// The same, and a normalization, of which the desktop engine cuts every kind among threads.
pub fn cut(bits: Bits) -> AlignedBytes {
    large_of(52, bits)
}

fn large_of(side: usize, bits: Bits) -> AlignedBytes {
    let mut b = Builder::new(9, [1, side, side]);
    let x = b.push(Input::IDENTITY, [1, side, side]);
    let first = b.conv(&[x], 24, same(3), None);
    let second = b.conv(&[first], 40, same(3), None);
    let beside = b.conv(&[first], 40, POINT, None);
    let third = b.conv(&[second], 40, same(3), Some((beside, 0.5)));
    let joined = b.conv(&[third, first], 24, same(3), None);
    if side > 26 {
        // Two readers: it is made for itself.
        let wide = b.conv(&[first], 80, POINT, None);
        let normed = b.norm(&[wide], 8, true, None);
        b.conv(&[normed], 2, POINT, None);
        b.conv(&[normed], 3, POINT, None);
    }
    let up = Window {
        upsample: true,
        stride: [2; 2],
        ..same(5)
    };
    let last = b.conv(&[joined], 24, up, None);
    b.conv(&[last], 1, same(3), None);
    let windows = Windows::all(&b.program);
    file(&b.program, &diffusion(), windows, Some(&mut |_| bits))
}

/// Convolutions whose int16 weights have sums that int32 holds for a kernel row alone, of many outputs and of few.
pub fn many_taps(seed: u64) -> AlignedBytes {
    let mut b = Builder::new(seed, [1, 5, 6]);
    let x = b.push(Input::IDENTITY, [1, 5, 6]);
    let wide = b.conv(&[x], 200, same(3), None);
    let beside = b.conv(&[x], 20, POINT, None);
    b.conv(&[wide], 20, same(3), Some((beside, 0.5)));
    b.conv(&[wide], 3, same(3), None);
    b.conv(&[wide], 1, same(3), None);
    let windows = Windows::none(&b.program);
    file(&b.program, &diffusion(), windows, Some(&mut |_| Bits::Sixteen))
}

/// Few taps: one and three channels under 3x3 kernels with every padding, on rows that blocks of four positions do not divide, with
/// a term and without; as many outputs as a tile, and more.
pub fn thin(seed: u64, mut bits: impl FnMut() -> Bits) -> AlignedBytes {
    let mut b = Builder::new(seed, [1, 6, 11]);
    let x = b.push(
        Input {
            scale: 1.0,
            shift: 0.25,
        },
        [1, 6, 11],
    );
    for (pad, outs) in [
        ([0; 4], 5),
        ([2; 4], 3),
        ([0, 2, 1, 0], 17),
        ([2, 0, 0, 2], 1),
        ([1, 1, 0, 2], 4),
    ] {
        let window = Window { pad, ..same(3) };
        b.conv(&[x], outs, window, None);
    }
    let narrow = b.conv(&[x], 1, same(3), None);
    let beside = b.conv(&[narrow], 12, same(3), None);
    let wide = b.conv(&[narrow], 12, same(3), Some((beside, 0.75)));
    let three = b.conv(&[wide], 3, same(3), None);
    b.conv(&[three], 20, same(3), None);
    let down = Window {
        stride: [2; 2],
        ..same(3)
    };
    let small = b.conv(&[three], 1, down, None);
    b.conv(&[small], 8, same(3), None);
    b.conv(&[wide], 1, same(3), None);
    let windows = Windows::all(&b.program);
    file(&b.program, &diffusion(), windows, Some(&mut |_| bits()))
}

/// Whole groups of four channels on `cols` columns, of which four neighbours are one block: 3x3 kernels with every padding above and
/// below, through the x2, inside a normalization's convolution, with terms of both kinds, and concatenations under a point.
pub fn strips(seed: u64, [rows, cols]: [usize; 2], mut bits: impl FnMut(bool) -> Bits) -> AlignedBytes {
    let mut b = Builder::new(seed, [1, rows, cols]);
    let x = b.push(Input::IDENTITY, [1, rows, cols]);
    let frequencies = vec![1.0, 0.2];
    let time = b.push(
        TimeProj {
            frequencies,
            cos_first: true,
            series: false,
        },
        [4, 1, 1],
    );
    let term = b.conv(&[time], 12, POINT, None);
    let first = b.conv(&[x], 12, same(3), None);
    for (top, bottom) in [(0, 1), (1, 0), (2, 2), (0, 2), (2, 0)] {
        let window = Window {
            pad: [top, 1, bottom, 1],
            ..same(3)
        };
        b.conv(&[first], 5, window, None);
    }
    let second = b.conv(&[first], 12, same(3), Some((term, 0.75)));
    let third = b.conv(&[second], 12, same(3), Some((first, 0.5)));
    let wide = b.conv(&[third], 24, same(3), None);
    let point = b.conv(&[wide, first], 12, POINT, Some((third, 0.25)));
    b.conv(&[point, wide], 8, same(3), None);
    b.conv(
        &[second, third],
        7,
        Window {
            stride: [2; 2],
            ..POINT
        },
        None,
    );
    let joined = b.norm(&[point, wide], 6, true, None);
    let inside = b.conv(&[joined], 12, same(3), None);
    let normed = b.norm(&[inside], 4, true, None);
    let flat = b.conv(&[normed], 4, same(3), None);
    let plain = b.norm(&[flat, inside], 4, false, None);
    b.conv(&[plain], 20, same(3), None);
    let up = Window {
        upsample: true,
        ..same(3)
    };
    let doubled = b.conv(&[point], 12, up, None);
    let eighth = b.conv(&[doubled], 8, same(3), None);
    b.conv(&[doubled, eighth], 4, POINT, None);
    b.conv(
        &[doubled],
        1,
        Window {
            stride: [2; 2],
            ..same(3)
        },
        None,
    );
    b.conv(&[third], 1, same(3), None);
    let windows = Windows::all(&b.program);
    file(&b.program, &diffusion(), windows, Some(&mut |weights| bits(weights)))
}

/// Signals of one row: every kernel and step, wide and narrow, with terms of both kinds, of concatenations, behind normalizations; and
/// tall kernels beside them. Widths by `bits(is_weight)`; `None` is f16.
pub fn signals(seed: u64, cols: usize, bits: Option<&mut dyn FnMut(bool) -> Bits>) -> AlignedBytes {
    let mut b = Builder::new(seed, [2, 1, cols]);
    let x = b.push(Input::IDENTITY, [2, 1, cols]);
    let frequencies = vec![1.0, 0.2];
    let time = b.push(
        TimeProj {
            frequencies,
            cos_first: true,
            series: false,
        },
        [4, 1, 1],
    );
    let term = b.conv(&[time], 12, POINT, None);
    let first = b.conv(&[x], 12, along(5, 1), None);
    for (kernel, stride) in [(1, 2), (2, 1), (3, 2), (4, 3), (7, 1), (9, 4), (15, 1), (15, 15)] {
        b.conv(&[first], 5, along(kernel, stride), None);
    }
    for (rows, cols) in [(3, 1), (2, 5), (15, 2)] {
        let window = Window {
            kernel: [rows, cols],
            pad: [rows - 1, cols / 2, rows / 2, cols - 1],
            ..POINT
        };
        b.conv(&[first], 3, window, None);
    }
    let second = b.conv(&[first], 12, along(5, 1), Some((term, 0.75)));
    let third = b.conv(&[second], 12, along(3, 1), Some((first, 0.5)));
    let spread = Rearrange {
        src: third,
        way: Pattern::Phases,
        block: [1, 2],
    };
    let spread = b.push(spread, [6, 1, 2 * cols]);
    b.conv(&[spread], 5, along(4, 2), None);
    let wide = b.conv(&[third, first], 33, along(5, 1), None);
    let normed = b.norm(&[wide], 3, true, None);
    let inside = b.conv(&[normed], 8, along(3, 1), None);
    let both = b.norm(&[inside, third], 4, false, None);
    b.conv(&[both], 4, along(5, 2), None);
    b.conv(&[inside], 2, along(1, 1), None);
    let windows = Windows::all(&b.program);
    file(&b.program, &diffusion(), windows, bits)
}

fn diffusion() -> Diffusion {
    Diffusion {
        train_steps: 10,
        alpha_bars: (1..=10).map(|t| 1.0 - f64::from(t) * 0.09).collect(),
        final_alpha_bar: 1.0,
        prediction: Prediction::Epsilon,
        clip: Clip::Off,
        clip_range: 1.0,
        schedule: Spacing::Leading.into(),
        steps_offset: 0,
        null_class: None,
    }
}

/// One more operator over what is there.
fn step(b: &mut Builder, random: &mut Random, slots: &[SlotId], embedding: SlotId) -> Option<SlotId> {
    let source = random.pick(slots);
    let [channels, rows, cols] = b.shape(source);
    // An operator reads no tensor twice.
    let others = slots.iter().copied().filter(|id| *id != source);
    let beside: Vec<SlotId> = others.filter(|id| b.shape(*id)[1..] == [rows, cols]).collect();
    let joined = match random.below(3) {
        0 if !beside.is_empty() => vec![source, random.pick(&beside)],
        _ => vec![source],
    };
    let width = joined.iter().map(|id| b.shape(*id)[0]).sum::<usize>();
    match random.below(8) {
        0..=3 => conv(b, random, &joined, &beside, embedding),
        4 | 5 => {
            let groups: Vec<usize> = (1..=width).filter(|groups| width.is_multiple_of(*groups)).collect();
            let shift = (random.below(4) == 0).then(|| b.conv(&[embedding], 2 * width, POINT, None));
            let normed = b.norm(&joined, random.pick(&groups), random.below(4) > 0, shift);
            if random.below(2) == 0 {
                return Some(normed);
            }
            // Read by one convolution only.
            let window = window(b, random, &[2, 3, 5], false);
            let fits = rows >= window.kernel[0] && cols >= window.kernel[1];
            fits.then(|| b.conv(&[normed], random.pick(&CHANNELS), window, None))
        }
        6 => {
            let heads: Vec<usize> = (1..=channels).filter(|heads| channels.is_multiple_of(*heads)).collect();
            let qkv = [(); 3].map(|()| b.conv(&[source], channels, POINT, None));
            let heads = random.pick(&heads);
            Some(b.push(Attention { qkv, heads }, [channels, rows, cols]))
        }
        _ if rows * cols > 120 => {
            let shape = [channels, rows / 2, cols / 2];
            Some(b.push(AvgPool { src: source }, shape))
        }
        _ => Some(b.push(Upsample { src: source }, [channels, 2 * rows, 2 * cols])),
    }
}

fn conv(
    b: &mut Builder,
    random: &mut Random,
    joined: &[SlotId],
    beside: &[SlotId],
    embedding: SlotId,
) -> Option<SlotId> {
    let [_, rows, cols] = b.shape(joined[0]);
    let outs = random.pick(&CHANNELS);
    if random.below(2) == 0 {
        let vector = b.conv(&[embedding], outs, POINT, None);
        let others = beside.iter().copied().filter(|id| !joined.contains(id));
        let like: Vec<SlotId> = others.filter(|id| b.shape(*id)[0] == outs).collect();
        let addend = if like.is_empty() || random.below(3) == 0 {
            vector
        } else {
            random.pick(&like)
        };
        return Some(b.conv(joined, outs, same(random.pick(&[1, 3])), Some((addend, 0.75))));
    }
    let window = window(b, random, &[1, 2, 3, 5], rows * cols <= 100);
    let zoom = 1 + usize::from(window.upsample);
    let fits = rows * zoom >= window.kernel[0] && cols * zoom >= window.kernel[1];
    fits.then(|| b.conv(joined, outs, window, None))
}

/// A window whose sides are of `sides`, half of them squares; through the x2 now and then where it `may` be.
fn window(b: &Builder, random: &mut Random, sides: &[usize], may: bool) -> Window {
    let (side, step) = (random.pick(sides), 1 + random.below(2));
    let (mut kernel, mut stride) = ([side; 2], [step; 2]);
    if !b.squares && random.below(2) == 0 {
        kernel = [(); 2].map(|()| random.pick(sides));
        stride = [(); 2].map(|()| 1 + random.below(3));
    }
    Window {
        kernel,
        stride,
        pad: core::array::from_fn(|i| random.below(kernel[i % 2])),
        upsample: may && random.below(3) == 0,
    }
}

/// The same file with factors that are anything a valid file may hold.
pub fn factors_at_random(file: &AlignedBytes, random: &mut Random) -> AlignedBytes {
    let mut parts = Parts::of(file.bytes());
    let model = Model::parse(file.bytes()).expect("a valid model");
    let mut ops = parts.ops();
    for op in &mut ops {
        // Most shifts are those of real factors, about 1; the others are anywhere.
        let mut narrow = |requant: &mut Requant| *requant = requant_at_random(random);
        match op {
            Op::Input(op::Input { requant, .. }) => narrow(requant),
            Op::Silu(op::Silu {
                in_requant,
                out_requant,
                ..
            }) => [in_requant, out_requant].into_iter().for_each(narrow),
            Op::Conv(c) => conv_at_random(c, &model, &mut parts.sections[WEIGHTS], random),
            Op::GroupNorm(n) => norm_at_random(n, random),
            Op::Norm(n) => other_norm_at_random(n, random),
            Op::NormConv(both) => {
                norm_at_random(&mut both.norm, random);
                conv_at_random(&mut both.conv, &model, &mut parts.sections[WEIGHTS], random);
            }
            Op::Attention(a) => {
                narrow(&mut a.out_requant);
                a.score = wide_at_random(random);
            }
            Op::Pool(p) => p.mean.iter_mut().for_each(narrow),
            Op::CrossAttention(a) => {
                narrow(&mut a.out_requant);
                a.score = wide_at_random(random);
                rows_at_random(&mut a.rows, random);
            }
            Op::LinearAttention(a) => {
                [&mut a.query, &mut a.key].into_iter().for_each(narrow);
                (a.context, a.out_requant) = (wide_at_random(random), wide_at_random(random));
                rows_at_random(&mut a.rows, random);
            }
            Op::Condition(op::Condition { requant, .. }) => narrow(requant),
            Op::TimeProj(_) | Op::ClassEmbed(_) | Op::Upsample(_) | Op::AvgPool(_) | Op::Rearrange(_) | Op::Band(_) => {
            }
            Op::Pointwise(p) => pointwise_at_random(p, random),
            Op::Constant(c) => constant_at_random(c, random),
            Op::Grouped(g) => g.conv.addend.iter_mut().for_each(|addend| narrow(&mut addend.requant)),
            // Chains are held to the oracle as they are converted: tests/tests/chains.rs.
            Op::Readout(_) | Op::Softmax(_) => {}
        }
    }
    parts.set_ops(&ops);
    let memory = AlignedBytes::copy_of(&parts.file());
    assert_eq!(Model::parse(memory.bytes()).map(drop), Ok::<(), ParseError>(()));
    memory
}

fn conv_at_random(c: &mut Conv, model: &Model<'_>, weights: &mut [u8], random: &mut Random) {
    let addend = c.addend.iter_mut().map(|addend| &mut addend.requant);
    let common = c.source.second.iter_mut().flat_map(|(_, both)| both);
    addend
        .chain(common)
        .for_each(|requant| *requant = requant_at_random(random));
    let outs = model.tensor(c.out).expect("a checked model").channels;
    channels_at_random(weights, &c.weights, outs.into(), random);
}

fn norm_at_random(n: &mut GroupNorm, random: &mut Random) {
    let shift = n.scale_shift.iter_mut().map(|(_, requant)| requant);
    let common = n.source.second.iter_mut().flat_map(|(_, both)| both);
    [&mut n.out_requant]
        .into_iter()
        .chain(shift)
        .chain(common)
        .for_each(|requant| *requant = requant_at_random(random));
    if random.below(3) == 0 {
        n.eps_q = random.pick(&[0, 1, 1 << 30, 1 << 62]);
        n.gamma_frac = random.below(31) as u8;
    }
}

fn other_norm_at_random(n: &mut Norm, random: &mut Random) {
    let vector = n.scale_shift.iter_mut().flat_map(|of| [&mut of.scale, &mut of.shift]);
    let common = n.source.second.iter_mut().flat_map(|(_, both)| both);
    [&mut n.out_requant]
        .into_iter()
        .chain(vector)
        .chain(common)
        .for_each(|requant| *requant = requant_at_random(random));
    if random.below(2) == 0 {
        n.eps_q = random.pick(&[0, 1, 1 << 30, 1 << 62]);
        n.gamma_frac = random.below(31) as u8;
        n.up = random.below(63) as i8 - 31;
    }
}

fn pointwise_at_random(p: &mut op::Pointwise, random: &mut Random) {
    let Some(affine) = &mut p.affine else { return };
    let mult = |random: &mut Random| match random.below(8) {
        0 => random.pick(&[0, 1, -1, i32::MIN, i32::MAX]),
        1 => random.bits() as i32,
        _ => random.bits() as i32 >> random.below(16),
    };
    affine.one = mult(random);
    affine.shift = match random.below(3) {
        0 => 1 + random.below(62),
        _ => 26 + random.below(12),
    } as u8;
    if let Some(factor) = &mut affine.factor {
        factor.requant = requant_at_random(random);
    }
    if let Some(addend) = &mut affine.addend {
        addend.mult = mult(random);
    }
}

fn constant_at_random(c: &mut op::Constant, random: &mut Random) {
    let Some(sum) = &mut c.sum else { return };
    let mult = |random: &mut Random| match random.below(8) {
        0 => random.pick(&[0, 1, -1, i32::MIN, i32::MAX]),
        _ => random.bits() as i32 >> random.below(16),
    };
    (sum.mult, sum.table_mult) = (mult(random), mult(random));
    sum.shift = match random.below(3) {
        0 => 1 + random.below(62),
        _ => 26 + random.below(12),
    } as u8;
}

fn wide_at_random(random: &mut Random) -> WideRequant {
    WideRequant {
        mult: (1 << 21) + random.below(1 << 21) as i32,
        shift: 1 + random.below(62) as u8,
    }
}

fn rows_at_random(rows: &mut Option<op::attention::Rows>, random: &mut Random) {
    if let Some(rows) = rows {
        (rows.score, rows.unit) = (wide_at_random(random), wide_at_random(random));
    }
}

fn requant_at_random(random: &mut Random) -> Requant {
    let shift = match random.below(3) {
        0 => 1 + random.below(62),
        1 => 28 + random.below(8),
        _ => 32 + random.below(14),
    };
    let mult = match random.below(12) {
        0 => 0,
        1 => i32::MAX,
        _ => (1 << 30) + random.below(1 << 30) as i32,
    };
    Requant {
        mult,
        shift: shift as u8,
    }
}

/// Draws the factors of a convolution's channels.
fn channels_at_random(weights: &mut [u8], of: &Weights, outs: usize, random: &mut Random) {
    let (at, wide) = match *of {
        Weights::W4 { requant, .. } | Weights::W8 { requant, .. } => (requant, false),
        Weights::W16 { requant, .. } => (requant, true),
        Weights::F16 { .. } => return,
    };
    let At(at) = at;
    let (mults, shifts) = weights[at as usize..][..outs * 5].split_at_mut(outs * 4);
    let real = random.below(2) == 0;
    for (mult, shift) in mults.chunks_exact_mut(4).zip(shifts) {
        let drawn = requant_at_random(random);
        let value = if wide { drawn.mult >> 9 } else { drawn.mult };
        mult.copy_from_slice(&value.to_le_bytes());
        *shift = if real { 38 + random.below(6) as u8 } else { drawn.shift };
    }
}
