//! A network of normalized radial basis functions with a readout for every step.

use candle_core::{D, DType, Device, Result, Tensor, Var};

use super::random::Random;

/// `softmax over units of -|x - c|^2 / (2 s^2)`, then a linear readout. The width s is shared, so that `|x|^2` cancels: the units are the
/// softmax of a linear layer.
#[derive(Debug)]
pub struct Rbf {
    /// `(unit, D)`.
    pub centres: Var,
    /// log s.
    pub log_width: Var,
    /// `(step, unit, out)`.
    pub readout: Var,
    /// `(step, 1, out)`.
    pub bias: Var,
}

impl Rbf {
    /// Centres at the rows `(unit, D)`, and `steps` readouts near 0; the first, whose step is fixed, is 0.
    pub fn new(centres: &Tensor, steps: usize, outputs: usize, width: f64, random: &mut Random) -> Result<Self> {
        let units = centres.dim(0)?;
        let values: Vec<f64> = (0..steps * units * outputs).map(|_| random.normal() * 1e-2).collect();
        let values: Vec<f64> = core::iter::repeat_n(0.0, units * outputs)
            .chain(values.into_iter().skip(units * outputs))
            .collect();
        let readout = Tensor::from_vec(values, (steps, units, outputs), &Device::Cpu)?;
        Ok(Self {
            centres: Var::from_tensor(centres)?,
            log_width: Var::from_tensor(&Tensor::new(libm::log(width), &Device::Cpu)?)?,
            readout: Var::from_tensor(&readout)?,
            bias: Var::zeros((steps, 1, outputs), DType::F64, &Device::Cpu)?,
        })
    }

    /// Every variable.
    pub fn vars(&self) -> Vec<Var> {
        [&self.centres, &self.log_width, &self.readout, &self.bias]
            .map(Var::clone)
            .to_vec()
    }

    /// The linear layer under the softmax: weight `(D, unit)` and bias `(1, unit)`.
    pub fn linear(&self) -> Result<(Tensor, Tensor)> {
        let precision = (self.log_width.as_tensor() * -2.0)?.exp()?;
        let weight = self.centres.t()?.broadcast_mul(&precision)?;
        let norms = self.centres.sqr()?.sum(1)?.unsqueeze(0)?;
        Ok((weight, (norms.broadcast_mul(&precision)? * -0.5)?))
    }

    /// The units' values for `(step, n, D)`: `(step, n, unit)`.
    pub fn units(&self, x: &Tensor) -> Result<Tensor> {
        let (weight, bias) = self.linear()?;
        let (steps, rows, size) = x.dims3()?;
        let scores = x.reshape((steps * rows, size))?.matmul(&weight)?.broadcast_add(&bias)?;
        // The maximum cancels: it carries no gradient.
        let e = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?.detach())?.exp()?;
        let units = e.broadcast_div(&e.sum_keepdim(D::Minus1)?)?;
        units.reshape((steps, rows, ()))
    }

    /// Outputs `(step, n, out)` for `(step, n, D)`, one readout a step.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.units(x)?.matmul(&self.readout)?.broadcast_add(&self.bias)
    }

    /// Outputs `(1, n, out)` for `(1, n, D)` of one readout.
    pub fn read(&self, x: &Tensor, step: usize) -> Result<Tensor> {
        self.units(x)?
            .matmul(&self.readout.narrow(0, step, 1)?)?
            .broadcast_add(&self.bias.narrow(0, step, 1)?)
    }
}
