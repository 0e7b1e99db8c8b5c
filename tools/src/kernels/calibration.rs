//! The operators that the estimate of instructions is fitted to: shapes as networks for microcontrollers have them, in every number
//! format. None of them is taken from a network that holds the estimate.

use super::cases::{Activations, Case, Fused, Then, Work};
use super::network::network;
use crate::convert::ConvertError;
use crate::quantize::scheme::Bits;

/// `[side, ins, outs, kernel, stride]` and what is fused.
const CONVS: [([usize; 5], Fused); 20] = [
    ([8, 12, 12, 3, 1], Fused::Nothing),
    ([8, 16, 16, 3, 1], Fused::Residual),
    ([16, 32, 32, 3, 1], Fused::Residual),
    ([4, 24, 24, 3, 1], Fused::Nothing),
    ([16, 16, 16, 3, 1], Fused::Nothing),
    ([8, 48, 48, 3, 1], Fused::Nothing),
    ([16, 16, 32, 3, 2], Fused::Nothing),
    ([8, 12, 24, 3, 2], Fused::Nothing),
    ([8, 12, 12, 3, 1], Fused::Concat),
    ([8, 24, 16, 3, 1], Fused::Concat),
    ([4, 24, 12, 1, 1], Fused::Concat),
    ([16, 16, 16, 1, 1], Fused::Concat),
    ([8, 24, 12, 1, 1], Fused::Nothing),
    ([8, 32, 64, 1, 1], Fused::Residual),
    ([4, 12, 12, 3, 1], Fused::Upsample),
    ([8, 24, 24, 3, 1], Fused::Upsample),
    ([16, 1, 12, 3, 1], Fused::Nothing),
    ([8, 12, 1, 3, 1], Fused::Nothing),
    ([1, 12, 48, 1, 1], Fused::Nothing),
    ([1, 64, 48, 1, 1], Fused::Nothing),
];

/// Positions, input and output channels, columns of the kernel.
const SIGNALS: [[usize; 4]; 3] = [[16, 32, 32, 5], [16, 12, 24, 3], [8, 24, 24, 5]];

/// Model files that hold the operators: integers in each format, then f16.
///
/// # Errors
/// A network cannot be emitted.
pub fn calibration() -> Result<Vec<Vec<u8>>, ConvertError> {
    let mut files = Vec::new();
    for weights in [Bits::Eight, Bits::Four, Bits::Sixteen] {
        for activations in [Activations::Eight, Activations::Sixteen] {
            let case = |work| Case {
                work,
                activations,
                weights,
            };
            files.push(network(&convs().map(case).collect::<Vec<_>>())?.bytes);
        }
    }
    for activations in [Activations::Eight, Activations::Sixteen, Activations::Narrowing] {
        let case = |work| Case {
            work,
            activations,
            weights: Bits::Eight,
        };
        files.push(network(&others().map(case).collect::<Vec<_>>())?.bytes);
    }
    let case = |work| Case {
        work,
        activations: Activations::Sixteen,
        weights: Bits::Eight,
    };
    let all: Vec<Case> = convs().chain(others()).map(case).collect();
    files.push(network(&all)?.float);
    Ok(files)
}

fn convs() -> impl Iterator<Item = Work> {
    let squares = CONVS
        .into_iter()
        .map(|([side, ins, outs, kernel, stride], fused)| Work::Conv {
            side,
            ins,
            outs,
            kernel,
            stride,
            fused,
        });
    squares.chain(SIGNALS.map(|[length, ins, outs, kernel]| Work::Signal {
        length,
        ins,
        outs,
        kernel,
    }))
}

fn others() -> impl Iterator<Item = Work> {
    let norms = [[8, 12, 4], [4, 24, 4], [16, 16, 8], [8, 64, 8], [16, 32, 8], [4, 48, 8]];
    let norms = norms.map(|[side, channels, groups]| Work::Norm { side, channels, groups });
    let sums = [[8, 64], [4, 24]].map(|[side, channels]| Work::RmsNorm { side, channels });
    let attention = [[4, 24], [8, 16], [8, 32], [4, 64]].map(|[side, channels]| Work::Attention { side, channels });
    let mish = |[side, channels]: [usize; 2]| {
        [Then::Nothing, Then::Modulation, Then::Residual].map(move |then| Work::Mish { side, channels, then })
    };
    let mish = [[8, 12], [16, 24]].into_iter().flat_map(mish);
    norms.into_iter().chain(sums).chain(attention).chain(mish)
}
