//! Parses a model, samples one image, writes its pixels: everything a firmware asks of the runtime, and nothing else.
//!
//! Linked with [`mote_minimal`] as the entry, all that remains is the runtime, what it needs of the compiler's libraries, and this
//! function. It is measured, not run.
#![no_std]

use mote_runtime::{Arena, Config, Feature, Method, Model, ParseError, Sampler, Start};

/// What is chosen at run time, of what the build has.
pub struct Choice {
    seed: u64,
    steps: u32,
    /// By its number ([`Method::numbered`]); what is not built is DDIM.
    sampler: u8,
    /// To start on the way to another seed, Q16.
    part_q16: Option<u32>,
    /// To make a part of an image only.
    known: Option<&'static [i32]>,
}

impl Choice {
    fn method(&self) -> Method {
        if !Method::IS_A_CHOICE {
            return Method::Ddim;
        }
        let method = Method::numbered(self.sampler.into()).filter(|method| method.is_built());
        method.unwrap_or(Method::Ddim)
    }

    #[cfg(not(feature = "choices"))]
    fn config(&self, model: &Model<'_>) -> Config {
        Config {
            seed: self.seed,
            method: self.method(),
            eta_q16: 0,
            ..Config::of(model.header(), self.steps)
        }
    }

    #[cfg(feature = "choices")]
    fn config(&self, model: &Model<'_>) -> Config {
        // What a caller in between may have changed of it.
        core::hint::black_box(Config {
            seed: self.seed,
            method: self.method(),
            ..Config::of(model.header(), self.steps)
        })
    }

    fn start(&self) -> Start<'static> {
        match self.part_q16 {
            Some(part_q16) if Feature::Interpolate.is_built() => Start::Between {
                second: !self.seed,
                part_q16,
            },
            _ => Start::Seed,
        }
    }
}

/// An image from a seed. `false` where the model is refused or the memory too small.
#[cfg(not(feature = "choices"))]
#[allow(unsafe_code, reason = "the linker finds it by this name")]
#[unsafe(no_mangle)]
pub fn mote_minimal(model: &'static [u8], memory: &mut [u8], pixels: &mut [u8], choice: &Choice) -> bool {
    let Ok(model) = parsed(model) else {
        return false;
    };
    let Ok(mut arena) = Arena::new(memory) else {
        return false;
    };
    let config = choice.config(&model);
    let Ok(mut run) = Sampler::new(&model, &mut arena, &config, &choice.start()) else {
        return false;
    };
    if let (true, Some(known)) = (Feature::Inpaint.is_built(), choice.known)
        && run.inpaint(known).is_err()
    {
        return false;
    }
    while let Ok(step) = run.step() {
        if step.is_none() {
            return run.image(pixels).is_ok();
        }
    }
    false
}

/// The same for a firmware that says what happens, as one in C can: why nothing was drawn, and each step's digest.
#[cfg(feature = "choices")]
#[allow(unsafe_code, reason = "the linker finds it by this name")]
#[unsafe(no_mangle)]
pub fn mote_minimal(
    model: &'static [u8],
    memory: &mut [u8],
    pixels: &mut [u8],
    choice: &Choice,
    last: &mut mote_runtime::Step,
) -> Result<(), Failure> {
    let model = parsed(model).map_err(Failure::Model)?;
    let mut arena = Arena::new(memory).map_err(Failure::Run)?;
    let config = choice.config(&model);
    let mut run = Sampler::new(&model, &mut arena, &config, &choice.start()).map_err(Failure::Run)?;
    if let (true, Some(known)) = (Feature::Inpaint.is_built(), choice.known) {
        run.inpaint(known).map_err(Failure::Run)?;
    }
    while let Some(step) = run.step().map_err(Failure::Run)? {
        *last = step;
    }
    run.image(pixels).map_err(Failure::Run)
}

/// Why nothing was drawn.
#[cfg(feature = "choices")]
#[derive(Clone, Copy)]
pub enum Failure {
    /// The file is no model.
    Model(ParseError),
    /// The run cannot begin or go on.
    Run(mote_runtime::RunError),
}

#[cfg(not(feature = "trusted"))]
fn parsed(model: &'static [u8]) -> Result<Model<'static>, ParseError> {
    Model::parse(model)
}

#[cfg(feature = "trusted")]
#[allow(unsafe_code, reason = "what a firmware may do whose build has parsed the model")]
fn parsed(model: &'static [u8]) -> Result<Model<'static>, ParseError> {
    // SAFETY: it is never run.
    unsafe { Model::parse_trusted(model) }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
