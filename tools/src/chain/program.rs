//! A chain's network as a list of steps, and its schedule.

use candle_core::{DType, Result, Tensor};
use mote_host::chain::gaussian::Gaussian;
use mote_host::chain::heartbeat::{Heartbeat, LENGTH};
use mote_host::chain::swiss_roll::{STEPS, SwissRoll, UNITS};
use mote_runtime::schedule::coefficients::{Clip, Prediction};
use mote_runtime::schedule::spacing::Spacing;

use super::files::Chain;
use crate::emit::Diffusion;
use crate::ops::{Conv, Input, Kind, Silu, Softmax};
use crate::program::{Program, SlotId};

/// The network: inputs are what the sampler holds, the last step's output is what its reverse kernel takes.
pub fn program(chain: &Chain) -> Result<Program> {
    match chain {
        Chain::Heartbeat(h) => heartbeat(h),
        Chain::SwissRoll(s) => swiss_roll(s),
    }
}

/// Schedule and kind of chain.
pub fn diffusion(chain: &Chain) -> Result<Diffusion> {
    let (alpha_bars, prediction) = match chain {
        Chain::Heartbeat(h) => {
            let prior_q31 = libm::round(h.chain.prior * 2_147_483_648.0) as u32;
            (h.chain.alpha[1..].to_vec(), Prediction::Bits { prior_q31 })
        }
        Chain::SwissRoll(s) => (alpha_bars(&s.chain)?, Prediction::Kernel),
    };
    Ok(Diffusion {
        train_steps: alpha_bars.len() as u32,
        alpha_bars,
        final_alpha_bar: 1.0,
        prediction,
        clip: Clip::Off,
        clip_range: 1.0,
        schedule: Spacing::Trailing.into(),
        steps_offset: 0,
        null_class: None,
    })
}

fn alpha_bars(chain: &Gaussian) -> Result<Vec<f64>> {
    chain.kernels()?.alpha_bar.flatten_all()?.to_vec1()
}

fn heartbeat(h: &Heartbeat) -> Result<Program> {
    let mut b = Builder::new(LENGTH);
    let mut last = b.input();
    for (i, (weight, bias)) in h.mlp.hidden.iter().enumerate() {
        let linear = b.linear(
            &format!("hidden.{i}"),
            last,
            &[weight.as_tensor().clone()],
            &[bias.as_tensor().clone()],
            vec![],
        )?;
        last = b.push(&format!("hidden.{i}.act"), b.channels(linear), Silu { src: linear });
    }
    // The first group is step 1, which is not learned: outputs of 0.
    let groups = h.groups.len();
    let zero = (h.mlp.readout.get(0)?.zeros_like()?, h.mlp.bias.get(0)?.zeros_like()?);
    let of = |g: usize| match g {
        0 => Ok(zero.clone()),
        g => Ok((h.mlp.readout.get(g - 1)?, h.mlp.bias.get(g - 1)?)),
    };
    let tables: Vec<(Tensor, Tensor)> = (0..groups).map(of).collect::<Result<_>>()?;
    let (weights, biases): (Vec<_>, Vec<_>) = tables.into_iter().unzip();
    let first = h.groups.iter().map(|step| *step as u32 - 1).collect();
    b.linear("readout", last, &weights, &biases, first)?;
    Ok(b.program)
}

fn swiss_roll(s: &SwissRoll) -> Result<Program> {
    let mut b = Builder::new(2);
    let x = b.input();
    let (weight, bias) = s.rbf.linear()?;
    let scores = b.linear("rbf", x, &[weight], &[bias], vec![])?;
    let units = b.push("rbf.softmax", UNITS, Softmax { src: scores });
    // The variance is `sigmoid(v + logit(beta))`: the logit goes into the bias.
    let betas = s.chain.betas()?;
    let bias = |t: usize| -> Result<Tensor> {
        let logit = libm::log(betas[t] / (1.0 - betas[t]));
        let shift = Tensor::new(&[0.0, 0.0, logit, logit], s.rbf.bias.device())?;
        s.rbf.bias.get(t)?.flatten_all()? + shift
    };
    let weights: Vec<Tensor> = (0..STEPS).map(|t| s.rbf.readout.get(t)).collect::<Result<_>>()?;
    let biases: Vec<Tensor> = (0..STEPS).map(bias).collect::<Result<_>>()?;
    b.linear("readout", units, &weights, &biases, (0..STEPS as u32).collect())?;
    Ok(b.program)
}

/// Appends operators.
struct Builder {
    program: Program,
}

impl Builder {
    fn new(channels: usize) -> Self {
        Self {
            program: Program {
                sample: [channels, 1, 1],
                ..Program::default()
            },
        }
    }

    fn push(&mut self, name: &str, channels: usize, kind: impl Into<Kind>) -> SlotId {
        self.program.push_named(name, [channels, 1, 1], kind)
    }

    fn channels(&self, slot: SlotId) -> usize {
        self.program.slot(slot).shape[0]
    }

    fn input(&mut self) -> SlotId {
        self.push("input", self.program.sample[0], Input::IDENTITY)
    }

    /// A linear layer, of weights `(in, out)` and biases of `out` values for each group of timesteps.
    fn linear(
        &mut self,
        name: &str,
        source: SlotId,
        weights: &[Tensor],
        biases: &[Tensor],
        groups: Vec<u32>,
    ) -> Result<SlotId> {
        let (mut weight, mut bias): (Vec<f32>, Vec<f32>) = (vec![], vec![]);
        for (w, b) in weights.iter().zip(biases) {
            weight.extend(
                w.t()?
                    .contiguous()?
                    .to_dtype(DType::F32)?
                    .flatten_all()?
                    .to_vec1::<f32>()?,
            );
            bias.extend(b.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?);
        }
        let outs = bias.len() / groups.len().max(1);
        let conv = Conv {
            source: vec![source],
            weight,
            bias,
            kernel: 1,
            stride: 1,
            pad: [0; 4],
            upsample: false,
            addend: None,
            divisor: 1.0,
            groups,
        };
        Ok(self.push(name, outs, conv))
    }
}
