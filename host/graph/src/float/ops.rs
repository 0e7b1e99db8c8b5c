//! One formula an operator, on tensors of shape `(batch, channel, row, col)`. All are differentiable.

use super::conv::conv;
use crate::graph::{Op, ops};
use candle_core::{D, Result, Tensor};
use std::collections::BTreeMap;

/// Applies an operator that has inputs; `Sample`, `TimeProj` and `ClassEmbed` are the executor's own.
pub(super) fn apply(op: &Op, inputs: &[&Tensor], params: &BTreeMap<String, Tensor>) -> Result<Tensor> {
    match (op, inputs) {
        (Op::Affine(ops::Affine { scale, shift }), [x]) => x.affine(*scale, *shift),
        (
            Op::Conv(ops::Conv {
                weight,
                bias,
                kernel,
                stride,
                pad,
            }),
            [x],
        ) => {
            let weight = param(params, weight)?;
            let weight = weight.reshape((weight.dim(0)?, x.dim(1)?, *kernel, *kernel))?;
            let y = conv(x, &weight, *stride, *pad)?;
            match bias {
                Some(bias) => y.broadcast_add(&column(param(params, bias)?)?),
                None => Ok(y),
            }
        }
        (
            Op::GroupNorm(ops::GroupNorm {
                groups,
                eps,
                weight,
                bias,
            }),
            [x],
        ) => {
            let y = group_norm(x, *groups, *eps)?;
            y.broadcast_mul(&column(param(params, weight)?)?)?
                .broadcast_add(&column(param(params, bias)?)?)
        }
        (Op::Silu(_), [x]) => x.silu(),
        (Op::Add(ops::Add { divisor }), [a, b]) if *divisor == 1.0 => a.add(b),
        (Op::Add(ops::Add { divisor }), [a, b]) => a.add(b)? / *divisor,
        (Op::AddChannel(_), [a, v]) => a.broadcast_add(v),
        (Op::ScaleShift(_), [a, v]) => {
            let channels = a.dim(1)?;
            let factor = v.narrow(1, 0, channels)?.affine(1.0, 1.0)?;
            a.broadcast_mul(&factor)?
                .broadcast_add(&v.narrow(1, channels, channels)?)
        }
        (Op::Concat(ops::Concat), inputs) => Tensor::cat(inputs, 1),
        (Op::Upsample2(_), [x]) => {
            let (_, _, h, w) = x.dims4()?;
            // The library's gradient of an upsampling replaces what other readers of its input gave: let it be the only one.
            let x = x.affine(1.0, 0.0)?;
            x.upsample_nearest2d(2 * h, 2 * w)
        }
        (Op::AvgPool2(_), [x]) => x.avg_pool2d(2),
        (Op::Attention(ops::Attention { heads }), [q, k, v]) => attention(q, k, v, *heads),
        (op, inputs) => candle_core::bail!("{op:?} does not take {} inputs", inputs.len()),
    }
}

fn param<'a>(params: &'a BTreeMap<String, Tensor>, key: &str) -> Result<&'a Tensor> {
    params
        .get(key)
        .ok_or_else(|| candle_core::Error::Msg(format!("parameter `{key}` is missing")))
}

/// A vector a channel as `(1, channel, 1, 1)`.
fn column(v: &Tensor) -> Result<Tensor> {
    v.reshape((1, v.elem_count(), 1, 1))
}

/// Mean 0 and variance 1 over each group of channels (Wu and He 2018, eq. 1); the variance is the biased one.
fn group_norm(x: &Tensor, groups: usize, eps: f64) -> Result<Tensor> {
    let shape = x.dims4()?;
    let x = x.reshape((shape.0, groups, shape.1 / groups * shape.2 * shape.3))?;
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    centred
        .broadcast_div(&variance.affine(1.0, eps)?.sqrt()?)?
        .reshape(shape)
}

/// Scaled dot-product attention over positions (Vaswani et al. 2017, eq. 1), a contiguous range of channels a head.
fn attention(q: &Tensor, k: &Tensor, v: &Tensor, heads: usize) -> Result<Tensor> {
    let (batch, channels, rows, cols) = q.dims4()?;
    let (depth, positions) = (channels / heads, rows * cols);
    let split = |x: &Tensor| x.contiguous()?.reshape((batch, heads, depth, positions));
    let (q, k, v) = (split(q)?, split(k)?, split(v)?);
    let scores = (q.transpose(2, 3)?.contiguous()?.matmul(&k)? / (depth as f64).sqrt())?;
    let weights = softmax(&scores)?;
    v.matmul(&weights.transpose(2, 3)?.contiguous()?)?
        .reshape((batch, channels, rows, cols))
}

fn softmax(x: &Tensor) -> Result<Tensor> {
    let powers = x.broadcast_sub(&x.max_keepdim(D::Minus1)?)?.exp()?;
    powers.broadcast_div(&powers.sum_keepdim(D::Minus1)?)
}
