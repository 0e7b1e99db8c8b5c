//! What a run does, and how it is put to the firmware.

use std::time::Duration;

use mote_runtime::{Config, Feature};

use crate::error::SimError;

/// What the firmware reports of each operator, beside each step's digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Observe {
    /// Nothing: steps alone are timed and digested.
    #[default]
    Steps,
    /// The digest of each operator's output.
    OpDigests,
    /// The instructions of each operator.
    OpInstructions,
}

/// Where a run starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartFrom {
    /// At noise from the seed.
    #[default]
    Seed,
    /// At the noise that was linked into the image (`ImageOptions::state`).
    Noise,
    /// At the clean image that was linked in (`ImageOptions::state`), noised.
    Image {
        /// Share of the steps that are run, Q16.
        strength_q16: u32,
    },
    /// Between the noises of two seeds.
    Between {
        /// The other seed.
        second: u64,
        /// How far towards it, Q16.
        part_q16: u32,
    },
}

/// What the firmware sends of each image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// Nothing but its digest.
    #[default]
    Digest,
    /// Its pixels, a byte each.
    Pixels,
    /// Its pixels and the final state, Q24, an `i32` each.
    PixelsAndState,
}

/// A failure, or a measurement, on purpose instead of sampling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drill {
    /// A panic.
    Panic,
    /// An instruction that no core has.
    Fault,
    /// A stack overflow.
    Overflow,
    /// An endless loop.
    Spin,
    /// A loop of a known number of instructions: checks the clock.
    Calibrate,
}

/// What a run does.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRequest {
    /// Sampler, steps, spacing, eta, clipping, class and guidance. Its seed is not used.
    pub config: Config,
    /// Seeds, one image each.
    pub seeds: Vec<u64>,
    /// Where each image starts.
    pub start: StartFrom,
    /// Whether the last elements of what was linked in (`ImageOptions::state`) are the known image of an inpainting run.
    pub inpaint: bool,
    /// Whether they are what is known of a chain, and how well: [`mote_runtime::Sampler::posterior`].
    pub seen: Option<u32>,
    /// Whether the firmware checks nothing but the model's checksum. Refused for an image whose model this runtime did not accept.
    pub trusted: bool,
    /// What is reported of each operator.
    pub observe: Observe,
    /// What is sent of each image.
    pub output: Output,
    /// The longest that the whole run may take on the host's clock.
    pub limit: Duration,
    /// Do this instead.
    pub drill: Option<Drill>,
}

/// The firmware's room for the command line, less one for its terminator.
const COMMAND_LINE_BYTES: usize = 511;

impl RunRequest {
    /// An image for each of `seeds` under `config`: digests alone, two minutes at the most.
    pub fn new(config: Config, seeds: impl Into<Vec<u64>>) -> Self {
        Self {
            config,
            seeds: seeds.into(),
            start: StartFrom::default(),
            inpaint: false,
            seen: None,
            trusted: false,
            observe: Observe::default(),
            output: Output::default(),
            limit: Duration::from_secs(120),
            drill: None,
        }
    }

    /// The parts of the runtime that it needs, whatever the model.
    pub fn features(&self) -> Vec<Feature> {
        let between = matches!(self.start, StartFrom::Between { .. }).then_some(Feature::Interpolate);
        let inpaint = self.inpaint.then_some(Feature::Inpaint);
        let seen = self.seen.map(|_| Feature::Posterior);
        self.config
            .method
            .feature()
            .into_iter()
            .chain(between)
            .chain(inpaint)
            .chain(seen)
            .collect()
    }

    /// More than the firmware writes for it, bytes; `arena_bytes` is the arena of its image.
    pub(crate) fn most_output_bytes(&self, arena_bytes: u64) -> u64 {
        /// A line with its frame, and what a firmware says at its start and end.
        const LINE: u64 = 256;
        const AROUND: u64 = 1 << 20;
        /// More than there are in any model that fits a board.
        const OPERATORS: u64 = 4096;
        /// The pixels of a decoder's picture, which lies in no arena whole, as text.
        const PICTURE: u64 = 1 << 24;
        let observed = if self.observe == Observe::Steps { 1 } else { OPERATORS };
        // A step has at most two calls of the network, each twice under guidance.
        let lines = u64::from(self.config.steps)
            .saturating_mul(4 * observed)
            .saturating_mul(LINE);
        // A state lies in the arena; it is sent as text.
        let picture = PICTURE.saturating_add(observed * LINE);
        let image = lines
            .saturating_add(arena_bytes.saturating_mul(8))
            .saturating_add(picture);
        AROUND.saturating_add(image.saturating_mul(self.seeds.len() as u64))
    }

    /// The firmware's command lines, without the program's name: one for as many seeds as fit.
    ///
    /// # Errors
    /// `Request` without seeds.
    pub(crate) fn command_lines(&self) -> Result<Vec<Vec<String>>, SimError> {
        if let Some(drill) = self.drill {
            return Ok(vec![vec![format!("drill={}", drill.word())]]);
        }
        if self.seeds.is_empty() {
            return Err(SimError::Request("no seeds: give one for each image".into()));
        }
        let common = self.common();
        let taken: usize = "mote".len() + common.iter().map(|token| token.len() + 1).sum::<usize>() + " seeds=".len();
        let mut lines = Vec::new();
        let mut list = String::new();
        for seed in &self.seeds {
            let seed = format!("{seed:x}");
            if !list.is_empty() && taken + list.len() + 1 + seed.len() > COMMAND_LINE_BYTES {
                lines.push(std::mem::take(&mut list));
            }
            if !list.is_empty() {
                list.push(':');
            }
            list.push_str(&seed);
        }
        lines.push(list);
        let line = |list| common.iter().cloned().chain([format!("seeds={list}")]).collect();
        Ok(lines.into_iter().map(line).collect())
    }

    /// Every token but the seeds. Choices are said by their numbers, which are the runtime's ([`mote_runtime::internals::model::sampling`]).
    fn common(&self) -> Vec<String> {
        let config = &self.config;
        let method = u32::from(config.method.entry().number);
        let mut tokens = vec![
            ("steps", config.steps),
            ("spacing", config.spacing as u32),
            ("prev", config.prev as u32),
            ("eta", config.eta_q16),
            ("clip", config.clip as u32),
            ("range", config.clip_range_q24 as u32),
            ("observe", self.observe as u32),
            ("output", self.output as u32),
        ];
        tokens.extend(config.class.map(|class| ("class", class.into())));
        tokens.extend(config.guidance_q16.map(|weight| ("guidance", weight as u32)));
        // What a firmware for plain DDIM need not understand is said only where it is meant.
        tokens.extend((method != 0).then_some(("method", method)));
        tokens.extend(self.inpaint.then_some(("inpaint", 1)));
        tokens.extend(self.seen.map(|noise| ("seen", noise)));
        tokens.extend(self.trusted.then_some(("trusted", 1)));
        match self.start {
            StartFrom::Seed => {}
            StartFrom::Noise => tokens.push(("noise", 1)),
            StartFrom::Image { strength_q16 } => tokens.push(("strength", strength_q16)),
            StartFrom::Between { part_q16, .. } => tokens.push(("part", part_q16)),
        }
        let second = match self.start {
            StartFrom::Between { second, .. } => Some(format!("second={second:x}")),
            _ => None,
        };
        let tokens = tokens.into_iter().map(|(key, value)| format!("{key}={value:x}"));
        tokens.chain(second).collect()
    }

    /// The steps that each image takes: fewer than asked for where it starts from an image.
    pub(crate) fn steps(&self) -> u32 {
        match self.start {
            StartFrom::Image { strength_q16 } => {
                ((u64::from(self.config.steps) * u64::from(strength_q16) + (1 << 15)) >> 16) as u32
            }
            _ => self.config.steps,
        }
    }
}

impl Drill {
    fn word(self) -> &'static str {
        match self {
            Self::Panic => "panic",
            Self::Fault => "fault",
            Self::Overflow => "overflow",
            Self::Spin => "spin",
            Self::Calibrate => "calibrate",
        }
    }
}

#[cfg(test)]
mod tests {
    use mote_runtime::internals::model::sampling::Variance;
    use mote_runtime::{Clip, Method, PrevRule, Spacing};

    use super::*;

    fn config() -> Config {
        Config {
            steps: 20,
            spacing: Spacing::Trailing,
            prev: PrevRule::List,
            eta_q16: 0x8000,
            clip: Clip::Stock,
            clip_range_q24: 1 << 24,
            class: Some(3),
            guidance_q16: Some(-1),
            seed: 0,
            method: Method::Ddim,
        }
    }

    #[test]
    fn samplers_and_starts_are_said_and_ask_for_their_parts() {
        let request = RunRequest {
            start: StartFrom::Between {
                second: u64::MAX,
                part_q16: 1 << 15,
            },
            inpaint: true,
            ..RunRequest::new(
                Config {
                    method: Method::Ddpm(Variance::Large),
                    ..config()
                },
                [7],
            )
        };
        let line = request.command_lines().unwrap()[0].join(" ");
        assert!(
            line.contains("method=2 inpaint=1 part=8000 second=ffffffffffffffff seeds=7"),
            "{line}"
        );
        assert_eq!(
            request.features(),
            [Feature::Ddpm, Feature::Interpolate, Feature::Inpaint]
        );
        assert_eq!(RunRequest::new(config(), [7]).features(), []);
    }

    #[test]
    fn a_request_becomes_hexadecimal_tokens() {
        let request = RunRequest {
            output: Output::Pixels,
            ..RunRequest::new(config(), [7, u64::MAX])
        };
        let lines = request.command_lines().unwrap();
        let expected = "steps=14 spacing=1 prev=0 eta=8000 clip=1 range=1000000 observe=0 output=1 class=3 \
                        guidance=ffffffff seeds=7:ffffffffffffffff";
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].join(" "), expected);
    }

    #[test]
    fn many_seeds_take_many_lines() {
        let request = RunRequest::new(config(), (0..100).map(|seed| u64::MAX - seed).collect::<Vec<_>>());
        let lines = request.command_lines().unwrap();
        assert!(lines.len() > 1);
        let mut seeds = Vec::new();
        for line in &lines {
            assert!("mote ".len() + line.join(" ").len() <= COMMAND_LINE_BYTES);
            seeds.extend(line.last().unwrap()["seeds=".len()..].split(':').map(str::to_owned));
        }
        let expected: Vec<String> = request.seeds.iter().map(|seed| format!("{seed:x}")).collect();
        assert_eq!(seeds, expected);
    }

    #[test]
    fn no_seeds_is_an_error() {
        assert!(RunRequest::new(config(), []).command_lines().is_err());
    }

    #[test]
    fn a_start_from_an_image_skips_steps() {
        let start = StartFrom::Image { strength_q16: 1 << 15 };
        let request = RunRequest {
            start,
            ..RunRequest::new(config(), [1])
        };
        assert_eq!(request.steps(), 10);
        assert!(request.common().contains(&"strength=8000".to_owned()));
    }
}
