//! The bound of a model file's own chain: the float chain's code over the integer network's outputs.

use mote_chain::binomial::Binomial;
use mote_chain::bound::Bound;
use mote_chain::heartbeat::{LENGTH, bound};
use mote_engine::Engine;
use mote_engine::memory::AlignedBytes;
use mote_runtime::internals::model::exec::Call;
use mote_runtime::internals::schedule::chain::bit_q24;
use mote_runtime::{Model, Network, RunError, Unobserved};

/// K of a model of the heartbeat, from `draws` pairs of every step.
pub fn heartbeat_bound(model: &Model<'_>, chain: &Binomial, draws: usize, seed: u64) -> Result<Bound, RunError> {
    let engine = Engine::prepare(model);
    let mut worker = engine.worker();
    let mut arena = AlignedBytes::zeroed(model.header().arena_bytes as usize);
    bound(chain, draws, seed, |t, rows| {
        let mut outputs = Vec::with_capacity(rows.len() * LENGTH);
        for row in rows {
            let x_q24 = row.map(bit_q24);
            let call = Call::at(&x_q24, t as u32 - 1, 0);
            worker.forward(model, &call, arena.bytes_mut(), &mut Unobserved)?;
            let output = model.tensor(model.header().output).map(|tensor| tensor.range());
            let bytes = output.and_then(|range| arena.bytes().get(range)).unwrap_or_default();
            let value = |b: &[u8]| i32::from_le_bytes([b[0], b[1], b[2], b[3]]) as f32 / 16_777_216.0;
            outputs.extend(bytes.chunks_exact(4).map(value));
        }
        Ok(outputs)
    })
}
