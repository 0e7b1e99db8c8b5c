//! The operators and shapes that are measured, and CMSIS-NN's figures for them.

use std::fmt;

use crate::quantize::scheme::Bits;

/// Number formats around an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activations {
    /// int8 in, int8 out.
    Eight,
    /// int16 in, int16 out.
    Sixteen,
    /// int16 in, int8 out: a normalization before a convolution of a `w8a8` model.
    Narrowing,
}

/// What an operator computes, with shapes as `[rows and columns, channels]` of the stored input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// A convolution.
    Conv {
        /// Rows, which are also the columns, of the stored input.
        side: usize,
        /// Input channels, of a concatenation those of each half.
        ins: usize,
        /// Output channels.
        outs: usize,
        /// Side of the kernel.
        kernel: usize,
        /// Step between outputs.
        stride: usize,
        /// What is fused into it.
        fused: Fused,
    },
    /// A convolution along a signal of one row that keeps its length.
    Signal {
        /// Positions.
        length: usize,
        /// Input channels.
        ins: usize,
        /// Output channels.
        outs: usize,
        /// Columns of the kernel.
        kernel: usize,
    },
    /// Group normalization with SiLU.
    Norm {
        /// Rows and columns.
        side: usize,
        /// Channels.
        channels: usize,
        /// Groups.
        groups: usize,
    },
    /// RMSNorm over the channels of each position.
    RmsNorm {
        /// Rows and columns.
        side: usize,
        /// Channels.
        channels: usize,
    },
    /// Mish of every element.
    Mish {
        /// Rows and columns.
        side: usize,
        /// Channels.
        channels: usize,
        /// What follows it in the same pass.
        then: Then,
    },
    /// Attention over all positions, one head.
    Attention {
        /// Rows and columns.
        side: usize,
        /// Channels.
        channels: usize,
    },
}

/// What follows a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Nothing.
    Nothing,
    /// A factor and an offset a channel.
    Modulation,
    /// A residual of the same shape.
    Residual,
}

/// What is fused into a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fused {
    /// Nothing.
    Nothing,
    /// A residual of the output's shape, added before the one rounding.
    Residual,
    /// The input is a concatenation of two activations, brought to a common scale.
    Concat,
    /// The input is read through a nearest-neighbour x2.
    Upsample,
}

/// One operator in one number format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// What it computes.
    pub work: Work,
    /// Number formats.
    pub activations: Activations,
    /// Width of a convolution's weights.
    pub weights: Bits,
}

/// Instructions a multiply-accumulate of `arm_convolve_wrapper_s8`, compiled by gcc 12 at -O3 and counted by QEMU, on
/// Cortex-M0, M3, M4, M7 and M55: `(side, ins, outs, kernel, stride)` and the five figures.
const CMSIS_NN: [([usize; 5], [f64; 5]); 7] = [
    ([16, 16, 16, 3, 1], [7.56, 3.34, 2.33, 2.34, 0.388]),
    ([16, 32, 32, 3, 1], [6.70, 2.87, 1.93, 1.93, 0.253]),
    ([8, 64, 64, 3, 1], [6.33, 2.67, 1.76, 1.76, 0.206]),
    ([16, 48, 16, 3, 1], [6.89, 3.02, 1.98, 1.98, 0.251]),
    ([16, 32, 32, 3, 2], [6.70, 2.87, 1.93, 1.93, 0.254]),
    ([8, 64, 32, 1, 1], [7.60, 3.13, 2.11, 2.08, 0.397]),
    ([16, 1, 16, 3, 1], [21.3, 10.6, 10.5, 10.6, 3.76]),
];

/// Every case, int8 and int16 activations side by side; weights are int8 where nothing else is said.
pub fn cases() -> Vec<Case> {
    let plain = CMSIS_NN.map(|([side, ins, outs, kernel, stride], _)| Work::Conv {
        side,
        ins,
        outs,
        kernel,
        stride,
        fused: Fused::Nothing,
    });
    let fused = |side, fused| Work::Conv {
        side,
        ins: 32,
        outs: 32,
        kernel: 3,
        stride: 1,
        fused,
    };
    let norm = Work::Norm {
        side: 16,
        channels: 32,
        groups: 8,
    };
    let attention = Work::Attention { side: 8, channels: 32 };
    let mish = |then| Work::Mish {
        side: 16,
        channels: 32,
        then,
    };
    let both = plain.into_iter().chain([
        fused(16, Fused::Residual),
        fused(16, Fused::Concat),
        fused(8, Fused::Upsample),
        norm,
        Work::RmsNorm { side: 8, channels: 64 },
        attention,
        mish(Then::Nothing),
        mish(Then::Modulation),
        mish(Then::Residual),
    ]);
    let case = |work, activations| Case {
        work,
        activations,
        weights: Bits::Eight,
    };
    let mut all: Vec<Case> = both
        .flat_map(|work| [Activations::Eight, Activations::Sixteen].map(|activations| case(work, activations)))
        .collect();
    let at = all
        .iter()
        .position(|case| case.work == norm)
        .map_or(all.len(), |i| i + 1);
    all.insert(at, case(norm, Activations::Narrowing));
    let four = [Activations::Eight, Activations::Sixteen].map(|activations| Case {
        weights: Bits::Four,
        ..case(fused(16, Fused::Nothing), activations)
    });
    all.splice(at - 2..at - 2, four);
    let signal = Work::Signal {
        length: 16,
        ins: 32,
        outs: 32,
        kernel: 5,
    };
    all.extend([Activations::Eight, Activations::Sixteen].map(|activations| case(signal, activations)));
    all.push(case(mish(Then::Nothing), Activations::Narrowing));
    all
}

impl Case {
    /// Operator and shape: what is measured, without the number formats.
    pub fn name(&self) -> String {
        let suffix = if self.weights == Bits::Four {
            ", int4 weights"
        } else {
            ""
        };
        format!("{}{suffix}", self.work)
    }

    /// Number format of the weights; empty where there are none.
    pub fn weights(&self) -> &'static str {
        match self.work {
            Work::Conv { .. } if self.weights == Bits::Four => "int4",
            Work::Conv { .. } | Work::Signal { .. } => "int8",
            _ => "",
        }
    }

    /// Rows and columns of the output.
    pub fn out_size(&self) -> [usize; 2] {
        match self.work {
            Work::Conv {
                side, stride, fused, ..
            } => [side * if fused == Fused::Upsample { 2 } else { 1 } / stride; 2],
            Work::Signal { length, .. } => [1, length],
            Work::Norm { side, .. }
            | Work::Attention { side, .. }
            | Work::RmsNorm { side, .. }
            | Work::Mish { side, .. } => [side; 2],
        }
    }

    /// Elements of the output.
    pub fn elements(&self) -> u64 {
        let channels = match self.work {
            Work::Conv { outs, .. } | Work::Signal { outs, .. } => outs,
            Work::Norm { channels, .. }
            | Work::Attention { channels, .. }
            | Work::RmsNorm { channels, .. }
            | Work::Mish { channels, .. } => channels,
        };
        let [rows, cols] = self.out_size();
        (rows * cols * channels) as u64
    }

    /// Multiply-accumulates; 0 of a normalization and of a function.
    pub fn macs(&self) -> u64 {
        match self.work {
            Work::Conv { ins, kernel, fused, .. } => {
                let halves = if fused == Fused::Concat { 2 } else { 1 };
                self.elements() * (kernel * kernel * ins * halves) as u64
            }
            Work::Signal { ins, kernel, .. } => self.elements() * (kernel * ins) as u64,
            Work::Attention { side, .. } => 2 * (side * side) as u64 * self.elements(),
            Work::Norm { .. } | Work::RmsNorm { .. } | Work::Mish { .. } => 0,
        }
    }

    /// CMSIS-NN's instructions a multiply-accumulate for this shape on a core of this class, where it was measured: int8
    /// activations, nothing fused.
    pub fn cmsis_nn(&self, core: &str) -> Option<f64> {
        let column = ["Cortex-M0", "Cortex-M3", "Cortex-M4F", "Cortex-M7F", "Cortex-M55"];
        let column = column.iter().position(|name| *name == core)?;
        let Work::Conv {
            side,
            ins,
            outs,
            kernel,
            stride,
            fused: Fused::Nothing,
        } = self.work
        else {
            return None;
        };
        let shape = [side, ins, outs, kernel, stride];
        let row = CMSIS_NN.iter().find(|(measured, _)| *measured == shape)?;
        (self.activations == Activations::Eight && self.weights == Bits::Eight).then_some(row.1[column])
    }
}

impl Activations {
    /// `int8`, `int16`, or both with an arrow.
    pub fn name(self) -> &'static str {
        match self {
            Self::Eight => "int8",
            Self::Sixteen => "int16",
            Self::Narrowing => "int16 -> int8",
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Conv {
                side,
                ins,
                outs,
                kernel,
                stride,
                fused,
            } => {
                let ins = match fused {
                    Fused::Concat => format!("({ins}+{ins})"),
                    _ => ins.to_string(),
                };
                write!(f, "conv {kernel}x{kernel}, {side}x{side}x{ins} -> {outs}")?;
                if stride > 1 {
                    write!(f, ", stride {stride}")?;
                }
                f.write_str(match fused {
                    Fused::Nothing | Fused::Concat => "",
                    Fused::Residual => ", residual",
                    Fused::Upsample => ", upsampled x2",
                })
            }
            Self::Signal {
                length,
                ins,
                outs,
                kernel,
            } => {
                write!(f, "conv 1x{kernel}, 1x{length}x{ins} -> {outs}")
            }
            Self::Norm { side, channels, groups } => {
                write!(f, "group norm + SiLU, {side}x{side}x{channels}, {groups} groups")
            }
            Self::RmsNorm { side, channels } => write!(f, "RMSNorm, {} positions x {channels}", side * side),
            Self::Mish { side, channels, then } => {
                write!(f, "Mish, {side}x{side}x{channels}")?;
                f.write_str(match then {
                    Then::Nothing => "",
                    Then::Modulation => ", modulation",
                    Then::Residual => ", residual",
                })
            }
            Self::Attention { side, channels } => {
                write!(f, "attention, {} positions x {channels}, 1 head", side * side)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_of_cmsis_nn_has_its_case() {
        for core in ["Cortex-M0", "Cortex-M55"] {
            let found = cases().iter().filter_map(|case| case.cmsis_nn(core)).count();
            assert_eq!(found, CMSIS_NN.len(), "{core}");
        }
        assert!(cases().iter().all(|case| case.cmsis_nn("RV32IMAC").is_none()));
    }

    #[test]
    fn names_and_formats_tell_the_cases_apart() {
        let mut names: Vec<_> = cases()
            .iter()
            .map(|case| (case.name(), case.activations.name()))
            .collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn work_is_counted_by_the_output() {
        let upsampled = cases()
            .into_iter()
            .find(|case| case.name().contains("upsampled"))
            .unwrap();
        assert_eq!(
            (upsampled.elements(), upsampled.macs()),
            (16 * 16 * 32, 16 * 16 * 32 * 9 * 32)
        );
        let concatenated = cases().into_iter().find(|case| case.name().contains('+')).unwrap();
        assert_eq!(concatenated.macs(), 16 * 16 * 32 * 9 * 64);
    }
}
