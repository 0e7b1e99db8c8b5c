//! The work itself: the model that is linked in, one image for each seed.

#[cfg(feature = "paired")]
use crate::second::Second;
#[cfg(feature = "paired")]
use mote_runtime::Pair;
use mote_runtime::internals::sampler::q24_to_pixel;
use mote_runtime::{Arena, Config, Feature, Model, ParseError, Portable, RunError, Sampler, Start};
#[cfg(feature = "streamed")]
use mote_runtime::{ReadFailed, Streamed, WeightReader};

use crate::report::{self, Watch};
use crate::request::{Output, Request, StartFrom, Vouched};
use crate::{clock, hw, request};

/// Why there is no image. The runner shows it as it stands.
#[derive(Clone, Copy, defmt::Format)]
enum Refusal {
    /// The model file.
    Model(ParseError),
    /// The request, or the arena.
    Run(RunError),
    /// The stack was used up.
    StackOverflow,
}

impl From<RunError> for Refusal {
    fn from(error: RunError) -> Self {
        Self::Run(error)
    }
}

/// Samples an image for each seed of the request; logs why not, if not.
pub fn run(request: &Request) -> bool {
    match every_seed(request) {
        Ok(()) => true,
        Err(refusal) => {
            defmt::error!("refused: {}", refusal);
            false
        }
    }
}

fn every_seed(request: &Request) -> Result<(), Refusal> {
    // Borrowed where it was returned, as the run below: a copy would stay on the stack for the whole run.
    let checked = checked_model(request.vouched);
    let model = match &checked {
        Ok(model) => model,
        Err(refusal) => return Err(*refusal),
    };
    #[cfg(not(any(feature = "streamed", feature = "paired")))]
    let mut arena = Arena::new(hw::arena())?;
    #[cfg(any(feature = "streamed", feature = "paired"))]
    let (mut arena, mut more) = {
        let memory = hw::arena();
        let own = mote_runtime::arena_bytes(model, &request.config).next_multiple_of(16);
        let (own, more) = memory.split_at_mut(own.min(memory.len()));
        (Arena::new(own)?, Arena::new(more)?)
    };
    #[cfg(feature = "streamed")]
    let mut network = Streamed::new(model, External, &mut more)?;
    #[cfg(feature = "paired")]
    let mut network = Pair::new(model, Second::start(), &mut more)?;
    #[cfg(not(any(feature = "streamed", feature = "paired")))]
    let mut network = core::marker::PhantomData;
    for index in 0..request.seeds {
        let seed = request::seed(index).unwrap_or_default();
        let config = Config { seed, ..request.config };
        one_image(model, &mut arena, &config, request, &mut network)?;
    }
    #[cfg(feature = "paired")]
    defmt::info!("the second core ran {=u32} halves", network.into_join().halves);
    Ok(())
}

/// The reader of weights: those behind the model stand for external flash, and nothing else looks at them.
#[cfg(feature = "streamed")]
struct External;

#[cfg(feature = "streamed")]
impl WeightReader for External {
    fn read(&mut self, at: u32, into: &mut [u8], meanwhile: impl FnOnce()) -> Result<(), ReadFailed> {
        let (model, all) = (Model::in_slot(hw::model()), hw::model());
        let weights = all.get(model.len().next_multiple_of(16)..).ok_or(ReadFailed)?;
        let from = weights.get(at as usize..).and_then(|from| from.get(..into.len()));
        into.copy_from_slice(from.ok_or(ReadFailed)?);
        meanwhile();
        Ok(())
    }
}

/// What runs the network's calls; nothing in a firmware whose model is addressed whole.
#[cfg(feature = "streamed")]
type Caller<'s> = Streamed<'s, External>;
#[cfg(feature = "paired")]
type Caller<'s> = Pair<'s, Second>;
#[cfg(not(any(feature = "streamed", feature = "paired")))]
type Caller<'s> = core::marker::PhantomData<&'s ()>;

/// On a stack frame of its own, which is gone when sampling begins.
#[inline(never)]
fn checked_model(vouched: Option<Vouched>) -> Result<Model<'static>, Refusal> {
    #[cfg(feature = "streamed")]
    let (model, ticks) = {
        let _ = vouched;
        clock::timed(|| Model::parse_apart(Model::in_slot(hw::model())))
    };
    #[cfg(not(feature = "streamed"))]
    let (model, ticks) = clock::timed(|| vouched.map_or_else(|| Model::parse(hw::model()), trusted_model));
    let model = model.map_err(Refusal::Model)?;
    report::model(&model, ticks);
    Ok(model)
}

#[cfg(not(feature = "streamed"))]
#[allow(unsafe_code, reason = "it is called with the word of who linked the model in")]
fn trusted_model(_: Vouched) -> Result<Model<'static>, ParseError> {
    // SAFETY: who made the word has promised it.
    unsafe { Model::parse_trusted(hw::model()) }
}

/// What is linked in, without the condition vector at its end where the model takes one, and that vector.
#[inline(always)]
fn split_condition<'a>(model: &Model<'_>, linked: &'a [i32]) -> (&'a [i32], Option<&'a [i32]>) {
    if !Feature::Condition.is_built() {
        return (linked, None);
    }
    match model.condition_len() {
        0 => (linked, None),
        len => match linked.split_at_checked(linked.len().wrapping_sub(len)) {
            Some((before, condition)) => (before, Some(condition)),
            None => (linked, Some(&[])),
        },
    }
}

#[cfg_attr(
    not(any(feature = "streamed", feature = "paired")),
    expect(unused_variables, reason = "the sampler runs the network itself")
)]
fn one_image(
    model: &Model<'_>,
    arena: &mut Arena<'_>,
    config: &Config,
    request: &Request,
    network: &mut Caller<'_>,
) -> Result<(), Refusal> {
    // What is linked in is the start, then the known image, then the condition vector, each where there is one.
    let (linked, condition) = split_condition(model, hw::linked_state());
    let inpaint = Feature::Inpaint.is_built() && request.inpaint;
    let seen = request.seen.filter(|_| Feature::Posterior.is_built());
    let known_len = if inpaint || seen.is_some() {
        model.header().sample_len()
    } else {
        0
    };
    let (begin, known) = linked
        .split_at_checked(linked.len().saturating_sub(known_len))
        .unwrap_or_default();
    let start = match request.start {
        StartFrom::Seed => Start::Seed,
        StartFrom::Noise => Start::Noise(begin),
        StartFrom::Image { strength_q16 } => Start::Image {
            image_q24: begin,
            strength_q16,
        },
        StartFrom::Between { second, part_q16 } => Start::Between { second, part_q16 },
    };
    let (mut run, ticks) = clock::timed(|| Sampler::new(model, arena, config, &start));
    let run = match &mut run {
        Ok(run) => run,
        Err(error) => return Err(Refusal::Run(*error)),
    };
    if inpaint {
        run.inpaint(known)?;
    }
    if let Some(noise) = seen {
        run.posterior(known, noise)?;
    }
    if let Some(condition) = condition {
        run.condition(condition)?;
        report::clamped(run.clamped());
    }
    report::start(config.seed, ticks);
    let mut watch = Watch::new(request.observe);
    loop {
        #[cfg(any(feature = "streamed", feature = "paired"))]
        let (step, ticks) = clock::timed(|| run.step_by(network, &mut watch));
        #[cfg(not(any(feature = "streamed", feature = "paired")))]
        let (step, ticks) = clock::timed(|| run.step_observed(&mut watch));
        let Some(step) = step? else { break };
        report::step(&step, ticks);
        if !hw::stack_sufficed() {
            return Err(Refusal::StackOverflow);
        }
    }
    let drawn = Feature::Decoder.is_built() && drawn(model, run, request)?;
    if request.output != Output::Digest && !drawn {
        report::pixels(run.state().iter().map(|&x| q24_to_pixel(x)));
    }
    if request.output == Output::PixelsAndState {
        report::state(run.state());
    }
    Ok(())
}

/// Makes the picture where the model has a decoder, and sends it as it is made.
#[inline(never)]
fn drawn(model: &Model<'_>, run: &mut Sampler<'_, '_>, request: &Request) -> Result<bool, Refusal> {
    let Some(decoder) = &model.decoder() else {
        return Ok(false);
    };
    let mut watch = report::Drawn::new(request.observe, request.output != Output::Digest);
    let (done, ticks) = clock::timed(|| run.decode_by(decoder, &mut Portable, &mut watch));
    done?;
    report::picture(watch.digest(), ticks);
    if !hw::stack_sufficed() {
        return Err(Refusal::StackOverflow);
    }
    Ok(true)
}
