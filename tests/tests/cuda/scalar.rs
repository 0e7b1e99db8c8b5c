//! The contract's functions one by one, on thousands of arguments and at their edges.

use mote_cuda::launch::{Launch, Launcher};
use mote_runtime::internals::digest::Digest;
use mote_runtime::internals::numeric::exp2::exp2_neg_q16;
use mote_runtime::internals::numeric::float::{exp_f32, f32_to_f16_sat, from_q24, load, sigmoid_f32, silu_f32, to_q24};
use mote_runtime::internals::numeric::normal::{normal_q24, uniform_word};
use mote_runtime::internals::numeric::requant::{Requant, add_guarded};
use mote_runtime::internals::numeric::rsqrt::rsqrt_u64;
use mote_runtime::internals::numeric::sigmoid::silu_q16;
use mote_runtime::internals::numeric::sine::sin_cos_q30;
use mote_runtime::internals::schedule::chain::{BitStep, deviation_q30};
use mote_tests::random::Random;

fn both(low: i32, high: i32) -> u64 {
    u64::from(low as u32) | u64::from(high as u32) << 32
}

/// A function of one word.
type Function = fn(u64) -> u64;

/// Functions by their numbers in `probe.cuh`.
const FUNCTIONS: [(&str, Function); 19] = [
    ("normal_q24", |v| {
        normal_q24(v, (v >> 48) as u32, v as u32 >> 4) as u32 as u64
    }),
    ("silu_q16", |v| silu_q16(v as i32) as u32 as u64),
    ("exp2_neg_q16", |v| exp2_neg_q16(v as u32).into()),
    ("rsqrt_u64", |v| {
        let root = rsqrt_u64(v);
        both(root.mant_q31 as i32, root.exp)
    }),
    ("sin_cos_q30", |v| {
        let (sine, cosine) = sin_cos_q30(v as u32);
        both(sine, cosine)
    }),
    ("requantize", |v| {
        let high = (v >> 32) as u32;
        let factor = Requant {
            mult: (high & 0x3FFF_FFFF | 0x4000_0000) as i32,
            shift: 1 + (high >> 30) as u8 * 20,
        };
        factor.apply(v as i32) as u32 as u64
    }),
    ("digest", |v| {
        let mut digest = Digest::default();
        digest.add(v as u32, (v >> 32) as i32);
        digest.0
    }),
    ("mean", |v| {
        let n = ((v >> 32) & 0xFFFF) as i64 + 1;
        (2 * (i64::from(v as i32) << 14) + n).div_euclid(2 * n) as u64
    }),
    ("f16_to_f32", |v| load(v as u16).to_bits().into()),
    ("f32_to_f16_sat", |v| {
        f32_to_f16_sat(f32::from_bits(v as u32)).to_bits().into()
    }),
    ("exp_f32", |v| exp_f32(f32::from_bits(v as u32)).to_bits().into()),
    ("sigmoid_f32", |v| {
        sigmoid_f32(f32::from_bits(v as u32)).to_bits().into()
    }),
    ("silu_f32", |v| silu_f32(f32::from_bits(v as u32)).to_bits().into()),
    ("f32_to_q24", |v| to_q24(f32::from_bits(v as u32)) as u32 as u64),
    ("q24_to_f32", |v| from_q24(v as i32).to_bits().into()),
    ("add_guarded", |v| add_guarded(v as i32, (v >> 32) as i32) as u32 as u64),
    ("deviation_q30", |v| deviation_q30(v as i32).into()),
    ("words that set a bit", words_that_set),
    ("uniform_word", |v| {
        uniform_word(v, (v >> 48) as u32, v as u32 >> 4).into()
    }),
];

/// For how many of 2^32 words a step of a binomial chain sets a bit; `probe.cuh` makes the same step of the argument.
fn words_that_set(v: u64) -> u64 {
    let (low, high) = (v as u32, (v >> 32) as u32);
    let next = (u64::from(high & 0xFFFF) + 1) << 46;
    let step = BitStep::new((next >> 16) * u64::from(high >> 16), next, low >> 24 << 23);
    let (mut from, mut to) = (0, 1u64 << 32);
    while from < to {
        let middle = (from + to) / 2;
        if step.apply(low & 1 == 1, (low << 8) as i32 >> 3, middle as u32) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    from
}

/// Anything, numbers of every size, and edges.
fn arguments() -> Vec<u64> {
    let mut random = Random(1);
    let mut all: Vec<u64> = (0..20_000).map(|i| random.bits() >> (i % 64)).collect();
    // Floats of ordinary size in the low word.
    all.extend((0..20_000).map(|_| both((random.unit() * 95.0).to_bits() as i32, random.bits() as i32)));
    for edge in [
        0,
        1,
        0x7F80_0000,
        0x7FC0_0000,
        0x477F_E000,
        0x3880_0000,
        0x3300_0000,
        0x4F00_0000,
        i32::MAX as u32,
    ] {
        for near in [edge.wrapping_sub(1), edge, edge + 1] {
            all.extend([near, near | 1 << 31].map(|low| u64::from(low) | u64::from(near) << 32));
        }
    }
    // Every f16, and ties between two.
    all.extend((0..1 << 16).map(|bits: u32| u64::from(f16_bits(bits) ^ (bits & 0x1000))));
    all
}

/// The f32 of an f16, or the bits as they are.
fn f16_bits(bits: u32) -> u32 {
    if bits & 1 == 0 {
        bits
    } else {
        load(bits as u16).to_bits()
    }
}

/// Compares every function; the first difference.
pub fn solve(mut device: impl Launcher) -> Result<(), String> {
    let arguments = arguments();
    let bytes = arguments.len() * 8;
    let buffer = device.alloc(2 * bytes).map_err(|error| error.to_string())?;
    for (number, (name, function)) in FUNCTIONS.into_iter().enumerate() {
        let mut words = vec![0u64; 2 * arguments.len()];
        words[..arguments.len()].copy_from_slice(&arguments);
        let launch = Launch {
            kernel: "probe_function",
            blocks: 2,
            threads: 64,
            shared: 0,
            args: [buffer.address, number as u64, arguments.len() as u64],
        };
        let done = device
            .write(&buffer, 0, bytemuck::cast_slice(&words))
            .and_then(|()| device.launch(&launch))
            .and_then(|()| device.read(&buffer, bytemuck::cast_slice_mut(&mut words)));
        done.map_err(|error| error.to_string())?;
        let pairs = arguments.iter().zip(&words[arguments.len()..]);
        for (&argument, &found) in pairs {
            let expected = function(argument);
            if found != expected {
                return Err(format!("{name}({argument:#018x}) is {found:#x}, not {expected:#x}"));
            }
        }
    }
    Ok(())
}
