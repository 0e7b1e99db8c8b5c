//! The function of the timestep that an activation is: the way back over the layers that made it.

use super::super::net::{Net, Result};
use super::super::source::{Map, What};
use super::super::tensor::{Kind, Tensor};
use super::super::view::View;
use super::super::waves::{MOST, Waves};
use super::{Curve, MOST_BACK};
use mote_graph::ops::{CurveMap, CurveStep, Pairing};

impl Net {
    /// The function of the timestep that an activation is; `None` where it depends on more.
    pub(in crate::exported) fn back(&mut self, view: &View) -> Result<Option<Curve>> {
        if view.len() > MOST {
            return Ok(None);
        }
        let found = self.back_from(view.source, MOST_BACK)?;
        Ok(found.map(|curve| curve.shown(view)))
    }

    fn back_from(&mut self, source: usize, left: usize) -> Result<Option<Curve>> {
        let count: usize = self.sources[source].sizes.iter().product();
        let Some(left) = left.checked_sub(1).filter(|_| count <= MOST) else {
            return Ok(None);
        };
        match self.sources[source].what.clone() {
            What::Waves { features, time, single } => {
                let waves = Waves {
                    sizes: vec![features.len()],
                    data: features,
                    time,
                    single,
                    module: String::new(),
                };
                self.of_waves(&waves).map(Some)
            }
            What::Curve(curve) => Ok(Some(Curve {
                sizes: vec![count],
                ..curve
            })),
            What::Map { x, map } => {
                let Some(x) = self.back_from(x, left)? else {
                    return Ok(None);
                };
                match map {
                    Map::Function(function) => self.mapped(&x, CurveMap::Function(function)).map(Some),
                    Map::Affine { scale, shift } => {
                        let scale = self.known(&Tensor::number(Kind::F64, scale), &x)?;
                        let shift = self.known(&Tensor::number(Kind::F64, shift), &x)?;
                        let product = self.paired(&x, &scale, Pairing::Product)?;
                        self.paired(&product, &shift, Pairing::Sum).map(Some)
                    }
                    _ => Ok(None),
                }
            }
            What::Sum { a, b, divisor: 1.0 } => {
                let (Some(a), Some(b)) = (self.back_from(a, left)?, self.back_from(b, left)?) else {
                    return Ok(None);
                };
                self.paired(&a, &b, Pairing::Sum).map(Some)
            }
            What::Conv(conv)
                if conv.groups == 1
                    && conv.output_pad.is_none()
                    && conv.weight.sizes[2..] == [1, 1]
                    && conv.weight.data.len() <= MOST =>
            {
                let Some(x) = self.back_from(conv.x, left)? else {
                    return Ok(None);
                };
                let matrix = self.known(&conv.weight, &x)?;
                let outs = conv.weight.sizes[0];
                let step = CurveStep::Linear {
                    x: self.step(&x)?,
                    matrix: matrix.step,
                };
                let product = self.curve(step, vec![outs], &x)?;
                match conv.bias {
                    None => Ok(Some(product)),
                    Some(bias) => {
                        let bias = self.known(&bias, &x)?;
                        self.paired(&product, &bias, Pairing::Sum).map(Some)
                    }
                }
            }
            _ => Ok(None),
        }
    }
}
