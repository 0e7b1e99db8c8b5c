//! Diffusion chains of Sohl-Dickstein et al., "Deep unsupervised learning using nonequilibrium thermodynamics" (ICML 2015): a
//! forward process that destroys data step by step, a learned reverse process, and a bound on the likelihood in bits.
//!
//! - [`binomial`], [`gaussian`]: the forward processes and the form of their reverse kernels, which the network perturbs around
//!   equilibrium.
//! - [`bound`]: the bound K, its terms and L_null; [`bayes`]: the best factorized reverse process over a finite data set, K's ceiling.
//! - [`heartbeat`], [`swiss_roll`]: the paper's two toys: data, network, training, sampling. [`rbf`]: the swiss roll's network.
//! - [`condition`]: a second factor r(x): inpainting and denoising.
//! - [`random`]: seeded draws.
//!
//! The networks are float graphs like any other: trained by the same passes, lowered and converted by the same code. Steps count from 1
//! (least noise) to T; x_0 is data. A graph's timesteps count from 0: step t is timestep t - 1.

use mote_graph::graph::Graph;

pub mod bayes;
pub mod binomial;
pub mod bound;
pub mod condition;
pub mod gaussian;
pub mod heartbeat;
pub mod random;
pub mod rbf;
pub mod swiss_roll;

/// The learning rate at a share `at` of a run: up over the first 2 %, then down along half a cosine to 0.
fn rate(peak: f64, at: f64) -> f64 {
    let warm = 0.02;
    if at < warm {
        peak * at / warm
    } else {
        let done = ((at - warm) / (1.0 - warm)).min(1.0);
        peak * 0.5 * (1.0 + libm::cos(core::f64::consts::PI * done))
    }
}

/// Matrices `(row, col)` that follow each other, each as `(col, row)`.
pub fn transposed<T: Copy>(values: &[T], [rows, cols]: [usize; 2]) -> Vec<T> {
    let each = values.chunks_exact(rows * cols);
    each.flat_map(|matrix| (0..rows * cols).map(move |i| matrix[i % rows * cols + i / rows]))
        .collect()
}

/// The graph with its sample named as chains' model files name it.
fn named_input(mut graph: Graph) -> Graph {
    if let Some(sample) = graph.sample() {
        graph.values[sample.0].name = "input".to_owned();
        let nodes = graph.nodes.iter_mut().filter(|node| node.output == sample);
        nodes.for_each(|node| node.name = "input".to_owned());
    }
    graph
}

/// Samples that a network computes together: these networks are small.
const TOGETHER: usize = 512;

/// Nats in a bit.
pub const LN_2: f64 = core::f64::consts::LN_2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matrices_are_transposed_one_by_one() {
        let two = [1, 2, 3, 4, 5, 6, 10, 20, 30, 40, 50, 60];
        let turned = [1, 4, 2, 5, 3, 6, 10, 40, 20, 50, 30, 60];
        assert_eq!(transposed(&two, [2, 3]), turned);
        assert_eq!(transposed(&turned, [3, 2]), two);
    }

    #[test]
    fn the_rate_rises_and_falls() {
        assert_eq!((rate(2.0, 0.0), rate(2.0, 0.01), rate(2.0, 0.02)), (0.0, 1.0, 2.0));
        assert!((rate(2.0, 0.51) - 1.0).abs() < 1e-12 && rate(2.0, 1.0).abs() < 1e-12);
    }
}
