//! Small chains of 2015 whose weights are drawn at random: nothing is learned, everything is used.

use mote_host::chain::heartbeat::Heartbeat;
use mote_host::chain::network::Real;
use mote_host::chain::swiss_roll::SwissRoll;
use mote_tools::chain::convert::{ChainScheme, convert};
use mote_tools::chain::files::Chain;

use crate::random::Random;

/// Every scheme.
pub const SCHEMES: [ChainScheme; 3] = [ChainScheme::F16, ChainScheme::W8A16, ChainScheme::W16A16];

/// Steps of the small binomial chain.
pub const BIT_STEPS: usize = 60;

/// A binomial chain of [`BIT_STEPS`] steps over 20 bits.
pub fn bits() -> Heartbeat {
    let mut heartbeat = Heartbeat::new(BIT_STEPS, 1);
    let network = &mut heartbeat.network;
    let [weights, biases] = network.places(network.layers.len() - 1);
    fill(&mut network.params[weights], 0.3);
    fill(&mut network.params[biases], 0.5);
    heartbeat
}

/// A Gaussian chain of 40 steps over the plane.
pub fn plane() -> SwissRoll {
    let mut roll = SwissRoll::new(1);
    fill(&mut roll.rbf.readout, 0.8);
    fill(&mut roll.rbf.bias, 0.3);
    roll
}

/// Both as model files.
pub fn all(scheme: ChainScheme) -> [(&'static str, Vec<u8>); 2] {
    let file = |chain| convert(&chain, scheme, "").expect("the chain is converted").bytes;
    [
        ("bits", file(Chain::Heartbeat(bits()))),
        ("plane", file(Chain::SwissRoll(plane()))),
    ]
}

fn fill<F: Real>(values: &mut [F], size: f32) {
    let mut random = Random(7);
    values
        .iter_mut()
        .for_each(|v| *v = F::of((random.unit() * size).into()));
}
