//! GELU (Hendrycks and Gimpel 2016) that is written out as arithmetic, with the error function or with a hyperbolic tangent.

use super::net::{Net, Result};
use super::source::{Map, What};
use super::view::View;
use mote_graph::ops::Function;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

/// How far constants may lie from what the formula has, relative to it: files have them as f32.
const NEAR: f64 = 1e-6;
/// Of the cubic term.
const CUBIC: f64 = 0.044715;

fn near(found: f64, wanted: f64) -> bool {
    (found / wanted - 1.0).abs() < NEAR
}

/// `a * b` where it is a GELU, times any number.
pub(super) fn written_out(net: &mut Net, a: &View, b: &View) -> Result<Option<View>> {
    for (x, gate) in [(a, b), (b, a)] {
        // The gate is `half * (1 + f(input))`.
        let What::Map {
            x: inner,
            map: Map::Affine { scale: half, shift },
        } = *net.what(gate)
        else {
            continue;
        };
        let (base, factor) = plain(net, x.source);
        if half != shift || x.over(base) != gate.over(base) {
            continue;
        }
        let Some((function, input)) = input(net, inner, base) else {
            continue;
        };
        // Of `input` times the base.
        let mut of = x.over(base);
        if input != 1.0 {
            of = net.map(
                &of,
                Map::Affine {
                    scale: input,
                    shift: 0.0,
                },
            )?;
        }
        let whole = net.map(&of, Map::Function(function))?;
        let more = 2.0 * half * factor / input;
        return if near(more, 1.0) {
            Ok(Some(whole))
        } else {
            net.map(
                &whole,
                Map::Affine {
                    scale: more,
                    shift: 0.0,
                },
            )
            .map(Some)
        };
    }
    Ok(None)
}

/// Whether `source` may be a part of an activation that is written out, and nothing that stays.
pub(super) fn is_part(net: &Net, source: usize) -> bool {
    match net.sources[source].what {
        What::Map { map, .. } => matches!(
            map,
            Map::Erf
                | Map::Cube
                | Map::Above(_)
                | Map::Affine { .. }
                | Map::Function(Function::Sigmoid | Function::Softplus | Function::Tanh)
        ),
        What::Product { .. } => square_of(net, source).is_some() || cube_of(net, source).is_some(),
        What::Sum { a, b, .. } => [a, b]
            .into_iter()
            .any(|part| cube_of(net, plain(net, part).0).is_some()),
        _ => false,
    }
}

/// A source without the number that it is multiplied by, and that number.
fn plain(net: &Net, source: usize) -> (usize, f64) {
    match net.sources[source].what {
        What::Map {
            x,
            map: Map::Affine { scale, shift: 0.0 },
        } => (x, scale),
        _ => (source, 1.0),
    }
}

/// Which GELU has the gate's function `inner`, and of how many times `base`.
fn input(net: &Net, inner: usize, base: usize) -> Option<(Function, f64)> {
    let What::Map { x, map } = net.sources[inner].what else {
        return None;
    };
    match map {
        Map::Erf => {
            let (of, scale) = plain(net, x);
            let input = scale / FRAC_1_SQRT_2;
            let input = if near(input, 1.0) { 1.0 } else { input };
            (of == base).then_some((Function::Gelu, input))
        }
        Map::Function(Function::Tanh) => {
            let (sum, scale) = plain(net, x);
            let What::Sum { a, b, divisor } = net.sources[sum].what else {
                return None;
            };
            let fits = |line: usize, cubic: usize| {
                let (of, coefficient) = plain(net, cubic);
                line == base && near(coefficient, CUBIC) && cube_of(net, of) == Some(base)
            };
            // The root of 2 / pi.
            let root = FRAC_2_SQRT_PI * FRAC_1_SQRT_2;
            (near(scale / divisor, root) && (fits(a, b) || fits(b, a))).then_some((Function::GeluTanh, 1.0))
        }
        _ => None,
    }
}

/// What `source` is the square of.
fn square_of(net: &Net, source: usize) -> Option<usize> {
    match &net.sources[source].what {
        What::Product { x, factor } if factor.source == *x && net.is_whole(factor) => Some(*x),
        _ => None,
    }
}

/// What `source` is the third power of.
fn cube_of(net: &Net, source: usize) -> Option<usize> {
    match &net.sources[source].what {
        What::Map { x, map: Map::Cube } => Some(*x),
        What::Product { x, factor } if net.is_whole(factor) => {
            let (a, b) = (*x, factor.source);
            (square_of(net, a) == Some(b))
                .then_some(b)
                .or((square_of(net, b) == Some(a)).then_some(a))
        }
        _ => None,
    }
}
