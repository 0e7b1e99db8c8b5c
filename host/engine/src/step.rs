//! Steps of runs, compiled in this crate: what a step does beside the network loops over the state too, and would be slow in a crate that
//! is compiled without optimization.

use crate::Worker;
use mote_runtime::internals::ops::Op;
use mote_runtime::internals::sampler::{Predicted, Step};
use mote_runtime::internals::tensor::view::View;
use mote_runtime::{Network, Observer, Portable, RunError, Sampler, StepObserver, Unobserved};

/// A network that runs a sampler's steps.
pub trait Steps: Network {
    /// As [`Sampler::step_by`]; `observer` sees what there is to see, if it is there.
    ///
    /// # Errors
    /// Those of [`Sampler::step_by`].
    fn step(
        &mut self,
        sampler: &mut Sampler<'_, '_>,
        observer: Option<&mut dyn StepObserver>,
    ) -> Result<Option<Step>, RunError>;
}

macro_rules! steps {
    ($($network:ty),*) => {$(
        impl Steps for $network {
            fn step(
                &mut self,
                sampler: &mut Sampler<'_, '_>,
                observer: Option<&mut dyn StepObserver>,
            ) -> Result<Option<Step>, RunError> {
                match observer {
                    Some(observer) => sampler.step_by(self, &mut Seen(observer)),
                    None => sampler.step_by(self, &mut Unobserved),
                }
            }
        }
    )*};
}

steps!(Worker<'_>, Portable);

/// An observer of a kind that is not known here.
struct Seen<'o>(&'o mut dyn StepObserver);

impl Observer for Seen<'_> {
    fn before(&mut self, index: u16, op: &Op) {
        self.0.before(index, op);
    }

    fn after(&mut self, index: u16, op: &Op, output: &View<'_>) {
        self.0.after(index, op, output);
    }
}

impl StepObserver for Seen<'_> {
    fn predicted(&mut self, predicted: &Predicted<'_>) {
        self.0.predicted(predicted);
    }
}
