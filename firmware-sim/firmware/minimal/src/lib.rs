//! Parses a model, samples one image, writes its pixels: everything a firmware asks of the runtime, and nothing else.
//!
//! Linked with [`mote_minimal`] as the entry, all that remains is the runtime, what it needs of the compiler's libraries, and this
//! function. It is measured, not run.
#![no_std]

use mote_runtime::{Arena, Config, Model, Sampler, Start};

/// An image from a seed. `false` where the model is refused or the memory too small.
#[allow(unsafe_code, reason = "the linker finds it by this name")]
#[unsafe(no_mangle)]
pub fn mote_minimal(model: &'static [u8], memory: &mut [u8], pixels: &mut [u8], seed: u64, steps: u32) -> bool {
    let Ok(model) = Model::parse(model) else {
        return false;
    };
    let Ok(mut arena) = Arena::new(memory) else {
        return false;
    };
    let config = Config {
        seed,
        ..Config::of(model.header(), steps)
    };
    let Ok(mut run) = Sampler::new(&model, &mut arena, &config, &Start::Seed) else {
        return false;
    };
    while let Ok(step) = run.step() {
        if step.is_none() {
            return run.image(pixels).is_ok();
        }
    }
    false
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
