//! Where two runs first differ, operator by operator.

use super::{Oracle, OracleError, OracleStep, Request, Start};

/// Where two runs first differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Divergence {
    /// Number of the step; the number of steps where one run is shorter.
    pub step: u32,
    /// Operator of the model file; `None` where every operator agrees but the state does not (the sampler's step itself),
    /// or where a run has no operator digests.
    pub op: Option<DivergentOp>,
}

/// An operator whose output differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DivergentOp {
    /// Index in the operator list.
    pub index: usize,
    /// Kind.
    pub kind: &'static str,
    /// Number of the network's call in the step, 0 first: guidance and Heun's method have two, both together four.
    pub call: usize,
}

impl std::fmt::Display for Divergence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.op {
            None => write!(f, "step {}: the state after the step", self.step),
            Some(op) => {
                write!(f, "step {}: operator {} ({})", self.step, op.index, op.kind)?;
                match op.call {
                    0 => Ok(()),
                    call => write!(f, ", call {}", call + 1),
                }
            }
        }
    }
}

impl Oracle<'_> {
    /// The steps of a run, as [`Oracle::run`] shows them.
    pub fn trace(&self, request: &Request, start: &Start<'_>) -> Result<Vec<OracleStep>, OracleError> {
        let mut steps = Vec::new();
        self.run(request, start, &mut |step| steps.push(step.clone()))?;
        Ok(steps)
    }

    /// Where `found` first differs from `expected`; `None` when they are the same.
    pub fn first_divergence(&self, expected: &[OracleStep], found: &[OracleStep]) -> Option<Divergence> {
        for (a, b) in expected.iter().zip(found) {
            if let Some(op) = self.divergent_op(a, b) {
                return Some(Divergence {
                    step: a.index,
                    op: Some(op),
                });
            }
            if (a.index, a.timestep, a.digest) != (b.index, b.timestep, b.digest) {
                return Some(Divergence {
                    step: a.index,
                    op: None,
                });
            }
        }
        let short = expected.len().min(found.len());
        (expected.len() != found.len()).then_some(Divergence {
            step: short as u32,
            op: None,
        })
    }

    fn divergent_op(&self, a: &OracleStep, b: &OracleStep) -> Option<DivergentOp> {
        let (a, b) = (a.op_digests.as_ref()?, b.op_digests.as_ref()?);
        let place = a.iter().zip(b).position(|(a, b)| a != b)?;
        let kinds = self.kinds();
        let index = place % kinds.len();
        Some(DivergentOp {
            index,
            kind: kinds[index],
            call: place / kinds.len(),
        })
    }
}
