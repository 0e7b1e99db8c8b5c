//! The fused program: what the runtime executes, still in float. One [`Step`] here is one operator of the model file.

/// Index of a [`Slot`] in [`Program::slots`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId(pub usize);

/// One activation of shape `(channel, row, col)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Slot {
    /// Name of the graph value that it holds.
    pub name: String,
    /// `(channel, row, col)`.
    pub shape: [usize; 3],
}

impl Slot {
    /// Whether it is a vector over channels.
    pub fn is_vector(&self) -> bool {
        self.shape[1] * self.shape[2] == 1
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A convolution with what was fused into it.
#[derive(Debug, Clone, PartialEq)]
pub struct Conv {
    /// One input, or the two halves of a concatenation.
    pub source: Vec<SlotId>,
    /// `(out, row, col, in)`, divided by the divisor of a fused addition.
    pub weight: Vec<f32>,
    /// `(out)`, divided likewise.
    pub bias: Vec<f32>,
    /// Side of the kernel.
    pub kernel: usize,
    /// Step.
    pub stride: usize,
    /// Top, left, bottom, right.
    pub pad: [usize; 4],
    /// Reads through a nearest-neighbour x2.
    pub upsample: bool,
    /// A term and its factor, added to the output.
    pub addend: Option<(SlotId, f32)>,
    /// First timesteps of groups that have weights of their own, which then follow each other; empty where all share them.
    pub groups: Vec<u32>,
}

/// A group normalization with what was fused into it.
#[derive(Debug, Clone, PartialEq)]
pub struct Norm {
    /// One input, or the two halves of a concatenation.
    pub source: Vec<SlotId>,
    /// Number of groups.
    pub groups: usize,
    /// Added to the variance.
    pub eps: f64,
    /// A channel.
    pub gamma: Vec<f32>,
    /// A channel.
    pub beta: Vec<f32>,
    /// SiLU at the end.
    pub silu: bool,
    /// `y * (1 + v[..C]) + v[C..]`.
    pub scale_shift: Option<SlotId>,
}

/// What a step computes.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// `scale * x_t + shift`.
    Input {
        /// Factor.
        scale: f64,
        /// Offset.
        shift: f64,
    },
    /// Sinusoidal timestep features.
    TimeProj {
        /// Radians a timestep.
        frequencies: Vec<f64>,
        /// Cosines first.
        cos_first: bool,
    },
    /// Row `class` of a table `(classes, dim)`.
    ClassEmbed {
        /// The table.
        table: Vec<f32>,
    },
    /// SiLU alone.
    Silu {
        /// Input.
        src: SlotId,
    },
    /// Softmax over channels.
    Softmax {
        /// Input.
        src: SlotId,
    },
    /// Convolution or linear layer.
    Conv(Conv),
    /// Group normalization.
    Norm(Norm),
    /// Attention over positions.
    Attention {
        /// Queries, keys, values.
        qkv: [SlotId; 3],
        /// Number of heads.
        heads: usize,
    },
    /// Nearest-neighbour x2.
    Upsample {
        /// Input.
        src: SlotId,
    },
    /// Mean over 2x2 windows.
    AvgPool {
        /// Input.
        src: SlotId,
    },
}

/// One operator.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The checkpoint's module path.
    pub name: String,
    /// What is computed.
    pub kind: Kind,
    /// The slot written.
    pub out: SlotId,
}

impl Step {
    /// Slots read.
    pub fn inputs(&self) -> Vec<SlotId> {
        match &self.kind {
            Kind::Input { .. } | Kind::TimeProj { .. } | Kind::ClassEmbed { .. } => vec![],
            Kind::Silu { src } | Kind::Softmax { src } | Kind::Upsample { src } | Kind::AvgPool { src } => vec![*src],
            Kind::Conv(c) => c.source.iter().copied().chain(c.addend.map(|(id, _)| id)).collect(),
            Kind::Norm(n) => n.source.iter().copied().chain(n.scale_shift).collect(),
            Kind::Attention { qkv, .. } => qkv.to_vec(),
        }
    }

    /// Has it read other slots.
    pub fn rename(&mut self, renamed: impl Fn(SlotId) -> SlotId) {
        let change = |id: &mut SlotId| *id = renamed(*id);
        match &mut self.kind {
            Kind::Input { .. } | Kind::TimeProj { .. } | Kind::ClassEmbed { .. } => {}
            Kind::Silu { src } | Kind::Softmax { src } | Kind::Upsample { src } | Kind::AvgPool { src } => change(src),
            Kind::Conv(c) => {
                let addend = c.addend.iter_mut().map(|(id, _)| id);
                c.source.iter_mut().chain(addend).for_each(change);
            }
            Kind::Norm(n) => n.source.iter_mut().chain(&mut n.scale_shift).for_each(change),
            Kind::Attention { qkv, .. } => qkv.iter_mut().for_each(change),
        }
    }

    /// The input whose memory the output may take over, if formats and lifetimes allow.
    pub fn in_place(&self) -> Option<SlotId> {
        match &self.kind {
            Kind::Silu { src } => Some(*src),
            Kind::Conv(c) => c.addend.map(|(id, _)| id),
            Kind::Norm(n) if n.source.len() == 1 => Some(n.source[0]),
            Kind::Attention { qkv, .. } => Some(qkv[0]),
            _ => None,
        }
    }
}

/// A straight list of operators over single-assignment slots.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Program {
    /// Activations.
    pub slots: Vec<Slot>,
    /// Operators in execution order; the last writes the output.
    pub steps: Vec<Step>,
    /// Rows of the class embedding; 0 if there is none.
    pub classes: usize,
    /// Shape of the sample, `(channel, row, col)`.
    pub sample: [usize; 3],
    /// Slots that hold the same activation, computed a second time.
    pub again: Vec<[SlotId; 2]>,
}

impl Program {
    /// A slot.
    pub fn slot(&self, id: SlotId) -> &Slot {
        &self.slots[id.0]
    }

    /// Multiply-accumulates of a step.
    pub fn macs(&self, step: &Step) -> u64 {
        let out = self.slot(step.out);
        match &step.kind {
            Kind::Conv(c) => (out.shape[1] * out.shape[2] * c.weight.len() / c.groups.len().max(1)) as u64,
            Kind::Attention { .. } => 2 * ((out.shape[1] * out.shape[2]).pow(2) * out.shape[0]) as u64,
            _ => 0,
        }
    }
}
