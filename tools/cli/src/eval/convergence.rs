//! How DDIM and DPM-Solver++(2M) come nearer to the probability flow: a plot, and the orders observed.

use super::checkpoint::Subject;
use super::{Args, output};
use crate::failure::Failure;
use crate::print::{self, Held};
use mote_host::draws::normals;
use mote_host::sde::convergence::Curve;
use mote_host::sde::flow::follow;
use mote_host::sde::gaussian::Gaussian;
use mote_host::sde::rk45::Tolerance;
use mote_host::sde::steps::Solver;
use mote_tools::files::OutputFile;
use mote_tools::report::plots::{Series, loglog};
use serde_json::json;

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

/// On normal data, where the flow's solution is known. It holds where the orders are the solvers' own.
pub fn on_normal_data(args: &Args) -> Result<Held, Failure> {
    let output = output(args)?;
    let data = Gaussian::example();
    // From alpha_bar 4.5e-5 to 0.9999, about DDPM's.
    let ends = [5.0, -4.6];
    let start = normals(args.seed, 0, data.dims() * SAMPLES);
    let exact: Vec<f64> = start
        .chunks_exact(data.dims())
        .flat_map(|x| data.flow(x, ends[0], ends[1]))
        .collect();
    let measure = |solver| {
        let model = |x: &[f64], u: f64| Ok::<_, Failure>(data.noise(x, u));
        Curve::measure(solver, &start, &exact, ends, &STEPS, model)
    };
    let curves = SOLVERS.into_iter().map(measure).collect::<Result<Vec<_>, _>>()?;
    let held = curves
        .iter()
        .all(|curve| (curve.order(LAST) - f64::from(curve.solver.order())).abs() < NEAR);
    report(args, &output, "normal data", "the closed form", &curves)?;
    Ok(held.into())
}

/// On a network, against the adaptive solver. What is observed is said, and nothing asked of it: a network is only as smooth as it is.
pub fn on_network(subject: &Subject<'_>) -> Result<Held, Failure> {
    let (args, predictor) = (subject.args, subject.predictor);
    let output = output(args)?;
    let label = subject.label(None, 0)?;
    let labels: Vec<usize> = label.map_or(vec![], |label| vec![label; NETWORK_SAMPLES]);
    let ends = [predictor.levels().highest(), predictor.levels().lowest()];
    let dims = predictor.dims();
    let start: Vec<f64> = (0..NETWORK_SAMPLES)
        .flat_map(|i| normals(args.seed.wrapping_add(i as u64), 0, dims))
        .collect();
    let model = |x: &[f64], u: f64| predictor.noise(x, u, &labels);
    let exact = follow(start.clone(), dims, ends, Tolerance::of(subject.tolerance()), model)?.y;
    let measure = |solver| Curve::measure(solver, &start, &exact, ends, &NETWORK_STEPS, model);
    let curves = SOLVERS.into_iter().map(measure).collect::<Result<Vec<_>, _>>()?;
    let reference = format!("RK45 at {:e}", subject.tolerance());
    report(args, &output, subject.name, &reference, &curves)?;
    Ok(Held::Yes)
}

fn report(args: &Args, output: &OutputFile, of: &str, reference: &str, curves: &[Curve]) -> Result<(), Failure> {
    let series: Vec<Series> = curves
        .iter()
        .map(|curve| Series {
            name: format!("{}, observed order {:.2}", curve.solver.name(), curve.order(LAST)),
            points: curve
                .points
                .iter()
                .map(|(steps, error)| (*steps as f64, *error))
                .collect(),
        })
        .collect();
    let title = format!("Error against the probability flow of {of} ({reference})");
    output.write(loglog(&title, "steps", "root mean square error", &series).as_bytes())?;
    if args.json {
        let curve = |curve: &Curve| {
            let points: Vec<_> = curve
                .points
                .iter()
                .map(|(steps, error)| json!({ "steps": steps, "rmse": error }))
                .collect();
            json!({ "solver": curve.solver.name(), "order": curve.solver.order(), "observed_order": curve.order(LAST),
                "points": points })
        };
        return print::json(&json!({
            "of": of, "reference": reference, "seed": args.seed, "file": output.shown(),
            "curves": curves.iter().map(curve).collect::<Vec<_>>(),
        }));
    }
    let mut table = vec![
        [
            &["steps"][..],
            &curves.iter().map(|c| c.solver.name()).collect::<Vec<_>>(),
            &[""],
        ]
        .concat(),
    ]
    .into_iter()
    .map(|row| row.into_iter().map(str::to_owned).collect())
    .collect::<Vec<Vec<String>>>();
    for (i, (steps, _)) in curves.first().map_or(&[][..], |c| &c.points).iter().enumerate() {
        let errors = curves.iter().map(|curve| format!("{:.3e}", curve.points[i].1));
        table.push(
            [steps.to_string()]
                .into_iter()
                .chain(errors)
                .chain([String::new()])
                .collect(),
        );
    }
    let orders = curves.iter().map(|curve| format!("{:.2}", curve.order(LAST)));
    table.push(
        ["order".to_owned()]
            .into_iter()
            .chain(orders)
            .chain([String::new()])
            .collect(),
    );
    print::text(&format!(
        "{}: root mean square error against the probability flow of {of} ({reference})\n{}",
        print::heading(&output.shown()),
        print::table(&table)
    ))
}
