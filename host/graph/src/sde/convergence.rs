//! How solvers of few steps come nearer to the probability flow's own solution as steps are added.

use super::steps::Solver;

/// Errors of one solver.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// The solver.
    pub solver: Solver,
    /// Steps and root mean square error of an element.
    pub points: Vec<(usize, f64)>,
}

impl Curve {
    /// Runs `solver` with each number of `steps` from `start` at the first of `ends` and compares with `exact` at the second.
    pub fn measure<E>(
        solver: Solver,
        start: &[f64],
        exact: &[f64],
        ends: [f64; 2],
        steps: &[usize],
        mut model: impl FnMut(&[f64], f64) -> Result<Vec<f64>, E>,
    ) -> Result<Self, E> {
        let mut points = Vec::with_capacity(steps.len());
        for &count in steps {
            let found = solver.run(start.to_vec(), ends, count, &mut model)?;
            let squares = found.iter().zip(exact).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
            points.push((count, libm::sqrt(squares / exact.len().max(1) as f64)));
        }
        Ok(Self { solver, points })
    }

    /// The observed order: minus the slope of ln error over ln steps, by least squares over the last `count` points.
    #[must_use]
    pub fn order(&self, count: usize) -> f64 {
        let tail = &self.points[self.points.len().saturating_sub(count)..];
        let logs = || {
            tail.iter()
                .map(|(steps, error)| (libm::log(*steps as f64), libm::log(*error)))
        };
        let n = tail.len().max(1) as f64;
        let mean = |v: &dyn Fn((f64, f64)) -> f64| logs().map(v).sum::<f64>() / n;
        let (x, y) = (mean(&|p| p.0), mean(&|p| p.1));
        let covariance = mean(&|p| (p.0 - x) * (p.1 - y));
        -covariance / mean(&|p| (p.0 - x) * (p.0 - x))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draws::normals;
    use crate::sde::gaussian::Gaussian;
    use std::convert::Infallible;

    #[test]
    fn ddim_has_order_one_and_dpm_solver_two() {
        let data = Gaussian::example();
        let ends = [5.0, -4.6];
        let start = normals(1, 0, 4 * 16);
        let exact: Vec<f64> = start.chunks(4).flat_map(|x| data.flow(x, ends[0], ends[1])).collect();
        let steps = [40, 80, 160, 320, 640];
        for solver in [Solver::Ddim, Solver::DpmSolver2M] {
            let model = |x: &[f64], u: f64| Ok::<_, Infallible>(data.noise(x, u));
            let curve = Curve::measure(solver, &start, &exact, ends, &steps, model).unwrap();
            let order = curve.order(3);
            assert!((order - f64::from(solver.order())).abs() < 0.1, "{order} {curve:?}");
        }
    }
}
