//! What to do, from the semihosting command line: `mote key=value ...`.
//!
//! Numbers are hexadecimal without prefix (negative ones as their two's complement), so that reading one needs no
//! multiplication or division. `seeds` is a list with `:` between; only their number is kept, and a seed is read again
//! from the command line when its turn comes, which costs no RAM while sampling.

use mote_runtime::{Clip, Config, Feature, Method, PrevRule, Spacing};

use crate::{drill::Drill, hw};

/// Why the command line could not be used.
#[derive(Clone, Copy, defmt::Format)]
pub enum RequestError {
    /// The host gave no command line, or one longer than the buffer.
    NoCommandLine,
    /// The token at this position (from 0) is not `key=value`, or its key or value is not known.
    Token { position: u8 },
}

/// What to do.
#[derive(Clone, Copy)]
pub enum Task {
    /// Sample from the model.
    Sample,
    /// Fail, or measure, on purpose.
    Drill(Drill),
}

/// Where a run starts.
#[derive(Clone, Copy)]
pub enum StartFrom {
    /// At noise from the seed.
    Seed,
    /// At the noise that is linked in.
    Noise,
    /// At the image that is linked in, noised to this strength.
    Image { strength_q16: u32 },
    /// At noise between the seed's and another's.
    Between { second: u64, part_q16: u32 },
}

/// What is reported of each operator.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Observe {
    /// Nothing.
    Steps,
    /// The digest of its output.
    OpDigests,
    /// Its ticks.
    OpTicks,
}

/// What is sent of each image.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Nothing.
    Digest,
    /// Its pixels.
    Pixels,
    /// Its pixels and the final state.
    PixelsAndState,
}

/// The word of who linked the model in that `Model::parse` of this very runtime has accepted it.
#[derive(Clone, Copy)]
pub struct Vouched(());

impl Vouched {
    /// Gives the word.
    ///
    /// # Safety
    /// What [`Model::parse_trusted`](mote_runtime::Model::parse_trusted) asks for must hold of the model that is linked in.
    #[allow(unsafe_code, reason = "who calls it vouches for the model")]
    pub const unsafe fn new() -> Self {
        Self(())
    }
}

#[allow(unsafe_code, reason = "the runner vouches for what it links in")]
fn host_vouches() -> Vouched {
    // SAFETY: the runner sends this word to no image but one whose model its runtime, of the same source, has parsed.
    unsafe { Vouched::new() }
}

/// The request, without its seeds.
#[derive(Clone, Copy)]
pub struct Request {
    /// What to do.
    pub task: Task,
    /// The run's configuration, but for the seed.
    pub config: Config,
    /// Where it starts.
    pub start: StartFrom,
    /// Whether the image that is linked in last is known.
    pub inpaint: bool,
    /// Of a chain: how well the elements that are linked in last are known.
    pub seen: Option<u32>,
    /// Where nothing but the model's checksum is checked: the host's word that it has parsed the model.
    pub vouched: Option<Vouched>,
    /// What is reported of each operator.
    pub observe: Observe,
    /// What is sent of each image.
    pub output: Output,
    /// How many seeds the command line holds.
    pub seeds: u32,
}

impl Request {
    /// Reads the whole command line. What it does not say is 0, or as in [`Config`]'s deterministic default.
    pub fn parse(line: Option<&[u8]>) -> Result<Self, RequestError> {
        let line = line.ok_or(RequestError::NoCommandLine)?;
        let config = Config {
            steps: 0,
            spacing: Spacing::Leading,
            prev: PrevRule::List,
            eta_q16: 0,
            clip: Clip::Off,
            clip_range_q24: 1 << 24,
            class: None,
            guidance_q16: None,
            seed: 0,
            method: Method::Ddim,
        };
        let (task, start) = (Task::Sample, StartFrom::Seed);
        let mut request = Self {
            task,
            config,
            start,
            inpaint: false,
            seen: None,
            vouched: None,
            observe: Observe::Steps,
            output: Output::Digest,
            seeds: 0,
        };
        for (position, token) in tokens(line).enumerate() {
            request.take(token).ok_or(RequestError::Token {
                position: position as u8,
            })?;
        }
        Ok(request)
    }

    fn take(&mut self, token: &[u8]) -> Option<()> {
        let (key, value) = split_once(token, b'=')?;
        if key == b"seeds" {
            for seed in value.split(|&byte| byte == b':') {
                hex(seed)?;
                self.seeds += 1;
            }
            return Some(());
        }
        if key == b"drill" {
            self.task = Task::Drill(Drill::named(value)?);
            return Some(());
        }
        let wide = hex(value)?;
        let value = wide as u32;
        match key {
            b"steps" => self.config.steps = value,
            b"spacing" => self.config.spacing = choice(&Spacing::ALL, value)?,
            b"prev" => self.config.prev = choice(&PrevRule::ALL, value)?,
            b"eta" => self.config.eta_q16 = value,
            b"clip" => self.config.clip = choice(&Clip::ALL, value)?,
            b"range" => self.config.clip_range_q24 = value as i32,
            b"class" => self.config.class = Some(value as u16),
            b"guidance" => self.config.guidance_q16 = Some(value as i32),
            b"noise" => self.start = StartFrom::Noise,
            b"strength" => self.start = StartFrom::Image { strength_q16: value },
            b"method" if Method::IS_A_CHOICE => self.config.method = method(value)?,
            b"inpaint" if Feature::Inpaint.is_built() => self.inpaint = true,
            b"seen" if Feature::Posterior.is_built() => self.seen = Some(value),
            b"part" if Feature::Interpolate.is_built() => {
                self.start = StartFrom::Between {
                    second: 0,
                    part_q16: value,
                }
            }
            b"second" if Feature::Interpolate.is_built() => match &mut self.start {
                StartFrom::Between { second, .. } => *second = wide,
                _ => return None,
            },
            b"trusted" if value == 1 => self.vouched = Some(host_vouches()),
            b"observe" => self.observe = observe(value)?,
            b"output" => self.output = output(value)?,
            _ => return None,
        }
        Some(())
    }
}

/// The choice of that number.
fn choice<T: Copy>(all: &[T], number: u32) -> Option<T> {
    all.get(number as usize).copied()
}

/// A sampler that is not built is not understood.
fn method(number: u32) -> Option<Method> {
    Method::numbered(number).filter(|method| method.is_built())
}

fn observe(value: u32) -> Option<Observe> {
    match value {
        0 => Some(Observe::Steps),
        1 => Some(Observe::OpDigests),
        2 => Some(Observe::OpTicks),
        _ => None,
    }
}

fn output(value: u32) -> Option<Output> {
    match value {
        0 => Some(Output::Digest),
        1 => Some(Output::Pixels),
        2 => Some(Output::PixelsAndState),
        _ => None,
    }
}

/// Seed number `index` of the list on the command line, from 0.
pub fn seed(index: u32) -> Option<u64> {
    hw::with_command_line(|line| {
        let list = tokens(line?).find_map(|token| token.strip_prefix(b"seeds="))?;
        hex(list.split(|&byte| byte == b':').nth(index as usize)?)
    })
}

/// The tokens after the program's name.
fn tokens(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|&byte| byte == b' ')
        .skip(1)
        .filter(|token| !token.is_empty())
}

fn split_once(token: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = token.iter().position(|&byte| byte == separator)?;
    Some((token.get(..at)?, token.get(at + 1..)?))
}

/// Hexadecimal digits, 1 to 16 of them.
fn hex(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    digits.iter().try_fold(0u64, |value, &digit| {
        let nibble = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(nibble))
    })
}
