//! Where a step's time goes, operator by operator.

use crate::report::OperatorRow;
use serde::Serialize;

/// One operator's measurements over one step, or the sum of a kind of operator. Keys of `bench --json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct OperatorCost {
    /// The checkpoint's module path; of a sum, the kind.
    pub name: String,
    /// Kind of operator.
    pub op: String,
    /// OperatorCosts in it: 1, or as many as were summed.
    pub operators: usize,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Elements of the output.
    pub elements: u64,
    /// Instructions, on boards.
    pub instructions: Option<u64>,
    /// The same by multiply-accumulate.
    pub instructions_per_mac: Option<f64>,
    /// The same by element of the output, of operators without multiply-accumulates.
    pub instructions_per_element: Option<f64>,
    /// Milliseconds, on this machine.
    pub ms: Option<f64>,
    /// Share of the step, 0 to 1.
    pub share: f64,
}

/// What is left of a step: coefficients, noise, the update of the state, its digest.
const OUTSIDE: &str = "sampler";

impl OperatorCost {
    /// What was measured of one operator.
    pub fn of(row: &OperatorRow, instructions: Option<u64>, ms: Option<f64>) -> Self {
        Self {
            name: row.name.clone(),
            op: row.kind.clone(),
            operators: 1,
            macs: row.macs,
            elements: row.elements,
            instructions,
            ms,
            ..Self::default()
        }
    }

    fn cost(&self) -> f64 {
        self.instructions
            .map_or_else(|| self.ms.unwrap_or(0.0), |count| count as f64)
    }

    /// Takes `other` into the sum.
    fn add(&mut self, other: &Self) {
        self.operators += 1;
        self.macs += other.macs;
        self.elements += other.elements;
        self.instructions = sum(self.instructions, other.instructions);
        self.ms = sum(self.ms, other.ms);
    }

    /// Fills in what follows from the counts and the whole step's cost.
    fn finish(mut self, whole: f64) -> Self {
        let by = |n: u64| self.instructions.filter(|_| n > 0).map(|count| count as f64 / n as f64);
        (self.instructions_per_mac, self.instructions_per_element) = match self.macs {
            0 => (None, by(self.elements)),
            macs => (by(macs), None),
        };
        self.share = if whole > 0.0 { self.cost() / whole } else { 0.0 };
        self
    }
}

fn sum<T: std::ops::Add<Output = T>>(a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    }
}

/// `operators` with shares and ratios, and their sums by kind, the costliest first. `step` is the whole step's count, where it
/// was measured without watching operators: what no operator accounts for is a kind of its own.
pub fn complete(operators: Vec<OperatorCost>, step: Option<u64>) -> (Vec<OperatorCost>, Vec<OperatorCost>) {
    let counted: u64 = operators.iter().filter_map(|op| op.instructions).sum();
    let whole = step.map_or_else(|| operators.iter().map(OperatorCost::cost).sum(), |step| step as f64);
    let mut kinds: Vec<OperatorCost> = Vec::new();
    for op in &operators {
        match kinds.iter_mut().find(|kind| kind.op == op.op) {
            Some(kind) => kind.add(op),
            None => kinds.push(OperatorCost {
                name: op.op.clone(),
                ..op.clone()
            }),
        }
    }
    kinds.extend(step.filter(|_| !operators.is_empty()).map(|step| OperatorCost {
        name: OUTSIDE.into(),
        op: OUTSIDE.into(),
        instructions: Some(step.saturating_sub(counted)),
        ..OperatorCost::default()
    }));
    kinds.sort_by(|a, b| b.cost().total_cmp(&a.cost()));
    let finish = |ops: Vec<OperatorCost>| ops.into_iter().map(|op| op.finish(whole)).collect();
    (finish(operators), finish(kinds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(kind: &str, macs: u64, instructions: u64) -> OperatorCost {
        OperatorCost {
            name: format!("a.{kind}"),
            op: kind.into(),
            operators: 1,
            macs,
            elements: 10,
            instructions: Some(instructions),
            ..OperatorCost::default()
        }
    }

    #[test]
    fn kinds_add_up_to_the_step() {
        let operators = vec![op("conv", 100, 400), op("silu", 0, 50), op("conv", 50, 350)];
        let (operators, kinds) = complete(operators, Some(1000));
        let names: Vec<_> = kinds.iter().map(|k| (k.name.as_str(), k.operators)).collect();
        assert_eq!(names, [("conv", 2), ("sampler", 0), ("silu", 1)]);
        assert_eq!(kinds.iter().filter_map(|k| k.instructions).sum::<u64>(), 1000);
        assert!((kinds.iter().map(|k| k.share).sum::<f64>() - 1.0).abs() < 1e-12);
        assert_eq!(
            (kinds[0].instructions_per_mac, kinds[0].instructions_per_element),
            (Some(5.0), None)
        );
        assert_eq!(operators[1].instructions_per_element, Some(5.0));
    }

    #[test]
    fn milliseconds_have_shares_too() {
        let timed = |ms| OperatorCost {
            instructions: None,
            ms: Some(ms),
            ..op("conv", 100, 0)
        };
        let (operators, kinds) = complete(vec![timed(1.0), timed(3.0)], None);
        assert_eq!((operators[0].share, kinds.len(), kinds[0].ms), (0.25, 1, Some(4.0)));
    }
}
