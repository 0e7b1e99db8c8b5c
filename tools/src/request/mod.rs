//! What a user asks of a model: checked once, against the model, and then the same for every command and every backend.
//!
//! [`RunOptions`] choose the steps of a run, [`Request`] the images. [`Request::sampling`] checks both and gives the [`Sampling`] that
//! backends take. Whatever is not said is what the file says. A [`ConversionRequest`](conversion::ConversionRequest) is what is asked before
//! there is a file.

pub mod conversion;
mod factor;
mod start;

pub use factor::SecondFactor;
pub(crate) use start::Axes;
pub use start::{file_of_noise, known_elements, known_where, noise_of_file, sample_of_png};

use crate::Error;
use crate::backend::{ImageRequest, Origin, Sampling};
use crate::condition::{Conditions, FixedPoint};
use crate::convert::provenance::Provenance;
use mote_runtime::internals::model::header::Header;
use mote_runtime::internals::sampler::Variance;
use mote_runtime::internals::schedule::coefficients::Clip;
use mote_runtime::internals::schedule::spacing::{PrevRule, Spacing};
use mote_runtime::{Config, Method, Model, RunError};
use std::sync::Arc;

/// Steps of a run where none are asked for.
const DEFAULT_STEPS: u32 = 20;
/// Weights of guidance reach so far from zero.
const MOST_GUIDANCE: f64 = 1000.0;
/// Share of the steps that an image goes through where none is asked for.
const DEFAULT_STRENGTH: f64 = 0.5;

/// Which steps a run makes, and their coefficients. `None` is the default: what the file plans, or the checkpoint's own.
///
/// ```
/// use mote_tools::{RunOptions, Method};
///
/// let quick = RunOptions { sampler: Some(Method::DpmSolver2M), steps: Some(10), ..RunOptions::default() };
/// assert!(quick.check().is_ok());
/// // Only DDIM has a choice of noise.
/// assert!(RunOptions { eta: Some(0.5), ..quick }.check().is_err());
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct RunOptions {
    /// The sampler; DDIM by default.
    pub sampler: Option<Method>,
    /// The variance of the ancestral sampler; small by default.
    pub variance: Option<Variance>,
    /// Denoising steps, 1 to the training steps; 20 by default, all of a chain.
    pub steps: Option<u32>,
    /// How steps are spread over the training timesteps.
    pub spacing: Option<Spacing>,
    /// The timestep that a step goes to; the next in the list by default.
    pub prev: Option<PrevRule>,
    /// Noise that DDIM adds at each step, 0 (none) to 1 (DDPM's variance).
    pub eta: Option<f64>,
    /// What is done about a predicted image out of range.
    pub clip: Option<Clip>,
}

impl RunOptions {
    /// Checks what needs no model.
    ///
    /// # Errors
    /// Of kind `Usage`.
    pub fn check(&self) -> Result<(), Error> {
        if let Some(eta) = self.eta.filter(|eta| !(0.0..=1.0).contains(eta)) {
            return Err(
                Error::usage(format_args!("eta is {eta}; it must lie between 0 and 1")).help("give --eta from 0 to 1")
            );
        }
        self.sampler.map_or(Ok(()), |method| self.suits(method))
    }

    /// Whether variance and eta are `method`'s.
    fn suits(&self, method: Method) -> Result<(), Error> {
        if self.variance.is_some() && !matches!(method, Method::Ddpm(_)) {
            return Err(Error::usage("--variance is for --sampler ddpm").help("leave it out, or add --sampler ddpm"));
        }
        if self.eta.is_some_and(|eta| eta != 0.0) && method != Method::Ddim {
            return Err(
                Error::usage("--eta is for --sampler ddim").help("leave it out: other samplers have no choice of it")
            );
        }
        Ok(())
    }

    /// The configuration of a run of the model with this header: no class, no guidance, seed 0. It is not validated yet.
    ///
    /// # Errors
    /// Of kind `Usage`, as [`RunOptions::check`]; of kind `Refused` for an option that a chain of 2015 has no use for.
    pub fn config(&self, header: &Header) -> Result<Config, Error> {
        self.check()?;
        let usual = match header.schedule.plan() {
            Some(plan) => plan.steps,
            None if header.prediction.is_chain() => header.train_steps,
            None => DEFAULT_STEPS.min(header.train_steps),
        };
        let default = Config::of(header, self.steps.unwrap_or(usual));
        let method = self.method(default.method).on(header.prediction.levels());
        self.suits(method)?;
        if header.prediction.is_chain() {
            self.suits_chain(header)?;
        }
        let eta_q16 = match self.eta {
            Some(eta) => q16(eta) as u32,
            None if method == default.method => default.eta_q16,
            None => 0,
        };
        Ok(Config {
            spacing: self.spacing.unwrap_or(default.spacing),
            prev: self.prev.unwrap_or(default.prev),
            eta_q16,
            clip: self.clip.unwrap_or(default.clip),
            method,
            ..default
        })
    }

    /// Whether nothing is said that a chain would not heed: its kernels are its own, and where it makes all of its steps there is
    /// nothing to spread.
    fn suits_chain(&self, header: &Header) -> Result<(), Error> {
        let all = self.steps.is_none_or(|steps| steps == header.train_steps);
        let own = "a chain of 2015 has its own reverse kernels";
        let whole = "a chain of 2015 that makes all of its steps has none to spread";
        let given = [
            ("--sampler", self.sampler.is_some(), own),
            ("--eta", self.eta.is_some(), own),
            ("--clip", self.clip.is_some(), own),
            ("--spacing", self.spacing.is_some() && all, whole),
            ("--prev", self.prev.is_some() && all, whole),
        ];
        match given.iter().find(|(_, given, _)| *given) {
            None => Ok(()),
            Some((option, _, why)) => {
                Err(Error::refused(format_args!("{option}: {why}")).help(format_args!("leave {option} out")))
            }
        }
    }

    /// The same for `model`: the ancestral sampler takes the network's variances where the file has them and none is asked for.
    ///
    /// # Errors
    /// As [`RunOptions::suits_variance`].
    pub fn with_variance_of(&self, model: &Model<'_>) -> Result<Self, Error> {
        self.suits_variance(model)?;
        let ancestral = matches!(self.sampler, Some(Method::Ddpm(_))) && model.has_variances();
        Ok(Self {
            variance: self.variance.or(ancestral.then_some(Variance::Learned)),
            ..*self
        })
    }

    /// Whether the variance that the ancestral sampler would have is the model's, or asked for.
    ///
    /// # Errors
    /// Of kind `Refused` where the network learned its own, which the file does not hold, and none is asked for.
    pub fn suits_variance(&self, model: &Model<'_>) -> Result<(), Error> {
        let ancestral = matches!(self.sampler, Some(Method::Ddpm(_))) && self.variance.is_none();
        if !ancestral || !Provenance::lacks_variances(model) {
            return Ok(());
        }
        Err(Error::refused(
            "--sampler ddpm: learned variances (variance_type learned_range) have no place in a model file, which holds the mean alone",
        )
        .help("convert with --learned-variance keep, take another sampler, or say --variance small or large"))
    }

    fn method(&self, default: Method) -> Method {
        let variance = match (self.variance, default) {
            (Some(variance), _) => variance,
            (None, Method::Ddpm(variance)) => variance,
            _ => Variance::Small,
        };
        match self.sampler.unwrap_or(default) {
            Method::Ddpm(_) => Method::Ddpm(variance),
            other => other,
        }
    }
}

/// Where the images of a request start.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum StartFrom {
    /// At noise drawn from each image's seed.
    #[default]
    Seed,
    /// At given noise, one sample an image: Q24, `(row, col, channel)`.
    Noise(Vec<Vec<i32>>),
    /// At a clean image, noised as far as this share of the steps undoes.
    Image {
        /// Q24, `(row, col, channel)`.
        image_q24: Vec<i32>,
        /// Above 0 and up to 1.
        strength: f64,
    },
    /// Between the noises of the first seed and of another, evenly spread, both ends included.
    Between {
        /// The other seed.
        second: u64,
    },
}

impl StartFrom {
    /// At `image`, Q24 `(row, col, channel)`, where there is one. An image that is completed starts from noise, unless a strength is given.
    #[must_use]
    pub fn of_image(image: Option<Vec<i32>>, strength: Option<f64>, completed: bool) -> Self {
        let strength = strength.or((!completed).then_some(DEFAULT_STRENGTH));
        match (image, strength) {
            (Some(image_q24), Some(strength)) => Self::Image { image_q24, strength },
            _ => Self::Seed,
        }
    }
}

/// Images that are asked of a model.
///
/// ```
/// use mote_tools::Request;
///
/// // Four images of class 3, seeds 7 to 10.
/// let request = Request { class: Some(3), guidance: Some(2.0), seed: 7, count: Some(4), ..Request::default() };
/// assert_eq!(request.seeds(4), [7, 8, 9, 10]);
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Request {
    /// The steps.
    pub run: RunOptions,
    /// Class label of a conditional model.
    pub class: Option<u16>,
    /// Weight of classifier-free guidance, -1000 to 1000: two network calls a step.
    pub guidance: Option<f64>,
    /// Seed of the first image; the others count up from it.
    pub seed: u64,
    /// Number of images; 1 by default, or as many as there is noise given.
    pub count: Option<usize>,
    /// Where they start.
    pub start: StartFrom,
    /// Elements that every image keeps, Q24, `(row, col, channel)`, [`UNKNOWN`](mote_runtime::internals::sampler::UNKNOWN) elsewhere.
    pub known: Option<Vec<i32>>,
    /// What is known of every sample of a chain of 2015, in place of `known`.
    pub factor: Option<SecondFactor>,
    /// Condition vectors, for a model that takes them: a row an image, or one for all.
    pub condition: Option<Conditions>,
}

impl Request {
    /// `count` seeds from the first on.
    #[must_use]
    pub fn seeds(&self, count: usize) -> Vec<u64> {
        (0..count as u64).map(|i| self.seed.wrapping_add(i)).collect()
    }

    /// The configuration of the model's run, validated.
    ///
    /// # Errors
    /// Of kind `Usage` where the request cannot be, of kind `Refused` where it does not go with the model.
    pub fn config(&self, model: &Model<'_>) -> Result<Config, Error> {
        if let Some(weight) = self.guidance.filter(|w| !w.is_finite() || w.abs() > MOST_GUIDANCE) {
            return Err(Error::usage(format_args!("the weight of guidance is {weight}"))
                .help(format_args!("give --guidance from -{MOST_GUIDANCE} to {MOST_GUIDANCE}")));
        }
        let run = self.run.with_variance_of(model)?;
        let config = Config {
            class: self.class,
            guidance_q16: self.guidance.map(q16),
            seed: self.seed,
            ..run.config(model.header())?
        };
        config.validate_for(model)?;
        Ok(config)
    }

    /// The condition of each of `images` images, in the model's fixed point; none for a model that takes none. Where there are fewer rows
    /// than images, they begin again at the first.
    ///
    /// # Errors
    /// Of kind `Refused` where the model takes a condition and none is given, or the other way round; of kind `Input` for rows of another
    /// length.
    pub fn conditions(&self, model: &Model<'_>, images: usize) -> Result<Vec<Arc<[i32]>>, Error> {
        let expected = model.condition_len();
        let refused = |found: usize| RunError::Condition {
            expected: expected as u32,
            found: found as u32,
        };
        match (&self.condition, FixedPoint::of(model)) {
            (None, None) => Ok(vec![]),
            (None, Some(_)) => Err(refused(0).into()),
            (Some(rows), None) => Err(refused(rows.width()).into()),
            (Some(rows), Some(point)) => {
                rows.check_width(expected)?;
                Ok(rows.fixed(&point, images))
            }
        }
    }

    /// What a backend is to do: every image of the request, validated.
    ///
    /// # Errors
    /// As [`Request::config`].
    pub fn sampling(&self, model: &Model<'_>) -> Result<Sampling, Error> {
        let (config, header) = (self.config(model)?, model.header());
        let len = header.sample_len();
        if let Some(known) = &self.known {
            fits(known, len)?;
            if header.prediction.is_chain() {
                return Err(RunError::ChainSampler.into());
            }
        }
        let factor = self.factor.as_ref().map(|factor| factor.fixed(header)).transpose()?;
        let (known, known_noise) = match factor {
            Some((seen, noise)) => (Some(seen), noise),
            None => (self.known.clone(), 0),
        };
        let (count, origins) = self.origins(&config, header)?;
        let seeds = match self.start {
            StartFrom::Between { .. } => vec![self.seed; count],
            _ => self.seeds(count),
        };
        let conditions = self.conditions(model, count)?;
        let wanted = |(i, (seed, origin)): (usize, (u64, Origin))| ImageRequest {
            seed,
            origin,
            condition: conditions.get(i).cloned(),
        };
        let images = seeds.into_iter().zip(origins).enumerate();
        Ok(Sampling {
            config,
            images: images.map(wanted).collect(),
            known,
            known_noise,
            operators: false,
        })
    }

    /// The same for images of these seeds instead of counted ones; given noise is one sample a seed.
    ///
    /// # Errors
    /// As [`Request::sampling`]; of kind `Usage` where there is no seed, or another number of samples of noise.
    pub fn sampling_of(&self, model: &Model<'_>, seeds: &[u64]) -> Result<Sampling, Error> {
        let counted = Self {
            count: Some(seeds.len()),
            ..self.clone()
        };
        if let StartFrom::Noise(noise) = &self.start
            && noise.len() != seeds.len()
        {
            return Err(Error::usage(format_args!(
                "{} samples of noise for {} seeds",
                noise.len(),
                seeds.len()
            ))
            .help("give one sample of noise a seed"));
        }
        let mut sampling = counted.sampling(model)?;
        for (image, seed) in sampling.images.iter_mut().zip(seeds) {
            image.seed = *seed;
        }
        Ok(sampling)
    }

    /// The number of images, and where each starts.
    fn origins(&self, config: &Config, header: &Header) -> Result<(usize, Vec<Origin>), Error> {
        let len = header.sample_len();
        let rows = self.condition.as_ref().map_or(1, Conditions::count);
        if rows > 1 && self.count.is_some_and(|count| count > rows) {
            return Err(Error::usage(format_args!(
                "--count {}, but --condition holds {rows} rows",
                self.count.unwrap_or(rows)
            ))
            .help("leave --count out, or give one row for all images"));
        }
        let count = self.count.unwrap_or(rows);
        if count == 0 {
            return Err(Error::usage("no image is asked for").help("give --count from 1"));
        }
        Ok(match &self.start {
            StartFrom::Seed => (count, vec![Origin::Seed; count]),
            StartFrom::Noise(noise) => {
                let count = self
                    .count
                    .unwrap_or(if rows > 1 { rows.min(noise.len()) } else { noise.len() });
                if count > noise.len() {
                    return Err(Error::usage(format_args!(
                        "--count {count}, but --noise holds {} samples",
                        noise.len()
                    ))
                    .help("leave --count out"));
                }
                noise.iter().try_for_each(|one| fits(one, len))?;
                let origins = noise.iter().take(count).cloned().map(Origin::Noise);
                (count, origins.collect())
            }
            StartFrom::Image { image_q24, strength } => {
                fits(image_q24, len)?;
                let origin = Origin::Image {
                    image_q24: Arc::from(image_q24.as_slice()),
                    strength_q16: strength_q16(*strength, config.steps)?,
                };
                (count, vec![origin; count])
            }
            StartFrom::Between { second } => {
                if header.prediction.is_chain() {
                    return Err(RunError::ChainSampler.into());
                }
                if *second == self.seed {
                    return Err(Error::usage(format_args!(
                        "--interpolate {second} is the seed that the images start from: there is nothing between them"
                    ))
                    .help("give --interpolate another seed than --seed"));
                }
                (count, between(*second, count))
            }
        })
    }
}

/// `strength` in Q16.
///
/// # Errors
/// Of kind `Usage` where it is no share, or so small that a run of `steps` steps makes none of them.
fn strength_q16(strength: f64, steps: u32) -> Result<u32, Error> {
    if !(0.0..=1.0).contains(&strength) {
        return Err(
            Error::usage(format_args!("the strength is {strength}; it must lie between 0 and 1"))
                .help("give --strength from 0 to 1"),
        );
    }
    let strength_q16 = q16(strength) as u32;
    if steps_of(steps, strength_q16) == 0 {
        return Err(Error::usage(format_args!(
            "--strength {strength} of {steps} steps is less than half a step: the image would stay as it is"
        ))
        .help(format_args!(
            "give --strength {} or more, or more --steps",
            (1e4 / f64::from(steps)).ceil() / 1e4
        )));
    }
    Ok(strength_q16)
}

/// Steps that an image goes through which is noised to this strength, of a run of `steps` steps: rounded half up.
#[must_use]
pub fn steps_of(steps: u32, strength_q16: u32) -> u32 {
    ((u64::from(steps) * u64::from(strength_q16) + (1 << 15)) >> 16) as u32
}

/// Starts evenly spread from the image's own noise to that of `second`.
#[must_use]
pub fn between(second: u64, count: usize) -> Vec<Origin> {
    let last = count.saturating_sub(1).max(1) as f64;
    let part = |place: usize| q16(place as f64 / last) as u32;
    let origin = |place| Origin::Between {
        second,
        part_q16: part(place),
    };
    (0..count).map(origin).collect()
}

fn fits(given: &[i32], expected: usize) -> Result<(), RunError> {
    if given.len() == expected {
        return Ok(());
    }
    Err(RunError::Length {
        expected: expected as u32,
        found: given.len() as u32,
    })
}

/// Nearest multiple of 1/65536.
#[must_use]
pub fn q16(value: f64) -> i32 {
    (value * 65536.0).round() as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Checkpoint, Conversion, ErrorKind, ModelFile, Scheme};

    fn file() -> ModelFile {
        let converted = Conversion::new(Scheme::F16).convert(&Checkpoint::bundled().unwrap());
        converted.unwrap().file().unwrap()
    }

    /// However many images there are, each starts where it was asked to, and the image is held once.
    #[test]
    fn every_image_starts_where_it_was_asked_to() {
        let file = file();
        let header = file.model().header();
        let request = Request {
            count: Some(200_000),
            start: StartFrom::Image {
                image_q24: vec![1 << 20; header.sample_len()],
                strength: 0.5,
            },
            ..Request::default()
        };
        let sampling = request.sampling(file.model()).unwrap();
        let shared = |image: &ImageRequest| match &image.origin {
            Origin::Image { image_q24, .. } => Arc::as_ptr(image_q24) as *const i32 as usize,
            other => panic!("{other:?}"),
        };
        let first = shared(&sampling.images[0]);
        assert!(sampling.images.len() == 200_000 && sampling.images.iter().all(|image| shared(image) == first));
    }

    #[test]
    fn what_cannot_be_is_refused_by_value_and_remedy() {
        let file = file();
        let header = file.model().header();
        let len = header.sample_len();
        let of = |start| Request {
            start,
            ..Request::default()
        };
        let image = |strength| StartFrom::Image {
            image_q24: vec![0; len],
            strength,
        };
        let cases = [
            (
                of(image(0.001)),
                ErrorKind::Usage,
                "--strength 0.001 of 20 steps",
                "--strength 0.05 or more",
            ),
            (
                of(image(f64::NAN)),
                ErrorKind::Usage,
                "the strength is NaN",
                "from 0 to 1",
            ),
            (
                of(StartFrom::Between { second: 0 }),
                ErrorKind::Usage,
                "--interpolate 0",
                "another seed",
            ),
            (
                Request {
                    count: Some(3),
                    ..of(StartFrom::Noise(vec![vec![0; len]; 2]))
                },
                ErrorKind::Usage,
                "--noise holds 2",
                "leave --count out",
            ),
            (
                Request {
                    guidance: Some(f64::INFINITY),
                    ..Request::default()
                },
                ErrorKind::Usage,
                "guidance is inf",
                "-1000 to 1000",
            ),
            (
                Request {
                    run: RunOptions {
                        steps: Some(1001),
                        ..RunOptions::default()
                    },
                    ..Request::default()
                },
                ErrorKind::Refused,
                "1001 steps",
                "1 to 1000",
            ),
        ];
        for (request, kind, what, help) in cases {
            let error = request.sampling(file.model()).unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(what), "{error}");
            assert!(
                error.advice().is_some_and(|advice| advice.contains(help)),
                "{:?}",
                error.advice()
            );
        }
        let short = of(StartFrom::Noise(vec![vec![0; 3]]))
            .sampling(file.model())
            .unwrap_err();
        assert!(short.to_string().contains("3 elements given"), "{short}");
    }
}
