//! The independent implementation of the numeric contract.

use super::{BackendError, Job, StepTrace, Target, Trace, Wanted};
use mote_host::oracle::{Oracle, OracleOptions, OracleStep};
use rayon::prelude::*;

/// Every image on a thread of its own; operators of kind `fault` compute with a deliberate error.
pub fn run(
    target: Target<'_>,
    job: &Job,
    fault: Option<&'static str>,
    on_step: &(dyn Fn() + Sync),
) -> Result<Vec<Trace>, BackendError> {
    let options = OracleOptions {
        op_digests: job.operators,
        broken_rounding: fault,
    };
    let oracle = Oracle::with_options(target.model, options)?;
    job.images
        .par_iter()
        .map(|image| one(&oracle, job, image, on_step))
        .collect()
}

fn one(oracle: &Oracle<'_>, job: &Job, image: &Wanted, on_step: &(dyn Fn() + Sync)) -> Result<Trace, BackendError> {
    let mut trace = Trace {
        seed: image.seed,
        ..Trace::default()
    };
    let mut take = |step: &OracleStep| {
        let operators = step.op_digests.clone().unwrap_or_default();
        trace.steps.push(StepTrace {
            index: step.index,
            timestep: step.timestep,
            digest: step.digest,
            operators,
        });
        on_step();
    };
    let (config, start) = (job.config_of(image), image.origin.start());
    let state = oracle.run_known(&config, &start, job.known.as_deref(), &mut take)?;
    trace.pixels = state.iter().copied().map(mote_host::oracle::q24_to_pixel).collect();
    trace.state = state;
    Ok(trace)
}
