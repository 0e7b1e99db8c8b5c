//! Random fused programs, and model files made of them with any assignment of widths.

use mote_engine::calibrate::calibrate;
use mote_engine::memory::AlignedBytes;
use mote_runtime::{Config, Model};
use mote_tools::emit::{Diffusion, emit, emit_with};
use mote_tools::ops::{Conv, Kind, Norm};
use mote_tools::plan::{Arena, Windows};
use mote_tools::program::{Program, SlotId};
use mote_tools::quantize::Quantization;
use mote_tools::quantize::formats::formats;
use mote_tools::quantize::scheme::{Assignment, Bits};
use mote_tools::quantize::weights::scales;

/// SplitMix64 (Steele, Lea and Flood 2014).
pub struct Random(pub u64);

impl Random {
    /// 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    /// Uniform in [-1, 1).
    pub fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / 8_388_608.0 - 1.0
    }

    fn many(&mut self, count: usize, scale: f32) -> Vec<f32> {
        (0..count).map(|_| self.unit() * scale).collect()
    }
}

/// Adds operators; shapes follow from the inputs.
pub struct Builder {
    /// Source of weights.
    pub random: Random,
    /// What has been added.
    pub program: Program,
    /// Whether random windows are squares with one stride.
    pub squares: bool,
}

/// A convolution's window.
#[derive(Clone, Copy)]
pub struct Window {
    /// Rows and columns.
    pub kernel: [usize; 2],
    /// Steps of rows and of columns.
    pub stride: [usize; 2],
    /// Top, left, bottom, right.
    pub pad: [usize; 4],
    /// Through a nearest-neighbour x2.
    pub upsample: bool,
}

/// Kernel 1.
pub const POINT: Window = Window {
    kernel: [1; 2],
    stride: [1; 2],
    pad: [0; 4],
    upsample: false,
};

/// A kernel that keeps the size.
pub const fn same(kernel: usize) -> Window {
    Window {
        kernel: [kernel; 2],
        stride: [1; 2],
        pad: [kernel / 2; 4],
        upsample: false,
    }
}

/// A kernel of one row that keeps the size of a signal, but for its step.
pub const fn along(kernel: usize, stride: usize) -> Window {
    let side = kernel / 2;
    Window {
        kernel: [1, kernel],
        stride: [1, stride],
        pad: [0, side, 0, side],
        upsample: false,
    }
}

impl Builder {
    /// A program over samples `(channel, row, col)`.
    pub fn new(seed: u64, sample: [usize; 3]) -> Self {
        Self {
            random: Random(seed),
            program: Program {
                sample,
                ..Program::default()
            },
            squares: false,
        }
    }

    /// Adds an operator of a given output shape.
    pub fn push(&mut self, kind: impl Into<Kind>, shape: [usize; 3]) -> SlotId {
        let name = format!("step{}", self.program.ops.len());
        self.program.push_named(&name, shape, kind)
    }

    /// Shape of a slot.
    pub fn shape(&self, id: SlotId) -> [usize; 3] {
        self.program.slot(id).shape
    }

    fn joined(&self, source: &[SlotId]) -> [usize; 3] {
        let [_, rows, cols] = self.shape(source[0]);
        [source.iter().map(|id| self.shape(*id)[0]).sum(), rows, cols]
    }

    /// A convolution with random weights.
    pub fn conv(&mut self, source: &[SlotId], outs: usize, w: Window, addend: Option<(SlotId, f32)>) -> SlotId {
        let [ins, rows, cols] = self.joined(source);
        let taps = w.kernel[0] * w.kernel[1] * ins;
        let zoom = 1 + usize::from(w.upsample);
        let extent = |axis: usize, size: usize| {
            (size * zoom + w.pad[axis] + w.pad[axis + 2] - w.kernel[axis]) / w.stride[axis] + 1
        };
        let shape = [outs, extent(0, rows), extent(1, cols)];
        let conv = Conv {
            source: source.to_vec(),
            weight: self.random.many(outs * taps, (3.0 / taps as f32).sqrt()),
            bias: self.random.many(outs, 0.3),
            kernel: w.kernel,
            stride: w.stride,
            pad: w.pad,
            upsample: w.upsample,
            addend,
            divisor: 1.0,
            groups: vec![],
            split: 1,
        };
        self.push(conv, shape)
    }

    /// A group normalization with a random affine.
    pub fn norm(&mut self, source: &[SlotId], groups: usize, silu: bool, scale_shift: Option<SlotId>) -> SlotId {
        let shape = self.joined(source);
        let gamma = self.random.many(shape[0], 1.0).iter().map(|g| 1.0 + g).collect();
        let beta = self.random.many(shape[0], 0.5);
        let norm = Norm {
            silu,
            scale_shift,
            ..Norm::group(source.to_vec(), groups, 1e-5, gamma, beta)
        };
        self.push(norm, shape)
    }
}

/// A model file whose tensors have widths drawn by `bits(is_weight)`; `None` is f16. `windows` are those of an integer model.
pub fn file(
    program: &Program,
    d: &Diffusion,
    windows: Windows,
    bits: Option<&mut dyn FnMut(bool) -> Bits>,
) -> AlignedBytes {
    let reference = AlignedBytes::copy_of(
        &emit(program, d, None, Arena::Fast, "{}")
            .expect("a valid program")
            .bytes,
    );
    let Some(bits) = bits else { return reference };
    let model = Model::parse(reference.bytes()).expect("a valid model");
    let class = (program.classes > 0).then_some(0);
    let configs: Vec<Config> = (0..2)
        .map(|seed| Config {
            seed,
            class,
            ..Config::of(model.header(), 4)
        })
        .collect();
    let stats = calibrate(&model, &configs, &|| {}).expect("a run");
    let uniform = Assignment::uniform(program, Bits::Eight);
    let keep = |fixed: Bits, drawn: Bits| if fixed == Bits::Sixteen { fixed } else { drawn };
    let assignment = Assignment {
        activations: uniform.activations.iter().map(|b| keep(*b, bits(false))).collect(),
        weights: program.ops.iter().map(|_| bits(true)).collect(),
    };
    let formats = formats(program, &stats, &assignment);
    let quantization = Quantization {
        formats: &formats,
        stats: &stats,
        assignment: &assignment,
        scales: &scales(program, &stats),
        int4: &[],
        int8: &[],
    };
    AlignedBytes::copy_of(
        &emit_with(program, d, Some(&quantization), Arena::Fast, windows, "{}")
            .expect("a valid program")
            .bytes,
    )
}
