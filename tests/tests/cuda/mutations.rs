//! Kernels broken on purpose: the suite must find each of them out, barriers left out included.

use std::process::Command;

use mote_tests::chains;
use mote_tests::standin::{Library, Mutation, SCHEDULES};
use mote_tests::synthetic::Form;
use rayon::prelude::*;

use crate::suite::Problem;
use crate::{network, problems, scalar, suite};

const fn swap(file: &'static str, from: &'static str, to: &'static str) -> Mutation {
    Mutation { file, from, to }
}

/// Arithmetic: one rounding, one sign, one order.
const ARITHMETIC: [Mutation; 12] = [
    swap("fixed.cuh", "v * f.mult + ((i64)1 << (f.shift - 1))", "v * f.mult"),
    swap("fixed.cuh", "(i64)sat32((i64)a + b) + 8", "(i64)sat32((i64)a + b) + 7"),
    swap("conv.cuh", "mma<false, true>(sums", "mma<true, true>(sums"),
    swap("conv.cuh", "mma<true, false>(sums", "mma<true, true>(sums"),
    swap("conv.cuh", "return zero * 0x01010101u", "return 0"),
    swap("conv.cuh", "site, row + 8)", "site, row + 4)"),
    swap("group_norm.cuh", "- (doubled % by < 0 ? 1 : 0)", ""),
    swap("float.cuh", "add(mul(mul(p, r), r), r)", "std::fma(mul(p, r), r, r)"),
    swap("float.cuh", "rest == half && (kept & 1)", "rest == half"),
    swap(
        "noise.cuh",
        "index & 1 ? turn.sine : turn.cosine",
        "index & 1 ? turn.cosine : turn.sine",
    ),
    swap(
        "sampler.cuh",
        "delta * run.guidance_q16 + (1 << 15)",
        "delta * run.guidance_q16",
    ),
    swap("digest.cuh", "i * 0xC2B2AE35u", "i * 0x9E3779B9u"),
];

/// Threads: a barrier left out, memory shared that must not be, work done twice.
const THREADS: [Mutation; 7] = [
    swap(
        "mote.cu",
        "run_op(run, run.ops[i], site);\n                __syncthreads();",
        "run_op(run, run.ops[i], site);",
    ),
    swap(
        "mote.cu",
        "run.resident_scores) + (threadIdx.x / 32) * run.scores",
        "run.resident_scores)",
    ),
    swap("mote.cu", "if (threadIdx.x == 0) *at", "*at"),
    swap(
        "attention.cuh",
        "(1 << 30)) >> 31);\n        }\n        __syncwarp();",
        "(1 << 30)) >> 31);\n        }",
    ),
    swap(
        "attention.cuh",
        "exp_f32(sub(scores[j], top));\n        __syncwarp();",
        "exp_f32(sub(scores[j], top));",
    ),
    swap(
        "attention.cuh",
        "scores[j] > top ? scores[j] : top;\n        __syncwarp();",
        "scores[j] > top ? scores[j] : top;",
    ),
    swap(
        "group_norm.cuh",
        "squares = warp_sum(squares)",
        "squares = squares + warp_sum(0)",
    ),
];

/// Samplers and known elements.
const SAMPLERS: [Mutation; 9] = [
    swap("sampler.cuh", "if (!level.noised) return image;", ""),
    swap(
        "sampler.cuh",
        "saturated(normal_q24(seed, 0, i)), 30)",
        "saturated(normal_q24(seed, 1, i)), 30)",
    ),
    swap("sampler.cuh", "x = known_state(run.begin, run.known[i], seed, i)", ""),
    swap("sampler.cuh", "x = known_state(move.known, run.known[i], seed, i)", ""),
    swap("sampler.cuh", "if (run.keeps) *clean = x0;", ""),
    swap("sampler.cuh", "move.step[1] * before", "move.step[1] * saturated(x0)"),
    swap("sampler.cuh", "run.clips ? clamp(x0, -range, range) : x0", "x0"),
    swap("sampler.cuh", "if (move.digest == NO_STEP) continue;", ""),
    swap("mote.cu", "shared + run.resident_cleans", "shared + run.resident_state"),
];

/// What is joined before a convolution.
const JOINED: [Mutation; 2] = [
    swap(
        "pointwise.cuh",
        "i / channels, i % channels)",
        "i % channels, i % channels)",
    ),
    swap(
        "program.cuh",
        "clamp(scaled(op.join[second], q), -32768, 32767)",
        "clamp(q, -32768, 32767)",
    ),
];

/// The chains of 2015.
const CHAINS: [Mutation; 14] = [
    swap("real.cuh", "(n >> 31 & 1)", "0"),
    swap("real.cuh", "(2 * rest >= b.mant ? 1 : 0)", "0"),
    swap("real.cuh", "(n - root * root > root ? 1 : 0)", "0"),
    swap("chain.cuh", "(a * b + (1 << 30)) >> 31", "(a * b) >> 31"),
    swap("chain.cuh", "c0 * (set ? q0", "c0 * (set ? q1"),
    swap("chain.cuh", "saturated(z) + (1 << 29)", "saturated(z)"),
    swap("sampler.cuh", "(u64)run.first_bit << 1", "(u64)run.first_bit"),
    swap("sampler.cuh", "outs[at + run.channels]", "outs[at + 1]"),
    swap(
        "conv.cuh",
        "[middle] <= site.time_q16 >> 16",
        "[middle] < site.time_q16 >> 16",
    ),
    swap("conv.cuh", "timesteps * columns * steps * 32", "0"),
    swap("conv.cuh", "timesteps * op.out.channels, sum", "0, sum"),
    swap("conv_f16.cuh", "[group * outs + o]", "[o]"),
    swap("pointwise.cuh", "power * reciprocal + (1 << 30)", "power * reciprocal"),
    swap(
        "pointwise.cuh",
        "0xFF800000u), total = 0.0f",
        "0xFF800000u), total = 1.0f",
    ),
];

/// The float network: an index, a term, a barrier.
const NETWORK: [Mutation; 24] = [
    swap("network.cuh", "fused(p, r, 1.0f / 6.0f)", "fused(p, r, 1.0f / 7.0f)"),
    swap("network_conv.cuh", "row + mine + i / 4", "row + mine + i % 4"),
    swap("network_conv.cuh", "- (i32)f.left", "- (i32)f.top"),
    swap("network_conv.cuh", "A_VECTOR ? o : i", "A_MAP ? o : i"),
    swap("network_conv.cuh", "v = __fdiv_rn(v, f.divisor)", "v = v"),
    swap("network_conv.cuh", "x >> zoom", "x"),
    swap("network_conv.cuh", "element < 0 ? 0.0f", "element < -1 ? 0.0f"),
    swap(
        "network_conv.cuh",
        "        __syncthreads();\n        float sums",
        "        float sums",
    ),
    swap(
        "network_conv.cuh",
        "            __syncthreads();\n#pragma unroll",
        "#pragma unroll",
    ),
    swap("network_conv.cuh", "these.\n            __syncthreads();", "these."),
    swap(
        "network_tensor.cuh",
        "{high.x, low.x, high.y, low.y}",
        "{high.x, high.y, low.x, low.y}",
    ),
    swap("network_tensor.cuh", "left > 1 ?", "left > 2 ?"),
    swap("network_tensor.cuh", "run, op, row + 8)", "run, op, row + 4)"),
    swap("network_norm.cuh", "(float)n), f.eps", "(float)n), 0.0f"),
    swap(
        "network_norm.cuh",
        "warp_sum(squares), (float)n",
        "warp_sum(squares), (float)(n - 1)",
    ),
    swap("network_norm.cuh", "f.silu ? silu(v) : v", "v"),
    swap("network_attention.cuh", "values = f.values", "values = op.first"),
    swap("network_attention.cuh", "threadIdx.x / 32 * n", "0"),
    swap("network_attention.cuh", "total = warp_sum(total);", ""),
    swap("network_attention.cuh", "these.\n        __syncwarp();", "these."),
    swap("network_pointwise.cuh", "b, channels + c)", "b, c)"),
    swap("network_pointwise.cuh", "corner + down + channels", "corner + down"),
    swap("network_pointwise.cuh", "fields_of<NetworkPlace>(op).first + c;", "c;"),
    swap("network_pointwise.cuh", "(u64)sample * run.feature_stride", "0"),
];

/// Names the mutation to the program that tries it.
const NUMBER: &str = "MOTE_TEST_MUTATION";
/// What that program says when the broken kernels compiled, and when nothing was found.
const COMPILED: &str = "the broken kernels compile";
const UNSEEN: &str = "the broken kernels went unseen";

/// Every mutation in a program of its own: broken kernels may write anywhere, and whatever that does is found out as well.
#[test]
fn broken_kernels_are_found_out() {
    let count = ARITHMETIC.len() + THREADS.len() + SAMPLERS.len() + JOINED.len() + CHAINS.len() + NETWORK.len();
    let survived: Vec<String> = (0..count).into_par_iter().filter_map(survivor).collect();
    assert!(survived.is_empty(), "{}", survived.join("\n"));
}

/// What is wrong with a mutation that was not found out.
fn survivor(number: usize) -> Option<String> {
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["mutations::one_broken_kernel", "--exact", "--nocapture"])
        .env(NUMBER, number.to_string())
        .output()
        .expect("this program again");
    let text = [output.stdout, output.stderr]
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .concat();
    let found_out = text.contains(COMPILED) && !text.contains(UNSEEN);
    (!found_out).then(|| format!("{:?}: {text}", mutation(number).map(|(mutation, _)| mutation)))
}

type Problems = fn() -> Vec<Problem>;

/// What must find a mutation out.
#[derive(Debug, Clone, Copy)]
enum Finder {
    /// Bits of the exact kernels.
    Exact(Problems),
    /// Tolerances of the float network's.
    Float,
}

/// A mutation, and what must find it out.
fn mutation(number: usize) -> Option<(&'static Mutation, Finder)> {
    let operators = || Form::ALL.into_iter().map(problems::everything).collect();
    let chains = || chains::SCHEMES.into_iter().flat_map(problems::chains).collect();
    let exact = |list: &'static [Mutation], problems: Problems| list.iter().map(move |m| (m, Finder::Exact(problems)));
    exact(&ARITHMETIC, operators)
        .chain(exact(&THREADS, operators))
        .chain(exact(&SAMPLERS, problems::samplers))
        .chain(exact(&JOINED, || vec![problems::joined()]))
        .chain(exact(&CHAINS, chains))
        .chain(NETWORK.iter().map(|m| (m, Finder::Float)))
        .nth(number)
}

/// Does nothing by itself: [`broken_kernels_are_found_out`] runs it.
#[test]
fn one_broken_kernel() {
    let Ok(number) = std::env::var(NUMBER) else { return };
    let (mutation, finder) = mutation(number.parse().expect("a number")).expect("a mutation of that number");
    let library = Library::compile(Some(*mutation)).expect("broken kernels that compile");
    println!("{COMPILED}");
    let device = |schedule| library.device(schedule).expect("the stand-in");
    let found_out = match finder {
        Finder::Exact(problems) => {
            scalar::solve(device(0)).is_err()
                || problems()
                    .iter()
                    .any(|problem| (0..SCHEDULES).any(|schedule| suite::solve(device(schedule), problem).is_err()))
        }
        Finder::Float => network::solve(|seed| device((seed % u64::from(SCHEDULES)) as u32)).is_err(),
    };
    if !found_out {
        println!("{UNSEEN}");
    }
}
