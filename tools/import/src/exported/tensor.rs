//! A tensor whose numbers are known: a parameter, a buffer, or what is computed from them alone.

use super::view::View;
use half::{bf16, f16};
use std::rc::Rc;

/// The type of an element, as far as it changes what is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    U8,
    I8,
    I16,
    I32,
    I64,
    F16,
    F32,
    F64,
    Bool,
    Bf16,
}

impl Kind {
    /// The type of that number in the schema.
    pub fn of(number: i64) -> Option<Self> {
        Some(match number {
            1 => Self::U8,
            2 => Self::I8,
            3 => Self::I16,
            4 => Self::I32,
            5 => Self::I64,
            6 => Self::F16,
            7 => Self::F32,
            8 => Self::F64,
            12 => Self::Bool,
            13 => Self::Bf16,
            _ => return None,
        })
    }

    /// The number of the type in the schema.
    pub fn number(self) -> i64 {
        match self {
            Self::U8 => 1,
            Self::I8 => 2,
            Self::I16 => 3,
            Self::I32 => 4,
            Self::I64 => 5,
            Self::F16 => 6,
            Self::F32 => 7,
            Self::F64 => 8,
            Self::Bool => 12,
            Self::Bf16 => 13,
        }
    }

    /// Whether it holds fractions.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F16 | Self::F32 | Self::F64 | Self::Bf16)
    }

    /// Of a result of two operands, numbers of a rank above 0 both.
    pub fn with(self, other: Self) -> Self {
        let rank = |kind: Self| match kind {
            Self::Bool => 0,
            Self::U8 | Self::I8 => 1,
            Self::I16 => 2,
            Self::I32 => 3,
            Self::I64 => 4,
            Self::F16 | Self::Bf16 => 5,
            Self::F32 => 6,
            Self::F64 => 7,
        };
        if rank(self) < rank(other) { other } else { self }
    }

    /// `value` as the type stores it.
    pub fn round(self, value: f64) -> f64 {
        match self {
            Self::F64 => value,
            Self::F32 => f64::from(value as f32),
            Self::F16 => f16::from_f64(value).to_f64(),
            Self::Bf16 => bf16::from_f64(value).to_f64(),
            Self::Bool => f64::from(value != 0.0),
            _ => value.trunc(),
        }
    }

    /// Bytes of an element.
    pub fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::I16 | Self::F16 | Self::Bf16 => 2,
            Self::I32 | Self::F32 => 4,
            Self::I64 | Self::F64 => 8,
        }
    }
}

/// Numbers in row-major order.
#[derive(Debug, Clone)]
pub(crate) struct Tensor {
    pub kind: Kind,
    pub sizes: Vec<usize>,
    pub data: Rc<[f64]>,
    /// The same where no step of the way is rounded to the type: what a network in f64 would have.
    pub exact: Rc<[f64]>,
    /// The same as PyTorch's x86 builds round it, where an exponential in f32 is on the way. Models are not made of these numbers.
    pub library: Option<Rc<[f64]>>,
    /// Its name in the module, where it is stored and shown whole: parameters are named so.
    pub key: Option<String>,
}

impl Tensor {
    /// Most elements of a tensor.
    pub const MOST: usize = 1 << 26;

    /// A tensor of `data`.
    pub fn new(kind: Kind, sizes: Vec<usize>, data: impl Into<Rc<[f64]>>) -> Self {
        let data: Rc<[f64]> = data.into();
        Self {
            kind,
            sizes,
            exact: data.clone(),
            data,
            library: None,
            key: None,
        }
    }

    /// The numbers as PyTorch's x86 builds round them.
    pub fn library(&self) -> &[f64] {
        self.library.as_deref().unwrap_or(&self.data)
    }

    /// With numbers that were not rounded on the way.
    pub fn exactly(self, exact: impl Into<Rc<[f64]>>) -> Self {
        Self {
            exact: exact.into(),
            ..self
        }
    }

    /// A single number of no axes.
    pub fn number(kind: Kind, value: f64) -> Self {
        Self::new(kind, vec![], vec![value])
    }

    /// What lies in `bytes`, with strides and offset in elements.
    pub fn stored(
        kind: Kind,
        sizes: Vec<usize>,
        strides: &[usize],
        offset: usize,
        bytes: &[u8],
    ) -> Result<Self, String> {
        let last = sizes.iter().zip(strides).try_fold(offset, |at, (size, stride)| {
            at.checked_add(size.saturating_sub(1).checked_mul(*stride)?)
        });
        let held = bytes.len() / kind.bytes();
        let count: usize = sizes.iter().product();
        if count > 0 && last.is_none_or(|last| last >= held) {
            return Err(format!(
                "of extents {sizes:?} and strides {strides:?} lies outside of its {} bytes",
                bytes.len()
            ));
        }
        let view = View::strided(0, offset, &sizes, strides);
        let data: Vec<f64> = view
            .offsets()
            .map(|at| element(kind, &bytes[at * kind.bytes()..]))
            .collect();
        Ok(Self::new(kind, sizes, data))
    }

    /// The numbers that `view` shows of this tensor.
    pub fn shown(&self, view: &View) -> Self {
        let pick = |numbers: &Rc<[f64]>| -> Vec<f64> { view.offsets().map(|at| numbers[at]).collect() };
        let data = pick(&self.data);
        let same = data.len() == self.data.len() && view.offsets().eq(0..data.len());
        let shown = Self {
            key: self.key.clone().filter(|_| same),
            ..Self::new(self.kind, view.sizes(), data)
        };
        if Rc::ptr_eq(&self.data, &self.exact) {
            shown
        } else {
            let library = self.library.as_ref().map(|numbers| pick(numbers).into());
            Self {
                library,
                ..shown.exactly(pick(&self.exact))
            }
        }
    }

    /// As f32, in order.
    pub fn floats(&self) -> Result<Vec<f32>, String> {
        let values: Vec<f32> = self.data.iter().map(|v| *v as f32).collect();
        match values.iter().position(|v| !v.is_finite()) {
            None => Ok(values),
            Some(at) => Err(format!(
                "tensor `{}` holds {} at element {at}; the training run has diverged or the file is damaged",
                mote_graph::config::printable(self.key.as_deref().unwrap_or("constant")),
                self.data[at]
            )),
        }
    }

    /// What `floats`, which are these numbers, leave of what the network in f64 would have; `None` where they leave nothing.
    pub fn rest(&self, floats: &[f32]) -> Option<Vec<f32>> {
        let rest: Vec<f32> = self
            .exact
            .iter()
            .zip(floats)
            .map(|(v, f)| (v - f64::from(*f)) as f32)
            .collect();
        rest.iter().any(|v| *v != 0.0 && v.is_finite()).then_some(rest)
    }

    /// Its only number.
    pub fn scalar(&self) -> Option<f64> {
        let first = *self.data.first()?;
        self.data.iter().all(|v| *v == first).then_some(first)
    }
}

fn element(kind: Kind, bytes: &[u8]) -> f64 {
    fn word<const N: usize>(bytes: &[u8]) -> [u8; N] {
        bytes.first_chunk().copied().unwrap_or([0; N])
    }
    match kind {
        Kind::U8 => f64::from(word::<1>(bytes)[0]),
        Kind::Bool => f64::from(word::<1>(bytes)[0] != 0),
        Kind::I8 => f64::from(i8::from_le_bytes(word(bytes))),
        Kind::I16 => f64::from(i16::from_le_bytes(word(bytes))),
        Kind::I32 => f64::from(i32::from_le_bytes(word(bytes))),
        Kind::I64 => i64::from_le_bytes(word(bytes)) as f64,
        Kind::F16 => f16::from_le_bytes(word(bytes)).to_f64(),
        Kind::Bf16 => bf16::from_le_bytes(word(bytes)).to_f64(),
        Kind::F32 => f64::from(f32::from_le_bytes(word(bytes))),
        Kind::F64 => f64::from_le_bytes(word(bytes)),
    }
}
