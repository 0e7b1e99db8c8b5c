//! A tiny conditional program with every operator, in every form that the runtime knows.

use mote_engine::calibrate::{Run, calibrate};
use mote_engine::memory::AlignedBytes;
use mote_runtime::internals::model::sampling::Schedule;
use mote_runtime::internals::schedule::coefficients::{Clip, Prediction};
use mote_runtime::internals::schedule::spacing::Spacing;
use mote_runtime::{Config, Model};
use mote_tools::condition::FixedPoint;
use mote_tools::emit::{Diffusion, Emitted, emit, emit_with};
use mote_tools::ops::{Attention, AvgPool, ClassEmbed, Condition, Conv, Input, Kind, Norm, Silu, TimeProj, Upsample};
use mote_tools::plan::{Arena, Windows};
use mote_tools::program::{Program, SlotId};
use mote_tools::quantize::Quantization;
use mote_tools::quantize::formats::formats;
use mote_tools::quantize::scheme::{Assignment, Bits};
use mote_tools::quantize::weights::scales;

use crate::random::Random;

/// Number formats to emit a program in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// f16.
    F16,
    /// int8 weights, int16 activations.
    W8A16,
    /// int8 weights, int8 activations.
    W8A8,
    /// Widths of activations and weights in turn.
    Mixed,
    /// int4 weights, int8 activations.
    W4A8,
}

impl Form {
    /// Every form.
    pub const ALL: [Self; 5] = [Self::F16, Self::W8A16, Self::W8A8, Self::Mixed, Self::W4A8];
}

/// Training timesteps of [`diffusion`].
pub const TRAIN_STEPS: u32 = 20;

/// [`everything`] under [`diffusion`] as a model file.
pub fn model(form: Form) -> Vec<u8> {
    emitted(&everything(), &diffusion(), form).bytes
}

/// Training timesteps of [`flow`].
pub const FLOW_TRAIN_STEPS: u32 = 1000;

/// [`everything`] as a network of flow matching, as a model file.
pub fn flow(form: Form, shift: f64) -> Vec<u8> {
    let flow = Diffusion {
        train_steps: FLOW_TRAIN_STEPS,
        alpha_bars: vec![],
        prediction: Prediction::Flow,
        schedule: Schedule::Flow {
            shift_q24: libm::round(shift * 16_777_216.0) as u32,
        },
        ..diffusion()
    };
    emitted(&everything(), &flow, form).bytes
}

/// [`everything`] as a network of EDM, as a model file: sigma from 0.002 to 80, rho 7, data of deviation 1/2.
pub fn edm(form: Form) -> Vec<u8> {
    let root = |sigma: f64| libm::round(libm::pow(sigma, 1.0 / 7.0) * 268_435_456.0) as u32;
    let edm = Diffusion {
        train_steps: FLOW_TRAIN_STEPS,
        alpha_bars: vec![],
        prediction: Prediction::Edm,
        schedule: Schedule::Edm {
            lowest_q28: root(0.002),
            highest_q28: root(80.0),
            sigma_data_q24: 1 << 23,
            rho: 7,
        },
        ..diffusion()
    };
    emitted(&everything(), &edm, form).bytes
}

/// `program` as a model file, calibrated on two short runs; in integers, every normalization that can be is inside a convolution.
pub fn emitted(program: &Program, diffusion: &Diffusion, form: Form) -> Emitted {
    let provenance = "{\"model\":\"synthetic\"}";
    let reference = emit(program, diffusion, None, Arena::Fast, provenance).expect("f16 is emitted");
    if form == Form::F16 {
        return reference;
    }
    let memory = AlignedBytes::copy_of(&reference.bytes);
    let model = Model::parse(memory.bytes()).expect("the f16 model is valid");
    let run = |seed| Run {
        config: Config {
            seed,
            class: (program.classes > 0).then(|| seed as u16 % program.classes as u16),
            ..Config::of(model.header(), 3.min(model.header().train_steps))
        },
        condition: condition(&model, seed).into(),
    };
    let stats = calibrate(&model, &[run(1), run(2)], &|| {}).expect("calibration runs");
    let assignment = match form {
        Form::W8A8 => Assignment::uniform(program, Bits::Eight),
        Form::Mixed => mixed(program),
        Form::W4A8 => Assignment {
            weights: vec![Bits::Four; program.ops.len()],
            ..Assignment::uniform(program, Bits::Eight)
        },
        Form::F16 | Form::W8A16 => Assignment::uniform(program, Bits::Sixteen),
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
    let windows = Windows::all(program);
    emit_with(
        program,
        diffusion,
        Some(&quantization),
        Arena::Fast,
        windows,
        provenance,
    )
    .expect("the integer model is emitted")
}

/// A condition vector for `model`, most of it in its range; empty where it takes none.
pub fn condition(model: &Model<'_>, seed: u64) -> Vec<i32> {
    let Some(facts) = model.condition() else { return vec![] };
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9).max(1));
    let width = f64::from(facts.high) - f64::from(facts.low);
    let number = |random: &mut Random| f64::from(facts.low) + width * (0.5 + 0.55 * f64::from(random.unit()));
    (0..model.condition_len()).map(|_| number(&mut random) as i32).collect()
}

fn mixed(program: &Program) -> Assignment {
    let mut assignment = Assignment::uniform(program, Bits::Sixteen);
    let fixed = Assignment::uniform(program, Bits::Eight).activations;
    for (i, op) in program.ops.iter().enumerate() {
        let conv = op.kind.conv().is_some();
        if conv && i % 2 == 0 {
            assignment.weights[i] = Bits::Sixteen;
        }
        if i % 3 == 1 {
            assignment.activations[i] = fixed[i];
        }
    }
    assignment
}

/// A schedule of [`TRAIN_STEPS`] steps; epsilon, no clipping; the last of three labels stands for no class.
pub fn diffusion() -> Diffusion {
    let alpha_bar = |t: u32| libm::pow(0.93, f64::from(t + 1)) - 0.01 * f64::from(t) / f64::from(TRAIN_STEPS);
    Diffusion {
        train_steps: TRAIN_STEPS,
        alpha_bars: (0..TRAIN_STEPS).map(alpha_bar).collect(),
        final_alpha_bar: 1.0,
        prediction: Prediction::Epsilon,
        clip: Clip::Off,
        clip_range: 1.0,
        schedule: Spacing::Trailing.into(),
        steps_offset: 0,
        null_class: Some(2),
    }
}

/// The program: 4x4 samples of one channel, three class labels.
pub fn everything() -> Program {
    let mut b = Builder {
        program: Program {
            classes: 3,
            sample: [1, 4, 4],
            ..Program::default()
        },
        random: Random(1),
    };
    let x = b.push("x", [1, 4, 4], Input::IDENTITY);
    let frequencies = vec![1.0, 0.3, 0.1, 0.03];
    let time = b.push(
        "time",
        [8, 1, 1],
        TimeProj {
            frequencies,
            cos_first: true,
            series: false,
        },
    );
    let table = b.weights(24, 1);
    let class = b.push("class", [8, 1, 1], ClassEmbed { table });
    let joined = b.conv("t.1", &[time], [8, 1, 1], 1, |c| c.addend = Some((class, 1.0)));
    let embedding = b.push("t.2", [8, 1, 1], Silu { src: joined });
    let first = b.conv("in", &[x], [4, 4, 4], 3, |_| {});
    let normed = b.norm("n.1", &[first], [4, 4, 4], |_| {});
    let vector = b.conv("t.3", &[embedding], [4, 1, 1], 1, |_| {});
    let shifted = b.conv("c.1", &[normed], [4, 4, 4], 3, |c| c.addend = Some((vector, 1.0)));
    let affine = b.conv("t.4", &[embedding], [8, 1, 1], 1, |_| {});
    let normed = b.norm("n.2", &[shifted], [4, 4, 4], |n| n.scale_shift = Some(affine));
    let top = b.conv("c.2", &[normed], [4, 4, 4], 3, |c| c.addend = Some((first, 0.5)));
    let down = b.conv("down", &[top], [4, 2, 2], 3, |c| c.stride = [2; 2]);
    let normed = b.norm("n.3", &[down], [4, 2, 2], |n| n.silu = false);
    let qkv = ["q", "k", "v"].map(|name| b.conv(name, &[normed], [4, 2, 2], 1, |_| {}));
    let attended = b.push("attention", [4, 2, 2], Attention { qkv, heads: 2 });
    let projected = b.conv("proj", &[attended], [4, 2, 2], 1, |c| c.addend = Some((down, 1.0)));
    let pooled = b.push("pool", [4, 2, 2], AvgPool { src: top });
    let middle = b.conv("mid", &[projected, pooled], [4, 2, 2], 1, |_| {});
    let grown = b.conv("up.1", &[middle], [4, 4, 4], 3, |c| c.upsample = true);
    let doubled = b.push("up.2", [4, 4, 4], Upsample { src: middle });
    let normed = b.norm("n.4", &[grown, doubled], [8, 4, 4], |_| {});
    b.conv("out", &[normed], [1, 4, 4], 3, |_| {});
    b.program
}

/// A model that is conditioned on a vector of five numbers from -0.5 to 2, which may be dropped, and on labels.
pub fn conditioned(form: Form) -> Vec<u8> {
    emitted(&conditioned_program(), &diffusion(), form).bytes
}

/// The same without labels and without a null condition.
pub fn unguided(form: Form) -> Vec<u8> {
    let mut program = conditioned_program();
    program.classes = 0;
    for op in &mut program.ops {
        match &mut op.kind {
            Kind::ClassEmbed(_) => {
                let frequencies = vec![0.9, 0.2, 0.11, 0.02];
                op.kind = TimeProj {
                    frequencies,
                    cos_first: false,
                    series: false,
                }
                .into();
            }
            Kind::Condition(condition) => condition.point = FixedPoint::of_range([-300.0, 1.0], None),
            _ => {}
        }
    }
    let diffusion = Diffusion {
        null_class: None,
        ..diffusion()
    };
    emitted(&program, &diffusion, form).bytes
}

fn conditioned_program() -> Program {
    let mut b = Builder {
        program: Program {
            classes: 3,
            sample: [2, 1, 6],
            ..Program::default()
        },
        random: Random(5),
    };
    let x = b.push("x", [2, 1, 6], Input::IDENTITY);
    let frequencies = vec![1.0, 0.3, 0.1, 0.03];
    let time = b.push(
        "time",
        [8, 1, 1],
        TimeProj {
            frequencies,
            cos_first: true,
            series: false,
        },
    );
    let table = b.weights(24, 1);
    let class = b.push("class", [8, 1, 1], ClassEmbed { table });
    let point = FixedPoint::of_range([-0.5, 2.0], Some(0.0));
    let given = b.push("given", [5, 1, 1], Condition { point });
    let joined = b.conv("t.1", &[time, given], [8, 1, 1], 1, |c| c.addend = Some((class, 1.0)));
    let embedding = b.push("t.2", [8, 1, 1], Silu { src: joined });
    let first = b.conv("in", &[x], [4, 1, 6], 3, |_| {});
    let affine = b.conv("t.3", &[embedding], [8, 1, 1], 1, |_| {});
    let normed = b.norm("n.1", &[first], [4, 1, 6], |n| n.scale_shift = Some(affine));
    let seen = b.conv("t.4", &[given], [4, 1, 1], 1, |_| {});
    let shifted = b.conv("c.1", &[normed], [4, 1, 6], 3, |c| c.addend = Some((seen, 1.0)));
    b.conv("out", &[shifted], [2, 1, 6], 3, |_| {});
    b.program
}

/// Appends operators.
struct Builder {
    program: Program,
    random: Random,
}

impl Builder {
    fn push(&mut self, name: &str, shape: [usize; 3], kind: impl Into<Kind>) -> SlotId {
        self.program.push_named(name, shape, kind)
    }

    fn weights(&mut self, count: usize, taps: usize) -> Vec<f32> {
        let size = libm::sqrtf(3.0 / taps as f32);
        (0..count).map(|_| self.random.unit() * size).collect()
    }

    fn channels(&self, source: &[SlotId]) -> usize {
        source.iter().map(|id| self.program.slot(*id).shape[0]).sum()
    }

    /// A convolution that keeps the extents unless `change` says otherwise.
    fn conv(
        &mut self,
        name: &str,
        source: &[SlotId],
        shape: [usize; 3],
        kernel: usize,
        change: impl Fn(&mut Conv),
    ) -> SlotId {
        let taps = kernel * kernel * self.channels(source);
        let mut conv = Conv {
            source: source.to_vec(),
            weight: self.weights(shape[0] * taps, taps),
            bias: self.weights(shape[0], 30),
            kernel: [kernel; 2],
            stride: [1; 2],
            pad: [kernel / 2; 4],
            upsample: false,
            addend: None,
            divisor: 1.0,
            groups: vec![],
            split: 1,
        };
        change(&mut conv);
        self.push(name, shape, conv)
    }

    /// A group normalization of two groups with SiLU unless `change` says otherwise.
    fn norm(&mut self, name: &str, source: &[SlotId], shape: [usize; 3], change: impl Fn(&mut Norm)) -> SlotId {
        let gamma = self.weights(shape[0], 30).iter().map(|v| 1.0 + v).collect();
        let beta = self.weights(shape[0], 30);
        let mut norm = Norm {
            silu: true,
            ..Norm::group(source.to_vec(), 2, 1e-5, gamma, beta)
        };
        change(&mut norm);
        self.push(name, shape, norm)
    }
}
