//! What a value of the program is while it is read, and a node's arguments by name.

use super::curves::Curve;
use super::net::Result;
use super::program::Node;
use super::schema::Argument;
use super::tensor::{Kind, Tensor};
use super::view::View;
use super::waves::Waves;

/// A value of the program.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// Known numbers.
    Constant(Tensor),
    /// A function of the timestep.
    Waves(Waves),
    /// Any other function of the timestep.
    Curve(Curve),
    /// An activation.
    Activation(View),
    /// The class label, and its extents.
    Label(Vec<usize>),
}

impl Value {
    /// Extents.
    pub fn sizes(&self) -> Vec<usize> {
        match self {
            Self::Constant(tensor) => tensor.sizes.clone(),
            Self::Waves(waves) => waves.sizes.clone(),
            Self::Curve(curve) => curve.sizes.clone(),
            Self::Activation(view) => view.sizes(),
            Self::Label(sizes) => sizes.clone(),
        }
    }

    /// An activation, or what it is instead.
    pub fn activation(&self) -> Result<&View> {
        match self {
            Self::Activation(view) => Ok(view),
            Self::Constant(_) => Err("its input is a constant, and is not folded by it".to_string()),
            Self::Waves(_) | Self::Curve(_) => Err("its input is a function of the timestep, of which this operator is not known: export the network inside, where this scales samples by the noise level".to_string()),
            Self::Label(_) => Err("its input is the class label, which only an embedding reads".to_string()),
        }
    }

    /// The numbers of a constant.
    pub fn constant(&self) -> Result<&Tensor> {
        match self {
            Self::Constant(tensor) => Ok(tensor),
            _ => Err("an argument is computed from the network's inputs and must be a constant".to_string()),
        }
    }
}

impl Node {
    /// The argument `name`, where it is given and not none.
    pub fn argument(&self, name: &str) -> Option<&Argument> {
        let (_, argument) = self.arguments.iter().find(|(own, _)| own == name)?;
        (argument.as_none != Some(true)).then_some(argument)
    }

    /// A whole number.
    pub fn int(&self, name: &str) -> Option<i64> {
        let argument = self.argument(name)?;
        argument.as_int.or_else(|| argument.as_sym_int.as_ref()?.as_int)
    }

    /// A whole number, or `default`; of any other kind it is refused.
    pub fn int_or(&self, name: &str, default: i64) -> Result<i64> {
        match self.argument(name) {
            None => Ok(default),
            Some(_) => self
                .int(name)
                .ok_or_else(|| format!("its argument `{name}` is no whole number")),
        }
    }

    /// Whole numbers.
    pub fn ints(&self, name: &str) -> Result<Option<Vec<i64>>> {
        let Some(argument) = self.argument(name) else {
            return Ok(None);
        };
        let dynamic = || argument.as_sym_ints.as_ref()?.iter().map(|size| size.as_int).collect();
        let one = || Some(vec![self.int(name)?]);
        let list: Option<Vec<i64>> = argument.as_ints.clone().or_else(dynamic).or_else(one);
        list.map(Some)
            .ok_or_else(|| format!("its argument `{name}` is no list of whole numbers"))
    }

    /// A number, whole or not.
    pub fn number(&self, name: &str) -> Option<f64> {
        let argument = self.argument(name)?;
        let float = || argument.as_float.as_ref().map(super::schema::Number::value);
        let truth = || argument.as_bool.map(f64::from);
        argument.as_int.map(|v| v as f64).or_else(float).or_else(truth)
    }

    /// A number, or `default`.
    pub fn number_or(&self, name: &str, default: f64) -> Result<f64> {
        match self.argument(name) {
            None => Ok(default),
            Some(_) => {
                let number = self.number(name).filter(|v| v.is_finite());
                number.ok_or_else(|| format!("its argument `{name}` is no finite number"))
            }
        }
    }

    /// A truth value; false where it is not given.
    pub fn flag(&self, name: &str) -> bool {
        self.argument(name)
            .and_then(|argument| argument.as_bool)
            .unwrap_or(false)
    }

    /// A text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.argument(name)?.as_string.as_deref()
    }

    /// The type that the argument `dtype` names.
    pub fn kind(&self, name: &str) -> Option<Kind> {
        Kind::of(self.argument(name)?.as_scalar_type?)
    }

    /// The name of a tensor.
    pub fn tensor(&self, name: &str) -> Option<&str> {
        Some(&self.argument(name)?.as_tensor.as_ref()?.name)
    }
}

/// The axis that `dim` means among `rank`, from the end where it is negative.
pub(super) fn axis(dim: i64, rank: usize) -> Result<usize> {
    let at = if dim < 0 { dim + rank as i64 } else { dim };
    match usize::try_from(at) {
        Ok(at) if at < rank => Ok(at),
        _ => Err(format!("it names axis {dim} of a tensor of {rank} axes")),
    }
}
