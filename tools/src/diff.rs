//! Two model files beside each other: what they say of themselves, operator by operator, and how far their images are apart.

use crate::images::Shape;
use crate::inspect::inspect;
use crate::report::OperatorRow;
use crate::tensors::from_q24;
use crate::validate::psnr_db;
use crate::{Backend, Error, ModelFile, Request};
use serde::Serialize;
use serde_json::Value;

/// What is compared of the files themselves: the key of [`ModelFile::inspect`] and its name for people.
const FACTS: [(&str, &str); 15] = [
    ("/scheme", "scheme"),
    ("/arithmetic", "arithmetic"),
    ("/bytes", "file, bytes"),
    ("/weight_bytes", "weights, bytes"),
    ("/memory/arena_bytes", "arena, bytes"),
    ("/macs_per_step", "multiply-accumulates a step"),
    ("/features", "runtime features"),
    ("/classes", "classes"),
    ("/null_class", "label for no class"),
    ("/condition", "condition"),
    ("/train_steps", "training steps"),
    ("/prediction", "predicts"),
    ("/clip", "clipping"),
    ("/spacing", "spacing"),
    ("/plan", "planned run"),
];

/// Where two model files differ. Keys of `mote diff --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// Whether the files are the same bytes.
    pub same_bytes: bool,
    /// Facts that differ.
    pub facts: Vec<Fact>,
    /// Operators that differ, or that one file alone has.
    pub operators: Vec<OperatorDifference>,
    /// Operators that both have alike.
    pub operators_alike: usize,
    /// How far the images are apart; `None` where none were asked for.
    pub images: Option<ImageDifference>,
}

/// A fact that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fact {
    /// What it is.
    pub what: &'static str,
    /// In both files.
    pub values: [Value; 2],
}

/// An operator that differs: number formats and sizes in both files, `None` in a file that lacks it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OperatorDifference {
    /// The checkpoint's module path.
    pub name: String,
    /// In both files.
    pub formats: [Option<Formats>; 2],
}

/// What number formats an operator has, and their bytes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Formats {
    /// What it computes.
    pub kind: String,
    /// Of its output.
    pub output: String,
    /// Of its weights; empty where there are none.
    pub weights: String,
    /// Bytes of weights, biases and multipliers.
    pub weight_bytes: u64,
    /// Bytes of the output.
    pub out_bytes: u64,
}

/// The final states of the same seeds, before they become pixels.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImageDifference {
    /// Images of each file.
    pub count: usize,
    /// Images with the same bits.
    pub equal: usize,
    /// PSNR with peak 2, an image at a time, then averaged in dB; 200 for equal ones.
    pub psnr_db_mean: f64,
    /// The image that is farthest.
    pub psnr_db_min: f64,
    /// Its seed.
    pub farthest_seed: u64,
}

/// Compares two files, and the images that `request` asks both for, if it is there.
///
/// # Errors
/// Of kind `Usage` where their samples have different shapes and images are asked for; as [`ModelFile::sample`].
pub fn difference(files: [&ModelFile; 2], request: Option<&Request>) -> Result<Difference, Error> {
    difference_with(files, request, &|| ())
}

/// The same; `on_step` is called after each step of each image.
///
/// # Errors
/// As [`difference`].
pub fn difference_with(
    files: [&ModelFile; 2],
    request: Option<&Request>,
    on_step: &(dyn Fn() + Sync),
) -> Result<Difference, Error> {
    let said = files.map(inspect);
    let fact = |(key, what): &(&str, &'static str)| {
        let values = [0, 1].map(|i| said[i].pointer(key).cloned().unwrap_or_default());
        (values[0] != values[1]).then_some(Fact { what, values })
    };
    let rows = files.map(|file| OperatorRow::all(file.model()));
    let (operators, operators_alike) = operators(&rows);
    Ok(Difference {
        same_bytes: files[0].bytes() == files[1].bytes(),
        facts: FACTS.iter().filter_map(fact).collect(),
        operators,
        operators_alike,
        images: request.map(|request| images(files, request, on_step)).transpose()?,
    })
}

/// Operators by name: those that differ in the order of the first file, then those of the second alone; how many are alike.
fn operators(rows: &[Vec<OperatorRow>; 2]) -> (Vec<OperatorDifference>, usize) {
    let formats = |row: &OperatorRow| Formats {
        kind: row.kind.clone(),
        output: row.dtype.clone(),
        weights: row.weights.clone(),
        weight_bytes: row.weight_bytes,
        out_bytes: row.out_bytes,
    };
    let of = |rows: &[OperatorRow], name: &str| rows.iter().find(|row| row.name == name).map(formats);
    let first = rows[0].iter().map(|row| &row.name);
    let second = rows[1].iter().map(|row| &row.name);
    let only_second = second.filter(|name| rows[0].iter().all(|row| row.name != **name));
    let names: Vec<&String> = first.chain(only_second).collect();
    let all = names.iter().map(|name| OperatorDifference {
        name: (*name).clone(),
        formats: [0, 1].map(|i| of(&rows[i], name)),
    });
    let differ: Vec<OperatorDifference> = all.filter(|one| one.formats[0] != one.formats[1]).collect();
    let alike = names.len() - differ.len();
    (differ, alike)
}

fn images(files: [&ModelFile; 2], request: &Request, on_step: &(dyn Fn() + Sync)) -> Result<ImageDifference, Error> {
    let shapes = files.map(ModelFile::shape);
    if shapes[0] != shapes[1] {
        let shown = |shape: Shape| format!("{} x {} x {}", shape.rows, shape.cols, shape.channels);
        return Err(Error::usage(format_args!(
            "the samples are {} and {} (row, col, channel): their images cannot be compared",
            shown(shapes[0]),
            shown(shapes[1])
        ))
        .help("give --seeds 0 to compare the files alone"));
    }
    let real = |state: &[i32]| state.iter().map(|v| from_q24(*v)).collect::<Vec<f64>>();
    let sample = |file: &ModelFile| file.sample_on(Backend::Cpu, request, on_step);
    let [first, second] = [sample(files[0])?, sample(files[1])?];
    let apart: Vec<(u64, f64, bool)> = first
        .iter()
        .zip(&second)
        .map(|(a, b)| (a.seed, psnr_db(&real(&b.state), &real(&a.state)), a.state == b.state))
        .collect();
    let count = apart.len();
    let farthest = apart.iter().min_by(|a, b| a.1.total_cmp(&b.1));
    Ok(ImageDifference {
        count,
        equal: apart.iter().filter(|(_, _, equal)| *equal).count(),
        psnr_db_mean: apart.iter().map(|(_, psnr, _)| psnr).sum::<f64>() / count.max(1) as f64,
        psnr_db_min: farthest.map_or(200.0, |(_, psnr, _)| *psnr),
        farthest_seed: farthest.map_or(0, |(seed, ..)| *seed),
    })
}
