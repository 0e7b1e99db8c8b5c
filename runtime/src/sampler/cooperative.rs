//! A step in pieces: where an executor or a main loop has other work between two operators.
//!
//! [`Sampler::step`] is [`begin_step`](Sampler::begin_step), [`run_operators`](Sampler::run_operators) until nothing is left and
//! [`finish_step`](Sampler::finish_step), with the same bits. Guidance and Heun's method have more network calls in a step; what the
//! state does between two calls counts as an operator.

use super::{Sampler, guidance_q16, guide, output};
use crate::error::RunError;
use crate::features::Feature;
use crate::model::Model;
use crate::model::exec::Place;
use crate::model::sampling::Method;
use crate::ops::Call;
use crate::schedule::coefficients::StepCoefficients;
use crate::schedule::rows::{INPUT_ONE_Q30, Row};

/// A step that was begun. It belongs to the run that began it, and borrows its model.
#[derive(Debug, Clone, Copy)]
pub struct Pending<'m> {
    model: &'m Model<'m>,
    begun: Begun,
}

impl Pending<'_> {
    /// Convolutions of more than `macs` multiply-accumulates run in pieces of whole output rows, each of which counts as an operator. The
    /// step has the same bits. `header().macs / 20` makes pieces of at most a twentieth of a network call, as far as rows are not longer.
    /// Networks in f16 are not split.
    #[must_use]
    pub fn split(mut self, macs: u32) -> Self {
        self.begun.most = macs;
        self
    }

    /// Whether nothing is left but to finish the step.
    pub fn is_done(&self) -> bool {
        self.begun.is_done()
    }
}

/// A step that was begun, of a model that whoever holds it knows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begun {
    /// CRC-32 of the model: its operators are read where this says.
    crc: u32,
    /// Number of the step.
    index: u32,
    /// The step's own timestep, whatever its second call is told.
    timestep: u32,
    time_q16: u32,
    input_q30: i32,
    /// How the state moves by this call; none of a chain's.
    coefficients: Option<StepCoefficients>,
    stage: Stage,
    place: Place,
    /// The most multiply-accumulates that are run at once.
    most: u32,
}

/// The network calls of a step, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// What is asked for, or all without guidance.
    Asked { second: bool },
    /// What guidance goes away from.
    Dropped { second: bool },
    /// The state has moved.
    Moved,
}

impl Begun {
    fn of(sampler: &Sampler<'_, '_>, row: (u32, i32, Option<StepCoefficients>), most: u32) -> Self {
        let (time_q16, input_q30, coefficients) = row;
        Self {
            crc: sampler.model.crc(),
            index: sampler.index,
            timestep: time_q16 >> 16,
            time_q16,
            input_q30,
            coefficients,
            stage: Stage::Asked { second: false },
            place: Place::default(),
            most,
        }
    }

    /// Begins a network call.
    fn call(&mut self, stage: Stage) {
        (self.stage, self.place) = (stage, Place::default());
    }

    fn is_done(&self) -> bool {
        self.stage == Stage::Moved
    }
}

impl<'m> Sampler<'m, '_> {
    /// Begins the next step; `None` when the run is finished. Until [`finish_step`](Self::finish_step) the state is between two steps:
    /// nothing but [`run_operators`](Self::run_operators) is for it then.
    ///
    /// # Errors
    /// Those of [`step`](Self::step).
    pub fn begin_step(&self) -> Result<Option<Pending<'m>>, RunError> {
        let model = self.model;
        Ok(self.begin_operators(u32::MAX)?.map(|begun| Pending { model, begun }))
    }

    /// [`begin_step`](Self::begin_step) for who holds the model.
    pub(super) fn begin_operators(&self, most: u32) -> Result<Option<Begun>, RunError> {
        self.is_conditioned()?;
        if self.is_chain() {
            #[cfg(feature = "posterior")]
            self.is_seen()?;
            let Some(time_q16) = self.rows().time_q16(self.index, 0) else {
                return Ok(None);
            };
            self.rows().alphas(self.index, time_q16 >> 16)?;
            return Ok(Some(Begun::of(self, (time_q16, INPUT_ONE_Q30, None), most)));
        }
        let Some(row) = self.rows().row(self.index, 0, self.follows)? else {
            return Ok(None);
        };
        if Feature::Inpaint.is_built() && self.known_tag != 0 && self.known.is_none() {
            return Err(RunError::KnownImage);
        }
        let asked = (row.time_q16, row.input_q30, Some(row.coefficients));
        Ok(Some(Begun::of(self, asked, most)))
    }

    /// Runs the next `count` operators of the step, fewer where fewer are left; gives whether all of the step's have run.
    ///
    /// # Errors
    /// `StepBegun` for a step that this run has not begun; those of [`step`](Self::step), after which the run is lost.
    pub fn run_operators(&mut self, step: &mut Pending<'_>, count: u16) -> Result<bool, RunError> {
        self.is_own(step)?;
        self.run_begun(&mut step.begun, count)
    }

    /// A step of another model reads operators where there are none.
    fn is_own(&self, step: &Pending<'_>) -> Result<(), RunError> {
        let own = core::ptr::from_ref(self.model).cast::<()>() == core::ptr::from_ref(step.model).cast();
        if own { Ok(()) } else { Err(RunError::StepBegun) }
    }

    /// [`run_operators`](Self::run_operators) for who holds the model.
    pub(super) fn run_begun(&mut self, step: &mut Begun, count: u16) -> Result<bool, RunError> {
        if (step.index, step.crc) != (self.index, self.model.crc()) {
            return Err(RunError::StepBegun);
        }
        let mut left = count;
        while left > 0 && !step.is_done() {
            left -= if step.place.is_end(self.model) {
                self.turn(step)?;
                1
            } else {
                self.operators(step, left)?
            };
        }
        Ok(step.is_done())
    }

    /// Runs what is left of the step and finishes it.
    ///
    /// # Errors
    /// Those of [`run_operators`](Self::run_operators).
    pub fn finish_step(&mut self, step: Pending<'_>) -> Result<super::Step, RunError> {
        self.is_own(&step)?;
        self.finish_begun(step.begun)
    }

    /// [`finish_step`](Self::finish_step) for who holds the model.
    pub(super) fn finish_begun(&mut self, mut step: Begun) -> Result<super::Step, RunError> {
        while !self.run_begun(&mut step, u16::MAX)? {}
        self.follows |= step.coefficients.is_some();
        Ok(self.done(step.timestep))
    }

    /// The call's next `count` operators, fewer where fewer are left; gives how many.
    fn operators(&mut self, step: &mut Begun, count: u16) -> Result<u16, RunError> {
        let (class, given) = match step.stage {
            Stage::Dropped { .. } => self.dropped()?,
            _ => (self.class(), self.held.given),
        };
        let call = Call {
            x_q24: self.x,
            input_q30: step.input_q30,
            time_q16: step.time_q16,
            class,
            given,
        };
        step.place.run(self.model, &call, self.activations, step.most, count)
    }

    /// What follows a network call: guidance's other call, the state's move, the second call of a step.
    fn turn(&mut self, step: &mut Begun) -> Result<(), RunError> {
        #[cfg(feature = "learned-variance")]
        match step.stage {
            Stage::Moved => {}
            Stage::Asked { .. } => super::variance::keep(self.model, self.activations, &self.config, self.kept)?,
            Stage::Dropped { .. } => super::variance::separate(self.model, self.activations, &mut [])?,
        }
        let second = match (step.stage, guidance_q16(&self.config)) {
            (Stage::Moved, _) => return Ok(()),
            (Stage::Asked { second }, Some(_)) => {
                self.conditional.copy_from_slice(output(self.model, self.activations)?);
                step.call(Stage::Dropped { second });
                return Ok(());
            }
            (Stage::Dropped { second }, Some(weight_q16)) => {
                guide(self.conditional, output(self.model, self.activations)?, weight_q16);
                second
            }
            (Stage::Asked { second } | Stage::Dropped { second }, None) => second,
        };
        let Some(coefficients) = step.coefficients else {
            let (now, next) = self.rows().alphas(self.index, step.timestep)?;
            self.chain_step(now, next)?;
            step.stage = Stage::Moved;
            return Ok(());
        };
        let row = Row {
            time_q16: step.time_q16,
            input_q30: step.input_q30,
            coefficients,
        };
        self.advance(&row, |_| ())?;
        if Method::BUILT.two_calls
            && self.config.method.calls() > 1
            && !second
            && let Some(row) = self.rows().row(self.index, 1, true)?
        {
            if self.is_known() {
                self.set_known(self.rows().noising(self.index, 1));
            }
            (step.time_q16, step.input_q30) = (row.time_q16, row.input_q30);
            step.coefficients = Some(row.coefficients);
            step.call(Stage::Asked { second: true });
            return Ok(());
        }
        if self.is_known() {
            self.set_known(self.rows().noising(self.index + 1, 0));
        }
        step.stage = Stage::Moved;
        Ok(())
    }
}
