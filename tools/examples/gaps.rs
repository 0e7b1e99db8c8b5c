//! Fills a gap in a signal, as a device does whose sensor lost contact: what is known stays, the rest is drawn.
//!
//!     cargo run --release -p mote-tools --example gaps -- ecg.mote ecg/beats.safetensors:beats gaps.svg
//!
//! The picture shows the signal, and four ways in which the model fills its middle.

use mote_runtime::Config;
use mote_runtime::internals::sampler::UNKNOWN;
use mote_tools::backend::Sampling;
use mote_tools::request::noise_of_file;
use mote_tools::{Backend, Error, ModelFile};
use std::fmt::Write as _;
use std::path::Path;

/// Ways to fill the gap, from seeds 0 and up, and the steps of each.
const FILLS: u64 = 4;
const STEPS: u32 = 20;

fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, signals, picture] = &args[..] else {
        return Err(Error::usage("three arguments are wanted").help("gaps MODEL.mote SIGNALS.safetensors:KEY OUT.svg"));
    };
    for (seed, digest, error) in run(Path::new(model), signals, Path::new(picture))? {
        println!(
            "seed {seed}  digest {digest:016x}  the gap is filled {error:.3} from what was there (root mean square)"
        );
    }
    Ok(())
}

/// Fills the middle third of the first signal; gives seed, digest and root mean squared error of each way, and draws them.
pub fn run(model: &Path, signals: &str, picture: &Path) -> Result<Vec<(u64, u64, f64)>, Error> {
    let file = ModelFile::open(model)?;
    let shape = file.shape();
    let signal = noise_of_file(signals, shape)?.swap_remove(0);
    let gap = shape.cols / 3 * shape.channels..shape.cols * 2 / 3 * shape.channels;
    let mut known = signal.clone();
    known[gap.clone()].fill(UNKNOWN);
    let mut sampling = Sampling::of_seeds(Config::of(file.model().header(), STEPS), 0..FILLS);
    sampling.known = Some(known);
    let traces = Backend::Cpu.run(file.opened(), &sampling, &|| ())?;
    let value = |q24: i32| f64::from(q24) / f64::from(1 << 24);
    let error = |state: &[i32]| {
        let squares = gap.clone().map(|i| (value(state[i]) - value(signal[i])).powi(2));
        (squares.sum::<f64>() / gap.len() as f64).sqrt()
    };
    let found = traces
        .iter()
        .map(|trace| (trace.seed, trace.digest(), error(&trace.state)))
        .collect();
    let curve = |state: &[i32], colour: &str| {
        let mut points = String::new();
        for (t, sample) in state.chunks(shape.channels).enumerate() {
            let _ = write!(points, "{},{:.1} ", 4 * t, 80.0 - 60.0 * value(sample[0]));
        }
        format!("<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{points}\"/>\n")
    };
    let (width, at) = (4 * shape.cols, 4 * gap.start / shape.channels);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} 160\">\n\
         <rect width=\"{width}\" height=\"160\" fill=\"white\"/>\n<rect x=\"{at}\" width=\"{}\" height=\"160\" fill=\"#f0eee8\"/>\n",
        4 * gap.len() / shape.channels
    );
    traces.iter().for_each(|trace| svg += &curve(&trace.state, "#4fc3b5"));
    svg += &(curve(&signal, "#1f2328") + "</svg>\n");
    std::fs::write(picture, svg).map_err(|error| Error::new(format_args!("{}: {error}", picture.display())))?;
    Ok(found)
}
