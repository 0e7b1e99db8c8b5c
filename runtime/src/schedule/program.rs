//! Coefficients as short programs over signed numbers in numbered places: four bytes an operation, a quarter of the code of as many
//! calls on a small core.

use super::coefficients::{Level, Prediction};
use super::form::Signed;
use crate::numeric::scaled::Scaled;

/// An operation, the place of its result, and those of its operands.
pub(super) type Instruction = (Operation, u8, u8, u8);

#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum Operation {
    Times,
    Over,
    /// Plus; less what is negative, at least zero.
    Plus,
    /// Minus, of what is not negative.
    Minus,
    /// The square root of the first operand.
    Root,
}
pub(super) use Operation::{Minus, Over, Plus, Root, Times};

/// Places that are set: one and minus one, the level that the network was asked about and the next one, the caller's own.
pub(super) const ZERO: u8 = 0;
pub(super) const ONE: u8 = 1;
pub(super) const MINUS_ONE: u8 = 2;
pub(super) const ALPHA_BAR: u8 = 3;
pub(super) const ONE_MINUS: u8 = 4;
pub(super) const SIGNAL: u8 = 5;
pub(super) const NOISE: u8 = 6;
pub(super) const NEXT_ALPHA_BAR: u8 = 7;
pub(super) const NEXT_ONE_MINUS: u8 = 8;
pub(super) const NEXT_SIGNAL: u8 = 9;
pub(super) const NEXT_NOISE: u8 = 10;
pub(super) const OWN: u8 = 11;
/// `x0 = c[0] x + c[1] out`, `eps = c[2] x + c[3] out`, where [`prediction`] leaves c.
pub(super) const SAMPLE_X: u8 = 16;
pub(super) const SAMPLE_OUT: u8 = 17;
pub(super) const EPS_X: u8 = 18;
pub(super) const EPS_OUT: u8 = 19;
/// Places to work in.
pub(super) const A: u8 = 20;
pub(super) const B: u8 = 21;
pub(super) const RESULT: u8 = 22;
const PLACES: usize = 26;

/// The places; a zero is wherever nothing was stored.
pub(super) struct Places([Signed; PLACES]);

impl Places {
    /// With the two levels.
    #[inline(never)]
    pub(super) fn new(now: &Level, next: &Level) -> Self {
        let mut places = Self([Signed::ZERO; PLACES]);
        places.0[usize::from(ONE)] = Signed::plus(Scaled::ONE);
        places.0[usize::from(MINUS_ONE)] = Signed::minus(Scaled::ONE);
        for (level, at) in [(now, ALPHA_BAR), (next, NEXT_ALPHA_BAR)] {
            let facts = [level.alpha_bar, level.one_minus, level.signal, level.noise];
            for (place, fact) in places.0.iter_mut().skip(at.into()).zip(facts) {
                *place = Signed::plus(fact);
            }
        }
        places
    }

    pub(super) fn set(&mut self, at: u8, value: Signed) {
        self.0[usize::from(at) % PLACES] = value;
    }

    /// What is at a place and behind it.
    pub(super) fn at<const N: usize>(&self, at: u8) -> &[Signed; N] {
        let from = self.0.get(usize::from(at)..).unwrap_or_default();
        from.first_chunk().unwrap_or(&[Signed::ZERO; N])
    }

    #[inline(never)]
    pub(super) fn run(&mut self, program: &[Instruction]) {
        for &(operation, to, a, b) in program {
            let [a, b] = [a, b].map(|at| self.0[usize::from(at) % PLACES]);
            self.set(to, a.by(operation, b));
        }
    }
}

/// What the network's output says of the sample and of the noise.
pub(super) fn prediction(now: &Level, prediction: Prediction) -> &'static [Instruction] {
    match prediction {
        Prediction::Epsilon => &[
            (Over, SAMPLE_X, ONE, SIGNAL),
            (Times, A, NOISE, MINUS_ONE),
            (Over, SAMPLE_OUT, A, SIGNAL),
            (Times, EPS_OUT, ONE, ONE),
        ],
        Prediction::V => &[
            (Times, SAMPLE_X, SIGNAL, ONE),
            (Times, SAMPLE_OUT, NOISE, MINUS_ONE),
            (Times, EPS_X, NOISE, ONE),
            (Times, EPS_OUT, SIGNAL, ONE),
        ],
        Prediction::Sample if now.noise.is_zero() => &[(Times, SAMPLE_OUT, ONE, ONE)],
        Prediction::Sample => &[
            (Times, SAMPLE_OUT, ONE, ONE),
            (Over, EPS_X, ONE, NOISE),
            (Times, A, SIGNAL, MINUS_ONE),
            (Over, EPS_OUT, A, NOISE),
        ],
        // Of chains and of other levels than cumulative alphas: the runtime never asks.
        _ => &[],
    }
}
