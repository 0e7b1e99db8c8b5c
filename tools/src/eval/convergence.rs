//! How DDIM and DPM-Solver++(2M) come nearer to the probability flow: errors by steps, and the orders observed.

use super::Subject;
use crate::Error;
use crate::report::plots::{Series, loglog};
use mote_graph::draws::normals;
use mote_graph::sde::convergence::Curve;
use mote_graph::sde::flow::follow;
use mote_graph::sde::gaussian::Gaussian;
use mote_graph::sde::rk45::Tolerance;
use mote_graph::sde::steps::Solver;

const SOLVERS: [Solver; 2] = [Solver::Ddim, Solver::DpmSolver2M];
/// Numbers of steps on normal data, and on a network.
const STEPS: [usize; 8] = [5, 10, 20, 40, 80, 160, 320, 640];
const NETWORK_STEPS: [usize; 6] = [5, 10, 20, 40, 80, 160];
/// Points at the end of a curve that its order is taken from.
const LAST: usize = 3;
/// How far an observed order may be from the solver's, on normal data.
const NEAR: f64 = 0.1;
/// Samples that errors are the mean over.
const SAMPLES: usize = 64;
const NETWORK_SAMPLES: usize = 8;

/// Errors of the solvers by their steps.
#[derive(Debug, Clone)]
pub struct Convergence {
    /// What they were measured on.
    pub of: String,
    /// What they were compared with.
    pub reference: String,
    /// One a solver.
    pub curves: Vec<Curve>,
    /// Whether the orders are the solvers' own; on a network nothing is asked of them, it is only as smooth as it is.
    pub held: bool,
}

impl Convergence {
    /// The order that a curve shows at its end.
    #[must_use]
    pub fn order(curve: &Curve) -> f64 {
        curve.order(LAST)
    }

    /// Both curves on logarithmic axes, as SVG.
    #[must_use]
    pub fn plot(&self) -> String {
        let series = |curve: &Curve| Series {
            name: format!("{}, observed order {:.2}", curve.solver.name(), Self::order(curve)),
            points: curve
                .points
                .iter()
                .map(|(steps, error)| (*steps as f64, *error))
                .collect(),
        };
        let series: Vec<Series> = self.curves.iter().map(series).collect();
        let title = format!("Error against the probability flow of {} ({})", self.of, self.reference);
        loglog(&title, "steps", "root mean square error", &series)
    }
}

/// On normal data, where the flow's solution is known. It holds where the orders are the solvers' own.
///
/// # Errors
/// None that a test has found.
pub fn convergence_on_normal_data(seed: u64) -> Result<Convergence, Error> {
    let data = Gaussian::example();
    // From alpha_bar 4.5e-5 to 0.9999, about DDPM's.
    let ends = [5.0, -4.6];
    let start = normals(seed, 0, data.dims() * SAMPLES);
    let exact: Vec<f64> = start
        .chunks_exact(data.dims())
        .flat_map(|x| data.flow(x, ends[0], ends[1]))
        .collect();
    let measure = |solver| {
        let model = |x: &[f64], u: f64| Ok::<_, Error>(data.noise(x, u));
        Curve::measure(solver, &start, &exact, ends, &STEPS, model)
    };
    let curves = SOLVERS.into_iter().map(measure).collect::<Result<Vec<_>, _>>()?;
    let near = |curve: &Curve| (curve.order(LAST) - f64::from(curve.solver.order())).abs() < NEAR;
    Ok(Convergence {
        of: "normal data".into(),
        reference: "the closed form".into(),
        held: curves.iter().all(near),
        curves,
    })
}

impl Subject<'_> {
    /// On this network, against the adaptive solver.
    ///
    /// # Errors
    /// Of kind `Failed` where the adaptive solver cannot keep its tolerance.
    pub fn convergence(&self) -> Result<Convergence, Error> {
        let predictor = &self.predictor;
        let label = self.label(None, 0)?;
        let labels: Vec<usize> = label.map_or(vec![], |label| vec![label; NETWORK_SAMPLES]);
        let ends = [predictor.levels().highest(), predictor.levels().lowest()];
        let dims = predictor.dims();
        let start: Vec<f64> = (0..NETWORK_SAMPLES)
            .flat_map(|i| normals(self.options.seed.wrapping_add(i as u64), 0, dims))
            .collect();
        let model = |x: &[f64], u: f64| predictor.noise(x, u, &labels);
        let tolerance = self.options.tolerance;
        let exact = follow(start.clone(), dims, ends, Tolerance::of(tolerance), model)?.y;
        let measure = |solver| Curve::measure(solver, &start, &exact, ends, &NETWORK_STEPS, model);
        let curves = SOLVERS.into_iter().map(measure).collect::<Result<Vec<_>, _>>()?;
        Ok(Convergence {
            of: self.name.to_owned(),
            reference: format!("RK45 at {tolerance:e}"),
            curves,
            held: true,
        })
    }
}
