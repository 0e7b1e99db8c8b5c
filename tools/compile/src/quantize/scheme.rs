//! The schemes a user can ask for, as an assignment of number formats to tensors.

use std::fmt;
use std::str::FromStr;

use mote_runtime::internals::tensor::Dtype;

use crate::ops::Kind;
use crate::program::{FusedOp, Program};

/// What `--scheme` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Precision chosen a tensor, from measured sensitivity.
    Auto,
    /// f16 storage, f32 arithmetic.
    F16,
    /// int16 weights, int16 activations.
    W16A16,
    /// int8 weights (int16 in the first and last convolution), int16 activations.
    W8A16,
    /// int8 weights (int16 in the first and last convolution), int8 activations.
    W8A8,
    /// int4 weights (int8 and int16 where they matter most), int16 activations.
    W4A16,
    /// int4 weights (int8 and int16 where they matter most), int8 activations.
    W4A8,
}

impl Scheme {
    /// Every scheme, in the order of the help text.
    pub const ALL: [Self; 7] = [
        Self::Auto,
        Self::F16,
        Self::W16A16,
        Self::W8A16,
        Self::W8A8,
        Self::W4A16,
        Self::W4A8,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::F16 => "f16",
            Self::W16A16 => "w16a16",
            Self::W8A16 => "w8a16",
            Self::W8A8 => "w8a8",
            Self::W4A16 => "w4a16",
            Self::W4A8 => "w4a8",
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Scheme {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|scheme| scheme.name() == s);
        found.ok_or_else(|| format!("unknown scheme '{s}'; choose auto, f16, w16a16, w8a16, w8a8, w4a16 or w4a8"))
    }
}

/// Width of an integer tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bits {
    /// int4: weights only.
    Four,
    /// int8.
    Eight,
    /// int16.
    Sixteen,
}

impl Bits {
    /// The name of the number format.
    pub fn name(self) -> &'static str {
        match self {
            Self::Four => "int4",
            Self::Eight => "int8",
            Self::Sixteen => "int16",
        }
    }
}

/// A width for every activation and every weight tensor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assignment {
    /// By slot.
    pub activations: Vec<Bits>,
    /// By operator; read for convolutions only.
    pub weights: Vec<Bits>,
}

impl Assignment {
    /// Storage of every slot; the output is Q24.
    pub fn dtypes(&self) -> Vec<Dtype> {
        let dtype = |bits: &Bits| if *bits == Bits::Eight { Dtype::I8 } else { Dtype::I16 };
        let mut dtypes: Vec<Dtype> = self.activations.iter().map(dtype).collect();
        if let Some(output) = dtypes.last_mut() {
            *output = Dtype::Q24;
        }
        dtypes
    }

    /// One width for all activations, but for those that are fixed.
    pub fn uniform(program: &Program, activations: Bits) -> Self {
        let slots = program.ops.iter().map(|op| {
            if is_fixed(program, op) {
                Bits::Sixteen
            } else {
                activations
            }
        });
        Self {
            activations: slots.collect(),
            weights: weights(program),
        }
    }
}

/// Activations that stay at 16 bits in every scheme: the network's input, and the timestep and class vectors, which are small.
pub fn is_fixed(program: &Program, op: &FusedOp) -> bool {
    matches!(op.kind, Kind::Input(_)) || program.slot(op.out).is_vector()
}

/// int16 for the operators that read the sample or write the output, and for series of the timestep; int8 for all others.
fn weights(program: &Program) -> Vec<Bits> {
    let outputs = program.outputs();
    let width = |(i, op): (usize, &FusedOp)| {
        if outputs.contains(&i) || program.reads_sample(op) || program.reads_series(op) {
            Bits::Sixteen
        } else {
            Bits::Eight
        }
    };
    program.ops.iter().enumerate().map(width).collect()
}
