//! Small chains of 2015 whose weights are drawn at random: nothing is learned, everything is used.

use candle_core::{Device, Tensor, Var};
use mote_host::chain::heartbeat::Heartbeat;
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
    let heartbeat = Heartbeat::new(BIT_STEPS, 1).expect("the chain is made");
    fill(&heartbeat.mlp.readout, 0.3);
    fill(&heartbeat.mlp.bias, 0.5);
    heartbeat
}

/// A Gaussian chain of 40 steps over the plane.
pub fn plane() -> SwissRoll {
    let roll = SwissRoll::new(1).expect("the chain is made");
    fill(&roll.rbf.readout, 0.8);
    fill(&roll.rbf.bias, 0.3);
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

fn fill(var: &Var, size: f32) {
    let mut random = Random(7);
    let values: Vec<f32> = (0..var.elem_count()).map(|_| random.unit() * size).collect();
    let tensor = Tensor::from_vec(values, var.shape(), &Device::Cpu).and_then(|t| t.to_dtype(var.dtype()));
    tensor.and_then(|t| var.set(&t)).expect("the shape is the variable's");
}
