//! Typed reading of a configuration object, strict in both directions: a field of the wrong type is refused, and so is
//! a field that nobody has read, because a setting that is silently ignored is a model that is silently wrong.

use serde_json::{Map, Value};
use std::collections::BTreeSet;
use thiserror::Error;

/// A field that cannot be used, with what would be.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("{file}: `{field}` is {value}: {problem}")]
pub struct ConfigError {
    /// The file, as the user named it.
    pub file: String,
    /// The field, or `(whole file)`.
    pub field: String,
    /// The value as JSON, cut to 120 characters.
    pub value: String,
    /// What is wrong and what is supported.
    pub problem: String,
}

/// The fields of one JSON object. A field is looked up once; [`Fields::finish`] refuses what is left.
#[derive(Debug)]
pub struct Fields {
    file: String,
    map: Map<String, Value>,
    read: BTreeSet<&'static str>,
}

impl Fields {
    /// Parses `text`, which must be a JSON object. `file` is used in errors only.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        let whole = |value: String, problem: String| ConfigError {
            file: file.to_string(),
            field: "(whole file)".to_string(),
            value,
            problem,
        };
        match serde_json::from_str::<Value>(text) {
            Ok(Value::Object(map)) => Ok(Self {
                file: file.to_string(),
                map,
                read: BTreeSet::new(),
            }),
            Ok(other) => Err(whole(shown(&other), "expected a JSON object".to_string())),
            Err(error) => {
                let problem = format!("{error}; save the model again, or restore the file");
                Err(whole("malformed JSON".to_string(), problem))
            }
        }
    }

    /// An error about `field`, quoting its value.
    #[must_use]
    pub fn error(&self, field: &str, problem: impl Into<String>) -> ConfigError {
        let value = self.map.get(field).map_or_else(|| "missing".to_string(), shown);
        ConfigError {
            file: self.file.clone(),
            field: field.to_string(),
            value,
            problem: problem.into(),
        }
    }

    /// The raw value, or `None` when the field is missing or null. Use [`Fields::is_null`] where null has a meaning.
    pub fn get(&mut self, field: &'static str) -> Option<&Value> {
        self.read.insert(field);
        self.map.get(field).filter(|value| !value.is_null())
    }

    /// Whether the field is there and is null.
    #[must_use]
    pub fn is_null(&self, field: &str) -> bool {
        self.map.get(field).is_some_and(Value::is_null)
    }

    /// Marks fields that have no effect on what is computed here, so that [`Fields::finish`] lets them pass.
    pub fn ignore(&mut self, fields: &[&'static str]) {
        self.read.extend(fields);
    }

    /// A boolean; `default` when missing or null.
    pub fn bool(&mut self, field: &'static str, default: bool) -> Result<bool, ConfigError> {
        match self.get(field) {
            None => Ok(default),
            Some(Value::Bool(value)) => Ok(*value),
            Some(_) => Err(self.error(field, "expected true or false")),
        }
    }

    /// A string; `default` when missing or null.
    pub fn string(&mut self, field: &'static str, default: &str) -> Result<String, ConfigError> {
        match self.get(field) {
            None => Ok(default.to_string()),
            Some(Value::String(value)) => Ok(value.clone()),
            Some(_) => Err(self.error(field, "expected a string")),
        }
    }

    /// A finite number; `default` when missing or null.
    pub fn number(&mut self, field: &'static str, default: f64) -> Result<f64, ConfigError> {
        match self.get(field).map(Value::as_f64) {
            None => Ok(default),
            Some(Some(value)) if value.is_finite() => Ok(value),
            Some(_) => Err(self.error(field, "expected a finite number")),
        }
    }

    /// A whole number in `[min, max]`, or `None` when missing or null.
    pub fn integer(&mut self, field: &'static str, min: usize, max: usize) -> Result<Option<usize>, ConfigError> {
        match self.get(field).map(integral) {
            None => Ok(None),
            Some(Some(value)) if (min..=max).contains(&value) => Ok(Some(value)),
            Some(_) => Err(self.error(field, format!("expected a whole number from {min} to {max}"))),
        }
    }

    /// A list of whole numbers in `[min, max]`, or `None` when missing or null.
    pub fn integers(&mut self, field: &'static str, min: usize, max: usize) -> Result<Option<Vec<usize>>, ConfigError> {
        let problem = format!("expected a list of whole numbers from {min} to {max}");
        let Some(value) = self.get(field) else { return Ok(None) };
        let list = value
            .as_array()
            .and_then(|list| list.iter().map(integral).collect::<Option<Vec<_>>>());
        match list {
            Some(list) if list.iter().all(|v| (min..=max).contains(v)) => Ok(Some(list)),
            _ => Err(self.error(field, problem)),
        }
    }

    /// A list of finite numbers, or `None` when missing or null.
    pub fn numbers(&mut self, field: &'static str) -> Result<Option<Vec<f64>>, ConfigError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let list = value
            .as_array()
            .and_then(|list| list.iter().map(Value::as_f64).collect::<Option<Vec<_>>>());
        list.map(Some)
            .ok_or_else(|| self.error(field, "expected a list of numbers"))
    }

    /// A list of strings, or `None` when missing or null.
    pub fn strings(&mut self, field: &'static str) -> Result<Option<Vec<String>>, ConfigError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let list = value.as_array().and_then(|list| {
            list.iter()
                .map(|v| v.as_str().map(str::to_string))
                .collect::<Option<Vec<_>>>()
        });
        list.map(Some)
            .ok_or_else(|| self.error(field, "expected a list of strings"))
    }

    /// Refuses a field that must be absent, null or false.
    pub fn refuse_set(&mut self, field: &'static str, problem: &str) -> Result<(), ConfigError> {
        match self.get(field) {
            None | Some(Value::Bool(false)) => Ok(()),
            Some(_) => Err(self.error(field, problem)),
        }
    }

    /// Refuses every field that was not read, unless it is null or bookkeeping (its name begins with `_`).
    pub fn finish(self) -> Result<(), ConfigError> {
        let left = self
            .map
            .iter()
            .find(|(key, value)| !key.starts_with('_') && !value.is_null() && !self.read.contains(key.as_str()));
        match left {
            None => Ok(()),
            Some((key, _)) => Err(self.error(
                &key.clone(),
                "Mote does not know this setting, so it cannot be sure to compute what it asks for; \
                 remove the field if it has no effect on this model",
            )),
        }
    }
}

/// A JSON number that is a whole number, written `8` or `8.0`.
fn integral(value: &Value) -> Option<usize> {
    if let Some(value) = value.as_u64() {
        return usize::try_from(value).ok();
    }
    let value = value.as_f64()?;
    (value.fract() == 0.0 && (0.0..9e15).contains(&value)).then_some(value as usize)
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 120 {
        text
    } else {
        text.chars().take(117).collect::<String>() + "..."
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_types_name_file_field_and_value() {
        let text = r#"{"a": "x", "c": -1, "d": [1, 2.5]}"#;
        let mut fields = Fields::parse("config.json", text).unwrap();
        let error = fields.integer("c", 1, 9).unwrap_err().to_string();
        assert_eq!(error, "config.json: `c` is -1: expected a whole number from 1 to 9");
        assert!(fields.integers("d", 0, 9).is_err());
        assert!(fields.bool("a", true).is_err());
        assert!(fields.number("a", 0.0).is_err());
        // Refused as JSON or as a number, by how serde_json is built.
        assert!(
            Fields::parse("f", r#"{"b": 1e400}"#)
                .and_then(|mut fields| fields.number("b", 0.0))
                .is_err()
        );
    }

    #[test]
    fn unread_fields_are_refused_unless_null_or_bookkeeping() {
        let text = r#"{"_class_name": "X", "maybe": null, "known": 8.0}"#;
        let mut fields = Fields::parse("f", text).unwrap();
        assert_eq!(fields.integer("known", 0, 10).unwrap(), Some(8));
        fields.finish().unwrap();
        let error = Fields::parse("f", r#"{"surprise": 1}"#).unwrap().finish().unwrap_err();
        assert_eq!(error.field, "surprise");
    }

    #[test]
    fn hostile_json_is_an_error() {
        for text in ["", "{", "[]", "null", "{\"a\":}", &"[".repeat(100_000)] {
            assert!(Fields::parse("f", text).is_err());
        }
    }
}
