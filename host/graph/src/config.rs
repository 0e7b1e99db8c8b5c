//! Typed reading of a configuration object, strict in both directions: a field of the wrong type is refused, and so is
//! a field that nobody has read, because a setting that is silently ignored is a model that is silently wrong.
//!
//! The text is what Python's `json` module writes: JSON, and `NaN`, `Infinity` and `-Infinity` as numbers. Null means what
//! Python's `None` means to the library: false where a boolean stands, and an error where a number stands.

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

impl ConfigError {
    /// That `field` of the object `map`, of `file`, has this problem.
    #[must_use]
    pub fn of(file: &str, map: &Map<String, Value>, field: &str, problem: &str) -> Self {
        Self {
            file: file.to_string(),
            field: printable(field),
            value: map.get(field).map_or_else(|| "missing".to_string(), shown),
            problem: visible(problem),
        }
    }
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
    ///
    /// Fields that `_use_default_values` lists are left out, as the library leaves them out: they have their defaults.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        let mut map = object(file, text)?;
        if let Some(Value::Array(defaults)) = map.remove("_use_default_values") {
            for field in defaults.iter().filter_map(Value::as_str) {
                map.remove(field);
            }
        }
        Ok(Self {
            file: file.to_string(),
            map,
            read: BTreeSet::new(),
        })
    }

    /// An error about `field`, quoting its value.
    #[must_use]
    pub fn error(&self, field: &str, problem: impl Into<String>) -> ConfigError {
        ConfigError::of(&self.file, &self.map, field, &problem.into())
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

    /// The raw value, or `None` when the field is missing. Null is refused: no number, string or list is meant by it.
    fn given(&mut self, field: &'static str) -> Result<Option<&Value>, ConfigError> {
        if self.is_null(field) {
            return Err(self.error(
                field,
                "null stands for no value, and diffusers fails on it: write a value, or remove the field for its default",
            ));
        }
        Ok(self.get(field))
    }

    /// A boolean; `default` when missing, false when null.
    pub fn bool(&mut self, field: &'static str, default: bool) -> Result<bool, ConfigError> {
        let null = self.is_null(field);
        match self.get(field) {
            None => Ok(default && !null),
            Some(Value::Bool(value)) => Ok(*value),
            Some(_) => Err(self.error(field, "expected true or false")),
        }
    }

    /// A string; `default` when missing.
    pub fn string(&mut self, field: &'static str, default: &str) -> Result<String, ConfigError> {
        match self.given(field)? {
            None => Ok(default.to_string()),
            Some(Value::String(value)) => Ok(value.clone()),
            Some(_) => Err(self.error(field, "expected a string")),
        }
    }

    /// A finite number; `default` when missing.
    pub fn number(&mut self, field: &'static str, default: f64) -> Result<f64, ConfigError> {
        match self.extended(field, default)? {
            value if value.is_finite() => Ok(value),
            _ => Err(self.error(field, "expected a finite number")),
        }
    }

    /// A number, which may be infinite; `default` when missing.
    pub fn extended(&mut self, field: &'static str, default: f64) -> Result<f64, ConfigError> {
        match self.given(field)?.map(float) {
            None => Ok(default),
            Some(Some(value)) if !value.is_nan() => Ok(value),
            Some(_) => Err(self.error(field, "expected a number")),
        }
    }

    /// A whole number in `[min, max]`, or `None` when missing.
    pub fn integer(&mut self, field: &'static str, min: usize, max: usize) -> Result<Option<usize>, ConfigError> {
        self.given(field)?;
        self.optional(field, min, max)
    }

    /// A whole number in `[min, max]`, or `None` when missing or null.
    pub fn optional(&mut self, field: &'static str, min: usize, max: usize) -> Result<Option<usize>, ConfigError> {
        match self.get(field).map(integral) {
            None => Ok(None),
            Some(Some(value)) if (min..=max).contains(&value) => Ok(Some(value)),
            Some(_) => Err(self.error(field, format!("expected a whole number from {min} to {max}"))),
        }
    }

    /// A list of whole numbers in `[min, max]`, or `None` when missing.
    pub fn integers(&mut self, field: &'static str, min: usize, max: usize) -> Result<Option<Vec<usize>>, ConfigError> {
        let problem = format!("expected a list of whole numbers from {min} to {max}");
        let Some(value) = self.given(field)? else {
            return Ok(None);
        };
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
        let finite = |v: &Value| float(v).filter(|v| v.is_finite());
        let list = value
            .as_array()
            .and_then(|list| list.iter().map(finite).collect::<Option<Vec<_>>>());
        list.map(Some)
            .ok_or_else(|| self.error(field, "expected a list of finite numbers"))
    }

    /// A list of strings, or `None` when missing.
    pub fn strings(&mut self, field: &'static str) -> Result<Option<Vec<String>>, ConfigError> {
        let Some(value) = self.given(field)? else {
            return Ok(None);
        };
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

/// The JSON object `text` as Python's `json` module reads it. Numbers that JSON does not have are strings that begin with
/// NUL: `float` reads them. `file` is used in errors only.
pub fn object(file: &str, text: &str) -> Result<Map<String, Value>, ConfigError> {
    let whole = |value: String, problem: String| ConfigError {
        file: file.to_string(),
        field: "(whole file)".to_string(),
        value,
        problem,
    };
    match serde_json::from_str::<Value>(&marked(text)) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(other) => Err(whole(shown(&other), "expected a JSON object".to_string())),
        Err(error) => {
            let problem = format!(
                "{}; save the model again, or restore the file",
                printable(&error.to_string())
            );
            Err(whole("malformed JSON".to_string(), problem))
        }
    }
}

/// Python's numbers beyond JSON, longest first, and their values.
const BEYOND_JSON: [(&str, f64); 3] = [
    ("-Infinity", f64::NEG_INFINITY),
    ("Infinity", f64::INFINITY),
    ("NaN", f64::NAN),
];

/// `text` with each of [`BEYOND_JSON`] outside of strings as a string that begins with NUL.
fn marked(text: &str) -> std::borrow::Cow<'_, str> {
    if !BEYOND_JSON.iter().any(|(name, _)| text.contains(name)) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 32);
    let (mut rest, mut inside) = (text, false);
    while let Some(next) = rest.chars().next() {
        let found = BEYOND_JSON.iter().find(|(name, _)| !inside && rest.starts_with(name));
        let len = match (found, next) {
            (Some((name, _)), _) => {
                out.push_str("\"\\u0000");
                out.push_str(name);
                out.push('"');
                rest = &rest[name.len()..];
                continue;
            }
            // The character after a backslash ends no string.
            (None, '\\') if inside => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            (None, next) => {
                inside ^= next == '"';
                next.len_utf8()
            }
        };
        out.push_str(&rest[..len]);
        rest = &rest[len..];
    }
    out.into()
}

/// A number of a configuration, which may be infinite or not a number.
fn float(value: &Value) -> Option<f64> {
    let beyond = || {
        let name = value.as_str()?.strip_prefix('\0')?;
        BEYOND_JSON.iter().find(|(known, _)| *known == name).map(|(_, v)| *v)
    };
    value.as_f64().or_else(beyond)
}

/// A JSON number that is a whole number, written `8` or `8.0`.
fn integral(value: &Value) -> Option<usize> {
    if let Some(value) = value.as_u64() {
        return usize::try_from(value).ok();
    }
    let value = value.as_f64()?;
    (value.fract() == 0.0 && (0.0..9e15).contains(&value)).then_some(value as usize)
}

/// A value as its file has it, but without control characters (JSON escapes only those below 32); cut to 120 characters.
pub fn shown(value: &Value) -> String {
    let mut text = value.to_string();
    for (name, _) in BEYOND_JSON {
        text = text.replace(&format!("\"\\u0000{name}\""), name);
    }
    printable(&text)
}

/// Text of a file as a message shows it: without control characters, cut to 120 characters.
#[must_use]
pub fn printable(text: &str) -> String {
    let text: String = text.chars().take(200).collect();
    cut(visible(&text))
}

/// Text without control characters, which a terminal would obey: they are written as Rust escapes them.
fn visible(text: &str) -> String {
    let mut visible = String::new();
    for c in text.chars() {
        if c.is_control() {
            visible.extend(c.escape_default());
        } else {
            visible.push(c);
        }
    }
    visible
}

fn cut(text: String) -> String {
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
    fn no_control_character_of_a_file_is_shown() {
        let text = "{\"a\": \"x\u{7f}y\u{9b}\\u0007\"}";
        let error = Fields::parse("f", text)
            .unwrap()
            .bool("a", true)
            .unwrap_err()
            .to_string();
        assert!(error.contains(r"x\u{7f}y\u{9b}\u0007"), "{error}");
        assert!(!error.chars().any(char::is_control), "{error:?}");
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
    fn numbers_are_those_that_python_writes() {
        let text = r#"{"low": -Infinity, "high": [1, Infinity], "name": "-Infinity \" NaN", "none": NaN}"#;
        let mut fields = Fields::parse("f", text).unwrap();
        assert_eq!(fields.extended("low", 0.0).unwrap(), f64::NEG_INFINITY);
        assert_eq!(fields.string("name", "").unwrap(), "-Infinity \" NaN");
        let refused = |error: ConfigError| error.to_string();
        assert_eq!(
            refused(fields.number("low", 0.0).unwrap_err()),
            "f: `low` is -Infinity: expected a finite number"
        );
        assert_eq!(
            refused(fields.numbers("high").unwrap_err()),
            "f: `high` is [1,Infinity]: expected a list of finite numbers"
        );
        assert_eq!(
            refused(fields.extended("none", 0.0).unwrap_err()),
            "f: `none` is NaN: expected a number"
        );
        assert!(Fields::parse("f", "{\"a\": Infinit}").is_err());
        assert!(Fields::parse("f", "{\"a\": 1Infinity}").is_err());
    }

    #[test]
    fn null_is_false_for_a_boolean_and_no_number() {
        let text = r#"{"flag": null, "count": null, "size": null, "name": null, "list": null}"#;
        let mut fields = Fields::parse("f", text).unwrap();
        assert!(!fields.bool("flag", true).unwrap());
        assert_eq!(fields.optional("count", 1, 9).unwrap(), None);
        for error in [
            fields.integer("count", 1, 9).unwrap_err(),
            fields.number("size", 1.0).unwrap_err(),
            fields.string("name", "x").unwrap_err(),
            fields.strings("list").unwrap_err(),
        ] {
            let text = error.to_string();
            assert!(
                text.contains("` is null: ") && text.contains("remove the field"),
                "{text}"
            );
        }
    }

    #[test]
    fn values_that_a_file_calls_defaults_are_the_defaults() {
        let text = r#"{"_use_default_values": ["size"], "size": 4, "rows": 3}"#;
        let mut fields = Fields::parse("f", text).unwrap();
        assert_eq!(fields.integer("size", 1, 9).unwrap(), None);
        assert_eq!(fields.integer("rows", 1, 9).unwrap(), Some(3));
    }

    #[test]
    fn names_of_fields_are_shown_without_control_characters() {
        let text = format!(r#"{{"a\u001b[31m{}": 1}}"#, "b".repeat(500));
        let error = Fields::parse("f", &text).unwrap().finish().unwrap_err();
        assert!(
            error.field.starts_with(r"a\u{1b}[31mb") && error.field.len() <= 120,
            "{error}"
        );
    }

    #[test]
    fn hostile_json_is_an_error() {
        for text in ["", "{", "[]", "null", "{\"a\":}", &"[".repeat(100_000)] {
            assert!(Fields::parse("f", text).is_err());
        }
    }
}
