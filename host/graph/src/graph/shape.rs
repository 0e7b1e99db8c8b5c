//! Shape inference: the one definition of what each operator accepts and gives.

use super::{GraphError, Op, Param};
use std::collections::BTreeMap;

/// Largest activation, in elements a sample. A microcontroller holds a few hundred thousand; this only stops absurdity.
pub(super) const MAX_ELEMENTS: usize = 1 << 28;

type Shape = [usize; 3];

/// Gives the output shape `(channel, row, col)` of `op` on `inputs`, or says what does not fit.
///
/// `Sample` has no shape of its own: pass the sample's shape as `sample`.
pub(super) fn infer(
    node: &str,
    op: &Op,
    inputs: &[Shape],
    params: &BTreeMap<String, Param>,
    sample: Option<Shape>,
) -> Result<Shape, GraphError> {
    let cx = Cx { node, params };
    let out = match op {
        Op::Sample => {
            cx.count(inputs, 0)?;
            sample.unwrap_or([0, 0, 0])
        }
        Op::TimeProj { dim, freq_shift, .. } => {
            cx.count(inputs, 0)?;
            cx.require(dim % 2 == 0, "the number of timestep features", "even", dim)?;
            let divisor = *dim as f64 / 2.0 - freq_shift;
            cx.require(divisor != 0.0, "dim / 2 - freq_shift", "other than 0", divisor)?;
            [*dim, 1, 1]
        }
        Op::ClassEmbed { weight } => {
            cx.count(inputs, 0)?;
            let table = cx.param(weight)?;
            cx.require(table.shape.len() == 2, "the class table's rank", "2", table.shape.len())?;
            [table.shape[1], 1, 1]
        }
        Op::Conv {
            weight,
            bias,
            kernel,
            stride,
            pad,
        } => cx.conv(one(&cx, inputs)?, weight, bias.as_deref(), *kernel, *stride, *pad)?,
        Op::GroupNorm {
            groups, weight, bias, ..
        } => {
            let x = one(&cx, inputs)?;
            cx.require(
                *groups > 0 && x[0] % groups == 0,
                "the number of groups",
                &divisor_of(x[0]),
                groups,
            )?;
            cx.vector(weight, x[0])?;
            cx.vector(bias, x[0])?;
            x
        }
        Op::Affine { .. } | Op::Silu => one(&cx, inputs)?,
        Op::Add { divisor } => {
            let [a, b] = two(&cx, inputs)?;
            cx.same("the second term's shape", a, b)?;
            cx.require(
                *divisor != 0.0 && divisor.is_finite(),
                "the divisor",
                "finite and not 0",
                divisor,
            )?;
            a
        }
        Op::AddChannel => {
            let [a, v] = two(&cx, inputs)?;
            cx.same("the vector's shape", [a[0], 1, 1], v)?;
            a
        }
        Op::ScaleShift => {
            let [a, v] = two(&cx, inputs)?;
            cx.same("the scale-and-shift vector's shape", [2 * a[0], 1, 1], v)?;
            a
        }
        Op::Concat => cx.concat(inputs)?,
        Op::Upsample2 => {
            let [c, h, w] = one(&cx, inputs)?;
            [c, 2 * h, 2 * w]
        }
        Op::AvgPool2 => {
            let [c, h, w] = one(&cx, inputs)?;
            cx.require(h % 2 == 0 && w % 2 == 0, "rows and columns", "even", format!("{h}x{w}"))?;
            [c, h / 2, w / 2]
        }
        Op::Attention { heads } => cx.attention(inputs, *heads)?,
    };
    cx.size("the output", &out)?;
    Ok(out)
}

struct Cx<'a> {
    node: &'a str,
    params: &'a BTreeMap<String, Param>,
}

fn one(cx: &Cx, inputs: &[Shape]) -> Result<Shape, GraphError> {
    cx.count(inputs, 1)?;
    Ok(inputs[0])
}

fn two(cx: &Cx, inputs: &[Shape]) -> Result<[Shape; 2], GraphError> {
    cx.count(inputs, 2)?;
    Ok([inputs[0], inputs[1]])
}

fn divisor_of(channels: usize) -> String {
    format!("a divisor of {channels} channels")
}

impl Cx<'_> {
    fn count(&self, inputs: &[Shape], expected: usize) -> Result<(), GraphError> {
        if inputs.len() == expected {
            return Ok(());
        }
        Err(GraphError::InputCount {
            node: self.node.to_string(),
            expected: expected.to_string(),
            found: inputs.len(),
        })
    }

    fn require(
        &self,
        held: bool,
        what: &'static str,
        expected: &str,
        found: impl std::fmt::Display,
    ) -> Result<(), GraphError> {
        if held {
            return Ok(());
        }
        Err(GraphError::Mismatch {
            node: self.node.to_string(),
            what,
            expected: expected.to_string(),
            found: found.to_string(),
        })
    }

    fn same(&self, what: &'static str, expected: Shape, found: Shape) -> Result<(), GraphError> {
        self.require(expected == found, what, &format!("{expected:?}"), format!("{found:?}"))
    }

    fn size(&self, what: &'static str, extents: &[usize]) -> Result<(), GraphError> {
        let elements = extents.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        match elements {
            Some(0) => self.require(false, what, "not empty", format!("{extents:?}")),
            Some(n) if n <= MAX_ELEMENTS => Ok(()),
            _ => Err(GraphError::TooLarge {
                node: self.node.to_string(),
                what,
                limit: MAX_ELEMENTS,
            }),
        }
    }

    fn param(&self, key: &str) -> Result<&Param, GraphError> {
        self.params.get(key).ok_or_else(|| GraphError::MissingParam {
            node: self.node.to_string(),
            key: key.to_string(),
        })
    }

    fn vector(&self, key: &str, len: usize) -> Result<(), GraphError> {
        let param = self.param(key)?;
        self.require(
            param.shape == [len],
            "the parameter's shape",
            &format!("[{len}]"),
            format!("{:?}", param.shape),
        )
    }

    fn conv(
        &self,
        x: Shape,
        weight: &str,
        bias: Option<&str>,
        kernel: usize,
        stride: usize,
        pad: [usize; 4],
    ) -> Result<Shape, GraphError> {
        let w = &self.param(weight)?.shape;
        let fits = match w.len() {
            4 => w[1..] == [x[0], kernel, kernel],
            2 => kernel == 1 && w[1] == x[0],
            _ => false,
        };
        let expected = format!("[out, {}, {kernel}, {kernel}]", x[0]);
        self.require(fits, "the weight's shape", &expected, format!("{w:?}"))?;
        self.require(kernel > 0 && (1..=2).contains(&stride), "the stride", "1 or 2", stride)?;
        self.require(
            pad.iter().all(|p| *p < 16),
            "the padding",
            "below 16",
            format!("{pad:?}"),
        )?;
        if let Some(bias) = bias {
            self.vector(bias, w[0])?;
        }
        let (rows, cols) = (x[1] + pad[0] + pad[2], x[2] + pad[1] + pad[3]);
        self.require(
            rows >= kernel && cols >= kernel,
            "the padded input",
            "at least the kernel",
            format!("{rows}x{cols}"),
        )?;
        Ok([w[0], (rows - kernel) / stride + 1, (cols - kernel) / stride + 1])
    }

    fn concat(&self, inputs: &[Shape]) -> Result<Shape, GraphError> {
        let Some(first) = inputs.first() else {
            return Err(GraphError::InputCount {
                node: self.node.to_string(),
                expected: "at least 1".to_string(),
                found: 0,
            });
        };
        let mut channels = 0usize;
        for x in inputs {
            self.same("rows and columns", [x[0], first[1], first[2]], *x)?;
            channels = channels.saturating_add(x[0]);
        }
        Ok([channels, first[1], first[2]])
    }

    fn attention(&self, inputs: &[Shape], heads: usize) -> Result<Shape, GraphError> {
        self.count(inputs, 3)?;
        let q = inputs[0];
        self.same("the key's shape", q, inputs[1])?;
        self.same("the value's shape", q, inputs[2])?;
        self.require(
            heads > 0 && q[0].is_multiple_of(heads),
            "the number of heads",
            &divisor_of(q[0]),
            heads,
        )?;
        let positions = q[1].saturating_mul(q[2]);
        self.size("the attention matrix", &[heads, positions, positions])?;
        Ok(q)
    }
}
