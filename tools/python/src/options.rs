//! Names of samplers, spacings and the like as the library's values.

use crate::array::{Samples, q24};
use mote_tools::images::Shape;
use mote_tools::request::known_where;
use mote_tools::samplers::{clip_named, prev_named, sampler_named, samplers, spacing_named, variance_named};
use mote_tools::{Backend, Conditions, Error, Request, RunOptions, SecondFactor, StartFrom};
use pyo3::prelude::*;

/// Which steps a run makes: the keyword arguments of `sample` and `validate`.
#[derive(Debug, Default, FromPyObject)]
#[pyo3(from_item_all)]
pub struct Steps {
    sampler: Option<String>,
    variance: Option<String>,
    steps: Option<u32>,
    spacing: Option<String>,
    prev: Option<String>,
    eta: Option<f64>,
    clip: Option<String>,
}

impl Steps {
    /// As the library takes them.
    pub fn options(&self) -> Result<RunOptions, Error> {
        let all: Vec<&str> = samplers().map(|method| method.entry().name).collect();
        Ok(RunOptions {
            sampler: named("sampler", &self.sampler, sampler_named, &all.join(", "))?,
            variance: named("variance", &self.variance, variance_named, "small, large, learned")?,
            steps: self.steps,
            spacing: named(
                "spacing",
                &self.spacing,
                spacing_named,
                "leading, trailing, linspace, quadratic",
            )?,
            prev: named("prev", &self.prev, prev_named, "list, diffusers")?,
            eta: self.eta,
            clip: named("clip", &self.clip, clip_named, "off, stock, rederived")?,
        })
    }
}

/// Of what images are asked: the keyword arguments of `validate` and `compare`.
#[derive(Debug, FromPyObject)]
#[pyo3(from_item_all)]
pub struct Of {
    label: Option<u16>,
    guidance: Option<f64>,
    condition: Option<Vec<Vec<f64>>>,
}

impl Of {
    /// As the library takes it, with these steps.
    pub fn request(self, steps: &Steps) -> Result<Request, Error> {
        Ok(Request {
            run: steps.options()?,
            class: self.label,
            guidance: self.guidance,
            condition: conditions(self.condition)?,
            ..Request::default()
        })
    }
}

/// Where images start: given noise, an image (of which a mask may leave a part as it is), or between two seeds.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Beginning<'py> {
    noise: Option<Samples<'py>>,
    image: Option<Samples<'py>>,
    mask: Option<Vec<bool>>,
    strength: Option<f64>,
    second: Option<u64>,
    /// What is known of a chain's samples, and how well.
    factor: Option<(Vec<Option<f64>>, f64)>,
}

impl Beginning<'_> {
    /// `request` with this start, for samples of this shape.
    pub fn begin(self, shape: Shape, request: Request) -> Result<Request, Error> {
        let image = self.image.map(|image| q24(&image, shape)).transpose()?;
        let image = image.and_then(|mut samples| samples.pop());
        let known = self.mask.zip(image.as_ref());
        let known = known
            .map(|(mask, image)| known_where(image, &mask, shape))
            .transpose()?;
        let start = match (self.noise, self.second) {
            (Some(noise), _) => StartFrom::Noise(q24(&noise, shape)?),
            (None, Some(second)) => StartFrom::Between { second },
            (None, None) => StartFrom::of_image(image, self.strength, known.is_some()),
        };
        Ok(Request {
            start,
            known,
            factor: self
                .factor
                .map(|(values, noise)| SecondFactor::new(values, noise))
                .transpose()?,
            ..request
        })
    }
}

/// Rows of a condition; one for all, or one an image.
pub fn conditions(rows: Option<Vec<Vec<f64>>>) -> Result<Option<Conditions>, Error> {
    let Some(rows) = rows else {
        return Ok(None);
    };
    let width = rows.first().map_or(0, Vec::len);
    Conditions::new("the condition", width, rows.concat()).map(Some)
}

fn named<T>(
    what: &str,
    name: &Option<String>,
    find: impl Fn(&str) -> Option<T>,
    choices: &str,
) -> Result<Option<T>, Error> {
    let Some(name) = name else {
        return Ok(None);
    };
    match find(name) {
        Some(value) => Ok(Some(value)),
        None => {
            Err(Error::usage(format_args!("unknown {what} '{name}'")).help(format_args!("choose one of {choices}")))
        }
    }
}

/// A backend by its name.
pub fn backend(name: &str) -> Result<Backend, Error> {
    Backend::parse(name).map_err(choice)
}

/// The error of a name that is none of a list, `what; choose ...`: the list is its advice.
pub fn choice(text: impl std::fmt::Display) -> Error {
    let text = text.to_string();
    match text.split_once("; ") {
        Some((what, advice)) => Error::usage(what).help(advice),
        None => Error::usage(text),
    }
}
