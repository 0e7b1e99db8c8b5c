//! Small chains of 2015 whose weights are drawn at random: nothing is learned, everything is used.

use mote_chain::heartbeat::Heartbeat;
use mote_chain::swiss_roll::SwissRoll;
use mote_chain::transposed;
use mote_tools::chain::convert::convert;
use mote_tools::chain::files::Chain;
use mote_tools::quantize::scheme::Scheme;

use crate::random::Random;

pub use mote_tools::chain::convert::SCHEMES;

/// The probability that a draw sets a bit: the number of words for which it does, found by bisection.
pub fn chance(draw: impl Fn(u32) -> bool) -> f64 {
    let (mut low, mut high) = (0u64, 1 << 32);
    while low < high {
        let middle = (low + high) / 2;
        if draw(middle as u32) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low as f64 / 4_294_967_296.0
}

/// Steps of the small binomial chain.
pub const BIT_STEPS: usize = 60;

/// A binomial chain of [`BIT_STEPS`] steps over 20 bits.
pub fn bits() -> Heartbeat {
    let mut heartbeat = Heartbeat::new(BIT_STEPS, 1).expect("the chain is made");
    // The first group's readout is 0.
    for (key, size) in [("readout.weight", 0.3), ("readout.bias", 0.5)] {
        let param = heartbeat.graph.params.get_mut(key).expect("it has a readout");
        let group: usize = param.shape[1..].iter().product();
        let mut values = vec![0.0; param.data.len() - group];
        fill(&mut values, size);
        let values = match param.shape[..] {
            [_, outs, ins] => transposed(&values, [ins, outs]),
            _ => values,
        };
        param.data[group..].copy_from_slice(&values);
    }
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
pub fn all(scheme: Scheme) -> [(&'static str, Vec<u8>); 2] {
    let file = |chain| {
        let converted = convert(&chain, scheme, None, "").expect("the chain is converted");
        converted.emitted.bytes
    };
    [
        ("bits", file(Chain::Heartbeat(bits()))),
        ("plane", file(Chain::SwissRoll(plane()))),
    ]
}

fn fill<T: From<f32>>(values: &mut [T], size: f32) {
    let mut random = Random(7);
    values.iter_mut().for_each(|v| *v = (random.unit() * size).into());
}
