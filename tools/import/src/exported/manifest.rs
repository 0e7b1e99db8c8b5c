//! `mote.json`, beside an exported network: what neither its graph nor its scheduler says.
//!
//! ```text
//! {"format": 1,
//!  "inputs": {"sample": "sample", "timestep": "timestep", "global_cond": "condition"},
//!  "layout": "(horizon, action)",
//!  "condition": {"range": [-1.0, 1.0], "calibration": "demos.npz:cond", "null": 0.0},
//!  "null_class": 1000,
//!  "schedule": {"kind": "flow", "direction": "data_at_1", "timestep_scale": 1.0, "shift": 1.0}}
//! ```
//!
//! Where weights alone are there, `"sample": [1, 180]` says the extents of a sample, in the order of the layout; of noise levels:
//! `levels.rs`.

use super::levels::Levels;
use super::program::Input;
use crate::files;
use crate::layout::SampleLayout;
use crate::{ImportError, shown};
use mote_graph::config::{self as settings, ConfigError, Fields, printable};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

/// Its name.
const FILE: &str = "mote.json";

/// What an input of the network is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Sample,
    Timestep,
    Class,
    Condition,
}

/// Names of the roles.
const ROLES: [(&str, Role); 4] = [
    ("sample", Role::Sample),
    ("timestep", Role::Timestep),
    ("class", Role::Class),
    ("condition", Role::Condition),
];

/// Flow matching without a scheduler's configuration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Flow {
    /// Whether the network's time is 1 where the sample is data, and its velocity data minus noise.
    pub data_at_1: bool,
    /// What the network is given at time 1.
    pub timestep_scale: f64,
    /// What levels are shifted by.
    pub shift: f64,
}

/// What the file says.
#[derive(Debug)]
pub(crate) struct Manifest {
    pub file: String,
    pub object: Map<String, Value>,
    roles: BTreeMap<String, Role>,
    layout: Option<SampleLayout>,
    /// Least and largest value of the condition.
    pub range: Option<[f64; 2]>,
    /// Where condition vectors for calibration are: `FILE.npz:ARRAY`.
    pub calibration: Option<String>,
    /// What stood for every number of the condition where training dropped it.
    pub null: Option<f64>,
    pub null_class: Option<usize>,
    pub flow: Option<Flow>,
    /// The configuration of EDM's scheduler, where the file has it.
    pub edm: Option<String>,
    /// The network is told `time[0] * t + time[1]` of the model's timestep t, where there is no flow.
    pub time: [f64; 2],
    /// Noise levels and prediction without a scheduler's configuration.
    pub levels: Option<Levels>,
    /// Extents of a sample, where only weights are there.
    pub sample: Option<Vec<usize>>,
}

impl Manifest {
    /// Where condition vectors for calibration are: a name of it is one in `folder`.
    pub fn calibration_in(&self, folder: &Path) -> Option<OsString> {
        let place = self.calibration.as_ref()?;
        Some(folder.join(place).into_os_string())
    }

    /// Reads the file in `folder`, for a network with `inputs`.
    pub fn read(folder: &Path, inputs: &[Input]) -> Result<Self, ImportError> {
        let path = folder.join(FILE);
        let file = shown(&path);
        if !path.exists() {
            let names: Vec<String> = inputs
                .iter()
                .map(|input| format!("\"{}\": ROLE", printable(&input.name)))
                .collect();
            return Err(ImportError::NoManifest {
                path: file,
                inputs: names.join(", ").chars().take(400).collect(),
            });
        }
        Ok(Self::parse(&file, &Self::text(folder)?)?)
    }

    fn text(folder: &Path) -> Result<String, ImportError> {
        let path = folder.join(FILE);
        files::text(&path, files::SMALL).map_err(|source| ImportError::Read {
            path: shown(&path),
            source,
            advice: "write it anew",
        })
    }

    /// The file in `folder`, or an empty one where there is none: of a network whose inputs are known.
    pub fn beside(folder: &Path) -> Result<Self, ImportError> {
        let file = shown(&folder.join(FILE));
        if folder.join(FILE).exists() {
            let text = Self::text(folder)?;
            let mut object = settings::object(&file, &text)?;
            object.entry("inputs").or_insert_with(|| Map::new().into());
            return Ok(Self::parse(&file, &Value::Object(object).to_string())?);
        }
        Ok(Self::parse(&file, r#"{"format": 1, "inputs": {}}"#)?)
    }

    /// Reads the text of the file.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        let mut fields = Fields::parse(file, text)?;
        if fields.integer("format", 0, usize::MAX)? != Some(1) {
            return Err(fields.error("format", "this form of the file is number 1: write \"format\": 1"));
        }
        let roles = roles(&mut fields)?;
        let layout = match fields.get("layout").map(|value| value.as_str().map(str::to_string)) {
            None => None,
            Some(text) => {
                let parsed = text
                    .as_deref()
                    .ok_or_else(|| "expected a string".to_string())
                    .and_then(SampleLayout::parse);
                Some(parsed.map_err(|problem| fields.error("layout", problem))?)
            }
        };
        let (range, calibration, null) = condition(&mut fields)?;
        let levels = Levels::parse(&mut fields)?;
        let (flow, edm) = if levels.is_some() {
            (None, None)
        } else {
            schedule(&mut fields)?
        };
        let sample = fields.integers("sample", 1, 1 << 20)?;
        let null_class = fields.optional("null_class", 0, 1 << 20)?;
        fields.finish()?;
        Ok(Self {
            file: file.to_string(),
            object: settings::object(file, text)?,
            roles,
            layout,
            range,
            calibration,
            null,
            null_class,
            flow,
            edm,
            time: [1.0, 0.0],
            levels,
            sample,
        })
    }

    /// What the input is.
    pub fn role(&self, input: &str) -> Result<Role, ConfigError> {
        let role = self.roles.get(input).copied();
        role.ok_or_else(|| {
            let names: Vec<&str> = ROLES.iter().map(|(name, _)| *name).collect();
            let problem = format!(
                "the network has an input `{}` that has no role here: write one of {}",
                printable(input),
                names.join(", ")
            );
            self.error("inputs", problem)
        })
    }

    /// The input of the role `wanted`, which must be there.
    pub fn input_of(&self, wanted: Role) -> Option<&str> {
        self.roles
            .iter()
            .find(|(_, role)| **role == wanted)
            .map(|(name, _)| name.as_str())
    }

    /// Refuses roles of inputs that the network does not have.
    pub fn check(&self, inputs: &[Input]) -> Result<(), ConfigError> {
        let left = self
            .roles
            .keys()
            .find(|name| !inputs.iter().any(|input| input.name == **name));
        match left {
            None => Ok(()),
            Some(name) => {
                let own: Vec<String> = inputs.iter().map(|input| printable(&input.name)).take(9).collect();
                let problem = format!(
                    "the network has no input `{}`; it has {}",
                    printable(name),
                    own.join(", ")
                );
                Err(self.error("inputs", problem))
            }
        }
    }

    /// How the axes of a sample of `rank` axes, that of samples left out, are ordered.
    pub fn layout(&self, rank: usize) -> Result<SampleLayout, ConfigError> {
        let layout = self.layout.clone().or_else(|| SampleLayout::of_rank(rank));
        let problem =
            format!("a sample has {rank} axes: write \"layout\", such as \"(channel, time)\" or \"(horizon, action)\"");
        let layout = layout.ok_or_else(|| self.error("layout", problem))?;
        if layout.order().len() != rank {
            let problem = format!("a sample of the network has {rank} axes beside that of samples");
            return Err(self.error("layout", problem));
        }
        Ok(layout)
    }

    /// The error that `field` has this problem.
    pub fn error(&self, field: &str, problem: impl Into<String>) -> ConfigError {
        ConfigError::of(&self.file, &self.object, field, &problem.into())
    }
}

fn roles(fields: &mut Fields) -> Result<BTreeMap<String, Role>, ConfigError> {
    let problem = "expected an object that gives each input of the network its role";
    let Some(value) = fields.get("inputs").cloned() else {
        return Err(fields.error("inputs", problem));
    };
    let object = value.as_object().ok_or_else(|| fields.error("inputs", problem))?;
    let mut roles = BTreeMap::new();
    for (name, role) in object {
        let known = ROLES.iter().find(|(known, _)| role.as_str() == Some(known));
        let (_, role) = known.ok_or_else(|| {
            let names: Vec<&str> = ROLES.iter().map(|(name, _)| *name).collect();
            fields.error(
                "inputs",
                format!(
                    "`{}` has the role {}; roles are {}",
                    printable(name),
                    settings::shown(role),
                    names.join(", ")
                ),
            )
        })?;
        if roles.values().any(|other| other == role) {
            return Err(fields.error("inputs", format!("two inputs have the role {role:?}; one is known")));
        }
        roles.insert(name.clone(), *role);
    }
    Ok(roles)
}

type Condition = (Option<[f64; 2]>, Option<String>, Option<f64>);

fn condition(fields: &mut Fields) -> Result<Condition, ConfigError> {
    let Some(value) = fields.get("condition").cloned() else {
        return Ok((None, None, None));
    };
    let range = match value.get("range") {
        None | Some(Value::Null) => None,
        Some(range) => {
            let numbers: Option<Vec<f64>> = range
                .as_array()
                .and_then(|list| list.iter().map(Value::as_f64).collect());
            let pair = numbers.as_deref().and_then(|list| <[f64; 2]>::try_from(list).ok());
            let pair = pair.filter(|[low, high]| low < high && low.is_finite() && high.is_finite());
            Some(pair.ok_or_else(|| fields.error("condition", "`range` must be two numbers, the least first"))?)
        }
    };
    let calibration = match value.get("calibration") {
        None | Some(Value::Null) => None,
        Some(text) => {
            let text = text.as_str().filter(|text| text.rsplit_once(':').is_some());
            let problem = "`calibration` must name an array, such as \"demos.npz:cond\"";
            Some(text.ok_or_else(|| fields.error("condition", problem))?.to_string())
        }
    };
    let known = |object: &Map<String, Value>| {
        object
            .keys()
            .all(|key| ["range", "calibration", "null"].contains(&key.as_str()))
    };
    if !value.as_object().is_some_and(known) {
        return Err(fields.error("condition", "expected an object of `range`, `calibration` and `null`"));
    }
    let null = match value.get("null") {
        None | Some(Value::Null) => None,
        Some(null) => {
            let number = null.as_f64().filter(|null| null.is_finite());
            Some(number.ok_or_else(|| fields.error("condition", "`null` must be a number"))?)
        }
    };
    Ok((range, calibration, null))
}

/// A flow, or EDM's scheduler.
fn schedule(fields: &mut Fields) -> Result<(Option<Flow>, Option<String>), ConfigError> {
    let Some(value) = fields.get("schedule").cloned() else {
        return Ok((None, None));
    };
    match value.get("kind").and_then(Value::as_str) {
        Some("flow") => flow(fields, &value).map(|flow| (Some(flow), None)),
        Some("edm") => edm(fields, &value).map(|text| (None, Some(text))),
        _ => {
            let problem = "`kind` must be \"flow\", \"edm\", or one of linear, cosine and sigmoid with \"objective\"; any other schedule is read from scheduler/scheduler_config.json";
            Err(fields.error("schedule", problem))
        }
    }
}

/// The configuration of EDM's scheduler with the file's numbers.
fn edm(fields: &Fields, value: &Value) -> Result<String, ConfigError> {
    let mut config = Map::from_iter([("_class_name".to_owned(), "EDMEulerScheduler".into())]);
    let own = value.as_object().into_iter().flatten();
    for (key, number) in own.filter(|(key, _)| *key != "kind") {
        if !["sigma_data", "sigma_min", "sigma_max", "rho"].contains(&key.as_str()) || !number.is_number() {
            let problem = "beside `kind`, EDM has the numbers `sigma_data`, `sigma_min`, `sigma_max` and `rho`";
            return Err(fields.error("schedule", problem));
        }
        config.insert(key.clone(), number.clone());
    }
    Ok(Value::Object(config).to_string())
}

fn flow(fields: &Fields, value: &Value) -> Result<Flow, ConfigError> {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let data_at_1 = match text("direction") {
        Some("data_at_1") => true,
        Some("data_at_0") => false,
        _ => {
            let problem = "`direction` must be data_at_0 (velocity noise - data) or data_at_1 (data - noise)";
            return Err(fields.error("schedule", problem));
        }
    };
    let above_0 = |key: &str| match value.get(key) {
        None => Ok(1.0),
        Some(number) => {
            let number = number.as_f64().filter(|number| number.is_finite() && *number > 0.0);
            number.ok_or_else(|| fields.error("schedule", format!("`{key}` must be a number above 0")))
        }
    };
    Ok(Flow {
        data_at_1,
        timestep_scale: above_0("timestep_scale")?,
        shift: above_0("shift")?,
    })
}
