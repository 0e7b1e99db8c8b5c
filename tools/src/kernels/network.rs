//! A model file around the operators that are measured.
//!
//! ```text
//! input --+-- 1x1 conv -- case 0
//!         +-- 1x1 conv -- case 1        (two or three 1x1 convolutions where a case reads several activations)
//!         +-- ...
//!         +-- 1x1 conv -- output
//! ```
//!
//! Weights are seeded; ranges come from calibration, so that zero points and factors are what a trained network has.

use mote_engine::calibrate::calibrate;
use mote_engine::memory::AlignedBytes;
use mote_graph::graph::ops::Over;
use mote_graph::ops::Function;
use mote_runtime::internals::schedule::coefficients::{Clip, Prediction};
use mote_runtime::internals::schedule::spacing::Spacing;
use mote_runtime::{Config, Model};

use super::cases::{Activations, Case, Fused, Then, Work};
use crate::convert::ConvertError;
use crate::emit::{Diffusion, emit};
use crate::ops::pointwise::Addend;
use crate::ops::pointwise::table::Scalar;
use crate::ops::{Attention, Conv, Input, Kind, Norm, Pointwise, TimeProj};
use crate::plan::Arena;
use crate::program::{Program, SlotId};
use crate::quantize::Quantization;
use crate::quantize::formats::formats;
use crate::quantize::scheme::{Assignment, Bits};
use crate::quantize::weights::scales;

/// A model file, and which of its operators are the cases.
pub struct MeasuredNetwork {
    /// The file.
    pub bytes: Vec<u8>,
    /// The same network in f16.
    pub float: Vec<u8>,
    /// Index of the operator of each case.
    pub measured: Vec<usize>,
}

/// Training timesteps; the schedule plays no part in what is measured.
const TRAIN_STEPS: u32 = 20;

/// The network of `cases`, quantized.
pub fn network(cases: &[Case]) -> Result<MeasuredNetwork, ConvertError> {
    let side = cases.iter().map(|case| in_side(&case.work)).max().unwrap_or(1);
    let mut b = Builder::new(side);
    let measured = cases.iter().map(|case| b.case(case)).collect();
    b.conv("output", &[SlotId(0)], [1, 1, 1], side, Fused::Nothing, Bits::Sixteen);
    let Builder {
        program, assignment, ..
    } = b;
    let (diffusion, provenance) = (diffusion(), "{\"model\":\"kernels\"}");
    let reference = emit(&program, &diffusion, None, Arena::Fast, provenance)?;
    let memory = AlignedBytes::copy_of(&reference.bytes);
    let model = Model::parse(memory.bytes())?;
    let run = |seed| Config {
        seed,
        ..Config::of(model.header(), 1)
    };
    let stats = calibrate(&model, &[run(1), run(2)], &|| {})?;
    let quantization = Quantization {
        formats: &formats(&program, &stats, &assignment),
        stats: &stats,
        assignment: &assignment,
        scales: &scales(&program, &stats),
        int4: &[],
        int8: &[],
    };
    let bytes = emit(&program, &diffusion, Some(&quantization), Arena::Fast, provenance)?.bytes;
    Ok(MeasuredNetwork {
        bytes,
        float: reference.bytes,
        measured,
    })
}

fn in_side(work: &Work) -> usize {
    match *work {
        Work::Conv { side, .. }
        | Work::Norm { side, .. }
        | Work::Attention { side, .. }
        | Work::RmsNorm { side, .. }
        | Work::Mish { side, .. } => side,
        Work::Signal { length, .. } => length,
    }
}

fn diffusion() -> Diffusion {
    Diffusion {
        train_steps: TRAIN_STEPS,
        alpha_bars: (0..TRAIN_STEPS).map(|t| 0.95 - 0.04 * f64::from(t)).collect(),
        final_alpha_bar: 1.0,
        prediction: Prediction::Epsilon,
        clip: Clip::Stock,
        clip_range: 1.0,
        schedule: Spacing::Leading.into(),
        steps_offset: 0,
        null_class: None,
    }
}

struct Builder {
    program: Program,
    assignment: Assignment,
    /// Rows and columns of the sample.
    side: usize,
    random: u64,
}

impl Builder {
    fn new(side: usize) -> Self {
        let mut builder = Self {
            program: Program {
                sample: [1, side, side],
                ..Program::default()
            },
            assignment: Assignment {
                activations: vec![],
                weights: vec![],
            },
            side,
            random: 0x9E37_79B9_7F4A_7C15,
        };
        builder.push("input", [1, side, side], Input::IDENTITY, Bits::Sixteen);
        builder
    }

    fn push(&mut self, name: &str, shape: [usize; 3], kind: impl Into<Kind>, activations: Bits) -> SlotId {
        let name = format!("{}.{name}", self.program.ops.len());
        self.assignment.activations.push(activations);
        self.assignment.weights.push(Bits::Eight);
        self.program.push_named(&name, shape, kind)
    }

    /// The case's operator behind the convolutions that make its inputs; gives its index.
    fn case(&mut self, case: &Case) -> usize {
        let SlotId(index) = self.operator(case);
        if matches!(case.work, Work::Conv { .. } | Work::Signal { .. }) {
            self.assignment.weights[index] = case.weights;
        }
        index
    }

    fn operator(&mut self, case: &Case) -> SlotId {
        let (before, after) = match case.activations {
            Activations::Eight => (Bits::Eight, Bits::Eight),
            Activations::Sixteen => (Bits::Sixteen, Bits::Sixteen),
            Activations::Narrowing => (Bits::Sixteen, Bits::Eight),
        };
        let name = case.name();
        match case.work {
            Work::Conv {
                side,
                ins,
                outs,
                kernel,
                stride,
                fused,
            } => {
                let mut source = vec![self.open(ins, side, before)];
                if fused == Fused::Concat {
                    source.push(self.open(ins, side, before));
                }
                if fused == Fused::Residual {
                    source.push(self.open(outs, case.out_size()[0], before));
                }
                self.conv(&name, &source, [outs, kernel, stride], side, fused, after)
            }
            Work::Signal {
                length,
                ins,
                outs,
                kernel,
            } => {
                let source = self.signal(ins, length, before);
                let pads = [0, kernel / 2];
                self.window(&name, &[source], [outs, 1, length], [1, kernel], [1; 2], pads, after)
            }
            Work::Norm { side, channels, groups } => {
                let source = vec![self.open(channels, side, before)];
                let gamma = self.values(channels, 0.3).iter().map(|v| 1.0 + v).collect();
                let beta = self.values(channels, 0.3);
                let norm = Norm {
                    silu: true,
                    ..Norm::group(source, groups, 1e-5, gamma, beta)
                };
                self.push(&name, [channels, side, side], norm, after)
            }
            Work::RmsNorm { side, channels } => {
                let source = vec![self.open(channels, side, before)];
                let gamma = self.values(channels, 0.3).iter().map(|v| 1.0 + v).collect();
                let norm = Norm {
                    over: Over::Position(1),
                    centred: false,
                    ..Norm::group(source, 1, 1e-6, gamma, vec![0.0; channels])
                };
                self.push(&name, [channels, side, side], norm, after)
            }
            Work::Mish { side, channels, then } => {
                let src = self.open(channels, side, before);
                let mut mish = Pointwise {
                    function: vec![Scalar::Function(Function::Mish)],
                    ..Pointwise::of(src)
                };
                match then {
                    Then::Nothing => {}
                    Then::Modulation => {
                        let vector = self.vector(2 * channels, Bits::Sixteen);
                        (mish.one, mish.factor, mish.addend) = (0.0, Some(vector), Some(Addend::Modulation));
                    }
                    Then::Residual => mish.addend = Some(Addend::Slot(self.open(channels, side, before), 1.0)),
                }
                self.push(&name, [channels, side, side], mish, after)
            }
            Work::Attention { side, channels } => {
                let qkv = [(); 3].map(|()| self.open(channels, side, before));
                self.push(&name, [channels, side, side], Attention { qkv, heads: 1 }, after)
            }
        }
    }

    /// An activation of `channels` channels made from the sample, which is at most twice as large.
    fn open(&mut self, channels: usize, side: usize, activations: Bits) -> SlotId {
        if side == 1 {
            return self.vector(channels, activations);
        }
        let shape = [channels, 1, self.side / side];
        self.conv("open", &[SlotId(0)], shape, self.side, Fused::Nothing, activations)
    }

    /// A vector made from the timestep.
    fn vector(&mut self, channels: usize, activations: Bits) -> SlotId {
        let frequencies = vec![1.0, 0.1];
        let cos_first = true;
        let time = TimeProj {
            frequencies,
            cos_first,
            series: false,
        };
        let time = self.push("time", [4, 1, 1], time, Bits::Sixteen);
        self.conv("vector", &[time], [channels, 1, 1], 1, Fused::Nothing, activations)
    }

    /// A signal made from the sample's rows.
    fn signal(&mut self, channels: usize, length: usize, activations: Bits) -> SlotId {
        let rows = self.side.min(15);
        let [stride, step] = [self.side - rows + 1, self.side / length];
        let shape = [channels, 1, length];
        self.window(
            "open",
            &[SlotId(0)],
            shape,
            [rows, 1],
            [stride, step],
            [0; 2],
            activations,
        )
    }

    /// A convolution with as many zeros on both ends of an axis, biases and weights seeded.
    #[allow(clippy::too_many_arguments)]
    fn window(
        &mut self,
        name: &str,
        source: &[SlotId],
        shape: [usize; 3],
        kernel: [usize; 2],
        stride: [usize; 2],
        [high, wide]: [usize; 2],
        activations: Bits,
    ) -> SlotId {
        let ins: usize = source.iter().map(|id| self.program.slot(*id).shape[0]).sum();
        let taps = kernel[0] * kernel[1] * ins;
        let conv = Conv {
            source: source.to_vec(),
            weight: self.values(shape[0] * taps, (3.0 / taps as f32).sqrt()),
            bias: self.values(shape[0], 0.1),
            kernel,
            stride,
            pad: [high, wide, high, wide],
            upsample: false,
            addend: None,
            divisor: 1.0,
            groups: vec![],
            split: 1,
        };
        self.push(name, shape, conv, activations)
    }

    /// A convolution `[outs, kernel, stride]` that keeps the extents (but for the stride), biases and weights seeded; the
    /// residual is the last of `source`.
    fn conv(
        &mut self,
        name: &str,
        source: &[SlotId],
        [outs, kernel, stride]: [usize; 3],
        side: usize,
        fused: Fused,
        activations: Bits,
    ) -> SlotId {
        let (parts, addend) = match (fused, source) {
            (Fused::Residual, [parts @ .., addend]) => (parts, Some((*addend, 1.0))),
            _ => (source, None),
        };
        let ins: usize = parts.iter().map(|id| self.program.slot(*id).shape[0]).sum();
        let taps = kernel * kernel * ins;
        let upsample = fused == Fused::Upsample;
        let out_side = side * if upsample { 2 } else { 1 } / stride;
        // A stride of 2 over an even extent reads one row less at the end.
        let before = if stride == 1 { kernel / 2 } else { 0 };
        let conv = Conv {
            source: parts.to_vec(),
            // Of unit variance in, unit variance out.
            weight: self.values(outs * taps, (3.0 / taps as f32).sqrt()),
            bias: self.values(outs, 0.1),
            kernel: [kernel; 2],
            stride: [stride; 2],
            pad: [before, before, kernel / 2, kernel / 2],
            upsample,
            addend,
            divisor: 1.0,
            groups: vec![],
            split: 1,
        };
        self.push(name, [outs, out_side, out_side], conv, activations)
    }

    /// Uniform in `-limit..limit`: SplitMix64 (Steele, Lea and Flood 2014).
    fn values(&mut self, count: usize, limit: f32) -> Vec<f32> {
        let mut value = || {
            self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let z = (self.random ^ (self.random >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            let unit = ((z ^ (z >> 31)) >> 40) as f32 / (1u32 << 23) as f32 - 1.0;
            unit * limit
        };
        (0..count).map(|_| value()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::cases;
    use mote_runtime::internals::ops::{Op, Weights};
    use mote_runtime::internals::tensor::Dtype;

    /// Operators, formats and work of the file are those that the cases name.
    #[test]
    fn the_file_holds_the_cases() {
        let cases = cases();
        let network = network(&cases).unwrap();
        let memory = AlignedBytes::copy_of(&network.bytes);
        let model = Model::parse(memory.bytes()).unwrap();
        let ops: Vec<Op> = model.ops().collect();
        let rows = crate::report::OperatorRow::all(&model);
        for (case, &index) in cases.iter().zip(&network.measured) {
            assert_eq!(rows[index].macs, case.macs(), "{}", case.name());
            let out = model.tensor(ops[index].slots().out()).unwrap();
            assert_eq!(out.len() as u64, case.elements(), "{}", case.name());
            let wide = case.activations == Activations::Sixteen;
            assert_eq!(out.dtype == Dtype::I16, wide, "{}", case.name());
            if let Op::Conv(conv) = ops[index] {
                let four = matches!(conv.weights, Weights::W4 { .. });
                assert_eq!(four, case.weights == Bits::Four, "{}", case.name());
                assert!(four || matches!(conv.weights, Weights::W8 { .. }), "{}", case.name());
            }
        }
    }

    #[test]
    fn twice_gives_the_same_file() {
        let cases = &cases()[..2];
        assert!(network(cases).unwrap().bytes == network(cases).unwrap().bytes);
    }
}
