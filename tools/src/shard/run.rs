//! The run that a part is of, as a text that is the same in every part of it.

use crate::backend::{OpenModel, Origin, Sampling};
use crate::files::{hex, sha256};
use crate::validate::Survey;
use mote_graph::config::printable;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// What parts of images and of statistics say that they are.
const IMAGES: &str = "images";
const STATISTICS: &str = "statistics";

/// A run's name: everything that its result depends on, as one JSON object. Backends do not stand in that of images: their bits are the
/// same on all of them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Run {
    object: Value,
}

impl Run {
    /// Of the images of `sampling`, which is the whole run.
    pub fn of_images(opened: OpenModel<'_>, sampling: &Sampling) -> Self {
        Self {
            object: json!({
                "what": IMAGES,
                "model": sha256(opened.bytes),
                "options": sampling.config,
                "start": start(sampling),
                "first_seed": sampling.config.seed,
                "count": sampling.images.len(),
            }),
        }
    }

    /// Of the statistics of `survey`, whose float network runs in batches of `batch` images; `half` is the number of real images of a half,
    /// `dimensions` that of the numbers of a vector in each space. Numbers of a float network are those of what runs it.
    pub fn of_statistics(survey: &Survey<'_>, batch: usize, half: usize, dimensions: &[usize]) -> Self {
        let scheduler = format!("{:?}", survey.checkpoint.scheduler);
        let data = survey.data.map(|data| {
            let pixels: Vec<u8> = data.pixels.iter().flat_map(|pixel| pixel.to_le_bytes()).collect();
            json!({ "levels": data.levels, "pixels": sha256(&pixels) })
        });
        Self {
            object: json!({
                "what": STATISTICS,
                "model": sha256(survey.opened.bytes),
                "checkpoint": survey.checkpoint.sha256,
                "scheduler": sha256(scheduler.as_bytes()),
                "options": survey.config,
                "backend": survey.backend.to_string(),
                "network": survey.device.to_string(),
                "data": data,
                "half": half,
                "batch": batch,
                "dimensions": dimensions,
                "first_seed": survey.config.seed,
                "count": survey.count,
            }),
        }
    }

    /// From the text of a part, or what is wrong with it.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        match serde_json::from_slice(text) {
            Ok(object @ Value::Object(_)) => Ok(Self { object }),
            _ => Err("does not say which run it is of".into()),
        }
    }

    /// The text.
    pub fn text(&self) -> Vec<u8> {
        self.object.to_string().into_bytes()
    }

    /// Whether it makes images.
    pub fn is_of_images(&self) -> bool {
        self.object["what"] == IMAGES
    }

    /// A whole number that it names.
    pub fn number(&self, key: &str) -> Result<u64, String> {
        let number = self.object[key].as_u64();
        number.ok_or_else(|| format!("does not say the {key} of its run"))
    }

    /// Whole numbers that it names.
    pub fn numbers(&self, key: &str) -> Result<Vec<u64>, String> {
        let array = self.object[key].as_array();
        let numbers: Option<Vec<u64>> = array.and_then(|all| all.iter().map(Value::as_u64).collect());
        numbers.ok_or_else(|| format!("does not say the {key} of its run"))
    }

    /// A word that it names, or an empty one.
    pub fn word(&self, key: &str) -> String {
        printable(self.object[key].as_str().unwrap_or_default())
    }

    /// Whether it gathers statistics.
    pub fn is_of_statistics(&self) -> bool {
        self.object["what"] == STATISTICS
    }

    /// Where it is another run than `expected`.
    pub fn difference(&self, expected: &Self) -> Option<String> {
        let (found, expected) = (leaves(&self.object), leaves(&expected.object));
        let value = |leaves: &[(String, String)], key: &str| {
            let found = leaves.iter().find(|(name, _)| name == key);
            found.map_or("nothing".to_owned(), |(_, value)| value.clone())
        };
        let mut keys = expected.iter().chain(&found).map(|(key, _)| key);
        let key = keys.find(|key| value(&found, key) != value(&expected, key))?;
        let (found, expected) = (value(&found, key), value(&expected, key));
        Some(printable(&format!("its {key} is {found}, not {expected}")))
    }
}

/// Every value with the way to it.
fn leaves(value: &Value) -> Vec<(String, String)> {
    let Value::Object(fields) = value else {
        return vec![(String::new(), value.to_string())];
    };
    let under = |(key, value): (&String, &Value)| {
        let named = |(rest, text): (String, String)| match rest.as_str() {
            "" => (key.clone(), text),
            rest => (format!("{key}.{rest}"), text),
        };
        leaves(value).into_iter().map(named).collect::<Vec<_>>()
    };
    fields.iter().flat_map(under).collect()
}

/// What images start from beside their seeds: a digest of given noise, of images, conditions and what is known.
fn start(sampling: &Sampling) -> String {
    let mut hasher = Sha256::new();
    let mut plain = true;
    let mut numbers = |kind: u8, index: usize, numbers: &[i32]| {
        hasher.update([kind]);
        hasher.update([index as u64, numbers.len() as u64].map(u64::to_le_bytes).concat());
        numbers.iter().for_each(|number| hasher.update(number.to_le_bytes()));
        plain = false;
    };
    let mut before = None;
    for (i, image) in sampling.images.iter().enumerate() {
        // What is the same in many images is read once.
        if before != Some(&image.origin) {
            match &image.origin {
                Origin::Seed if before.is_none() => {}
                Origin::Seed => numbers(0, i, &[]),
                Origin::Noise(noise) => numbers(1, i, noise),
                Origin::Image {
                    image_q24,
                    strength_q16,
                } => {
                    numbers(2, i, image_q24);
                    numbers(2, i, &[*strength_q16 as i32]);
                }
                Origin::Between { second, part_q16 } => {
                    numbers(3, i, &[*second as i32, (*second >> 32) as i32, *part_q16 as i32]);
                }
            }
        }
        before = Some(&image.origin);
    }
    let mut before = None;
    for (i, image) in sampling.images.iter().enumerate() {
        if before != Some(&image.condition)
            && let Some(condition) = &image.condition
        {
            numbers(4, i, condition);
        }
        before = Some(&image.condition);
    }
    if let Some(known) = &sampling.known {
        numbers(5, 0, known);
        if sampling.known_noise != 0 {
            numbers(6, 0, &[sampling.known_noise as i32]);
        }
    }
    if plain {
        return "seeds".into();
    }
    hex(hasher)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_named_by_its_way() {
        let run = |steps: u32| Run {
            object: json!({"what": "images", "options": {"steps": steps}, "count": 7}),
        };
        assert_eq!(run(2).difference(&run(2)), None);
        assert_eq!(run(3).difference(&run(2)).unwrap(), "its options.steps is 3, not 2");
        let other = Run::parse(b"{\"what\":\"images\",\"count\":7}").unwrap();
        assert_eq!(
            other.difference(&run(2)).unwrap(),
            "its options.steps is nothing, not 2"
        );
        assert!(Run::parse(b"[1]").is_err() && Run::parse(b"{").is_err());
        assert_eq!(Run::parse(&run(2).text()).unwrap(), run(2));
    }
}
