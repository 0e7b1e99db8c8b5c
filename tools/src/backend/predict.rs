//! Single network calls on this machine: what another sampler, or a training loop, asks of a model file.

use super::OpenModel;
use crate::Error;
use crate::condition::Conditions;
use crate::request::Request;
use mote_engine::Engine;
use mote_engine::memory::AlignedBytes;
use mote_runtime::internals::model::exec::Call;
use mote_runtime::internals::model::header::Header;
use mote_runtime::internals::sampler::variance::separate;
use mote_runtime::{Network, RunError, Unobserved};
use rayon::prelude::*;

/// What the network is called with, one sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// The state, Q24, `(row, col, channel)`.
    pub x_q24: Vec<i32>,
    /// Training timestep, 0 to below the training steps; a fraction where levels are continuous.
    pub timestep: f64,
    /// Class label of a conditional model; the null class, or 0, where none is given.
    pub class: Option<u16>,
    /// Condition vector, for a model that takes one.
    pub condition: Option<Vec<f64>>,
}

/// The network's output for each question, Q24, `(row, col, channel)`: the same bits as in a run, on every machine.
///
/// # Errors
/// Of kind `Refused` where a state has another length than the model's sample, the timestep is none of the model's, or the class is none.
pub fn predict(opened: OpenModel<'_>, questions: &[Question]) -> Result<Vec<Vec<i32>>, Error> {
    answers(
        opened,
        questions,
        opened.model.header().prediction.levels().are_continuous(),
    )
}

/// The same at any number between the training timesteps, where solvers of other libraries go: no run of a device calls the network there
/// unless its levels are continuous.
///
/// # Errors
/// As [`predict`].
pub fn predict_between(opened: OpenModel<'_>, questions: &[Question]) -> Result<Vec<Vec<i32>>, Error> {
    answers(opened, questions, true)
}

fn answers(opened: OpenModel<'_>, questions: &[Question], fractions: bool) -> Result<Vec<Vec<i32>>, Error> {
    let engine = Engine::prepare(opened.model);
    let header = opened.model.header();
    let thread = || (AlignedBytes::zeroed(header.arena_bytes as usize), engine.worker());
    let answer = |(memory, network): &mut (AlignedBytes, _), question: &Question| {
        one(opened, question, fractions, memory, network)
    };
    questions.par_iter().map_init(thread, answer).collect()
}

fn one(
    opened: OpenModel<'_>,
    question: &Question,
    fractions: bool,
    memory: &mut AlignedBytes,
    network: &mut impl Network,
) -> Result<Vec<i32>, Error> {
    let header = opened.model.header();
    if question.x_q24.len() != header.sample_len() {
        return Err(RunError::Length {
            expected: header.sample_len() as u32,
            found: question.x_q24.len() as u32,
        }
        .into());
    }
    if let (Some(found), 0) = (question.class, header.classes) {
        return Err(RunError::Class { found, classes: 0 }.into());
    }
    let condition = question.condition.as_ref();
    let given = Request {
        condition: condition
            .map(|numbers| Conditions::new("the condition", numbers.len(), numbers.clone()))
            .transpose()?,
        ..Request::default()
    };
    let given = given.conditions(opened.model, 1)?;
    let call = Call {
        time_q16: time_q16(question.timestep, fractions, header)?,
        ..Call::at(&question.x_q24, 0, question.class.or(header.null_class).unwrap_or(0))
    };
    let call = match given.first() {
        Some(vector) => call.with_condition(vector),
        None => call,
    };
    network.forward(opened.model, &call, memory.bytes_mut(), &mut Unobserved)?;
    separate(opened.model, memory.bytes_mut(), &mut [])?;
    let missing = RunError::Memory { op: header.op_count };
    let range = opened.model.tensor(header.output).ok_or(missing)?.range();
    let bytes = memory.bytes().get(range).ok_or(missing)?;
    let out: &[i32] = bytemuck::cast_slice(bytes);
    // Variances are not asked for.
    let len = match opened.model.has_variances() {
        true => header.sample_len(),
        false => out.len(),
    };
    Ok(out[..len].to_vec())
}

/// A timestep of the model in Q16: one of the training timesteps, or with `fractions` any number up to the last of them; where levels are
/// continuous, up to their number.
fn time_q16(timestep: f64, fractions: bool, header: &Header) -> Result<u32, Error> {
    let continuous = header.prediction.levels().are_continuous();
    let last = f64::from(header.train_steps) - if continuous { 0.0 } else { 1.0 };
    let holds = (0.0..=last).contains(&timestep) && (fractions || timestep.fract() == 0.0);
    let allowed = match fractions {
        true => format!("a number from 0 to {last}"),
        false => format!("a whole number from 0 to {last}"),
    };
    if holds {
        return Ok((timestep * 65536.0).round() as u32);
    }
    Err(Error::refused(format_args!("the timestep is {timestep}")).help(format_args!("give {allowed}")))
}
