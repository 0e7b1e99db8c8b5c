//! A multilayer perceptron whose hidden layers are shared by all steps and whose readout belongs to a group of steps.

use candle_core::{DType, Device, Result, Tensor, Var};

use super::random::Random;

/// Linear layers with SiLU between, and a readout a group.
#[derive(Debug)]
pub struct Mlp {
    /// `(in, out)` and `(out)` of every hidden layer.
    pub hidden: Vec<(Var, Var)>,
    /// `(group, in, out)` of the readouts.
    pub readout: Var,
    /// `(group, 1, out)`.
    pub bias: Var,
}

impl Mlp {
    /// Random hidden layers of `widths` (inputs first) and `groups` readouts of `outputs` that give 0.
    pub fn new(widths: &[usize], groups: usize, outputs: usize, random: &mut Random) -> Result<Self> {
        let var = |t: Tensor| Var::from_tensor(&t);
        let hidden = widths.windows(2).map(|w| {
            let size = libm::sqrt(2.0 / w[0] as f64);
            let values: Vec<f32> = (0..w[0] * w[1]).map(|_| (random.normal() * size) as f32).collect();
            let weight = Tensor::from_vec(values, (w[0], w[1]), &Device::Cpu)?;
            Ok((var(weight)?, Var::zeros(w[1], DType::F32, &Device::Cpu)?))
        });
        let hidden = hidden.collect::<Result<Vec<_>>>()?;
        let last = widths.last().copied().unwrap_or(0);
        Ok(Self {
            hidden,
            readout: Var::zeros((groups, last, outputs), DType::F32, &Device::Cpu)?,
            bias: Var::zeros((groups, 1, outputs), DType::F32, &Device::Cpu)?,
        })
    }

    /// Every variable.
    pub fn vars(&self) -> Vec<Var> {
        let hidden = self.hidden.iter().flat_map(|(w, b)| [w.clone(), b.clone()]);
        hidden.chain([self.readout.clone(), self.bias.clone()]).collect()
    }

    /// Features `(rows, last)` of inputs `(rows, first)`.
    pub fn features(&self, x: &Tensor) -> Result<Tensor> {
        let mut h = x.clone();
        for (weight, bias) in &self.hidden {
            h = h.matmul(weight)?.broadcast_add(bias)?.silu()?;
        }
        Ok(h)
    }

    /// Outputs `(group, rows of it, out)` of inputs `(rows, first)` whose rows are those of the groups, one group after the other.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let h = self.features(x)?;
        let (rows, width) = h.dims2()?;
        let groups = self.readout.dim(0)?;
        h.reshape((groups, rows / groups, width))?
            .matmul(&self.readout)?
            .broadcast_add(&self.bias)
    }

    /// Outputs `(rows, out)` of features `(rows, last)` at the steps of one group.
    pub fn read(&self, features: &Tensor, group: usize) -> Result<Tensor> {
        features
            .matmul(&self.readout.get(group)?)?
            .broadcast_add(&self.bias.get(group)?)
    }
}
