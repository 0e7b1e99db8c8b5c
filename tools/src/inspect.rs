//! What a model file holds, as one JSON object.

use crate::condition::FixedPoint;
use crate::emit::stripped::missing;
use crate::model_file::ModelFile;
use crate::names::Names;
use crate::report::{MemoryMap, OperatorRow};
use crate::samplers::sampler_name;
use mote_firmware_sim::Parts;
use mote_runtime::internals::model::layout::FORMAT_VERSION;
use mote_runtime::internals::model::plan::Plan;
use mote_runtime::internals::numeric::NUMERIC_VERSION;
use mote_runtime::internals::tensor::TensorId;
use mote_runtime::{Config, Method, Model, arena_bytes};
use serde_json::{Value, json};

/// What a model file holds, and which boards hold it: the object of `inspect --json`.
#[must_use]
pub fn inspect(file: &ModelFile) -> Value {
    let model = file.model();
    let (h, fits) = (model.header(), file.fits());
    let (rows, memory) = (OperatorRow::all(model), MemoryMap::of(model));
    let provenance = file.provenance();
    let op = |row: &OperatorRow| {
        json!({
            "name": row.name, "op": row.kind, "shape": row.shape, "dtype": row.dtype, "weights": row.weights, "macs": row.macs,
            "weight_bytes": row.weight_bytes, "out_bytes": row.out_bytes,
        })
    };
    let map: Vec<Value> = memory.blocks.iter().map(|block| {
        json!({
            "name": block.name, "dtype": block.dtype, "offset": block.offset, "bytes": block.bytes, "def": block.def,
            "last": block.last, "scratch": block.scratch,
        })
    }).collect();
    json!({
        "file": file.path().display().to_string(), "bytes": file.bytes().len(), "sha256": file.sha256(),
        "crc32": format!("{:08x}", model.crc()), "format_version": FORMAT_VERSION, "numeric_version": NUMERIC_VERSION,
        "arithmetic": name(h.arithmetic), "packing": name(h.packing), "channels": h.channels, "rows": h.rows, "cols": h.cols,
        "classes": h.classes, "null_class": h.null_class, "condition": condition(model), "train_steps": h.train_steps, "prediction": name(h.prediction),
        "clip": name(h.clip), "clip_range": f64::from(h.clip_range_q24) / 16_777_216.0, "spacing": name(h.schedule.spacing()),
        "steps_offset": h.steps_offset, "macs_per_step": h.macs, "weight_bytes": model.weights().len(),
        "plan": h.schedule.plan().map(|planned| planned_run(model, planned)),
        "features": Parts::needed_by(model).names(),
        "scheme": provenance["scheme"], "provenance": provenance, "left_out": missing(model),
        "operators": rows.iter().map(op).collect::<Vec<_>>(),
        "memory": {
            "arena_bytes": memory.arena_bytes, "lower_bound_bytes": memory.lower_bound_bytes,
            "run_bytes": run_bytes(model, Method::Ddim, false), "run_bytes_guided": run_bytes(model, Method::Ddim, true),
            "run_bytes_held_sample": run_bytes(model, Method::DpmSolver2M, false), "map": map,
        },
        "tensors": tensors(model),
        "picture": model.picture(),
        "decoder": model.decoder().map(|decoder| decoder_facts(&decoder)),
        "boards": fits,
    })
}

/// What a model says of its decoder.
fn decoder_facts(decoder: &Model<'_>) -> Value {
    let header = decoder.header();
    let origin: Value = serde_json::from_slice(decoder.provenance()).unwrap_or_default();
    json!({
        "picture": decoder.picture(), "arithmetic": name(header.arithmetic), "scheme": origin["scheme"],
        "bytes": decoder.file_bytes(), "weight_bytes": decoder.weights().len(), "arena_bytes": header.arena_bytes,
        "macs": header.macs, "operators": header.op_count, "provenance": origin,
    })
}

/// What the model says of its condition vector; `null` where it takes none.
fn condition(model: &Model<'_>) -> Option<Value> {
    let point = FixedPoint::of(model)?;
    Some(json!({
        "length": model.condition_len(), "range": point.range(), "fraction_bits": point.bits,
        "null": point.null.map(|null| point.real(null)),
    }))
}

/// The tensors of a model as objects: activations first, then weights.
#[must_use]
pub fn tensors(model: &Model<'_>) -> Vec<Value> {
    let names = Names::of(model);
    let blocks = MemoryMap::of(model).blocks;
    let activations = blocks
        .iter()
        .enumerate()
        .filter(|(_, block)| !block.scratch)
        .map(|(i, block)| {
            let tensor = model.tensor(TensorId(i as u16));
            json!({
                "name": names.tensor(i), "kind": "activation", "dtype": block.dtype, "bytes": block.bytes,
                "shape": tensor.map(|t| [t.rows, t.cols, t.channels]), "scale": tensor.map(|t| t.scale),
                "zero_point": tensor.map(|t| t.zero_point), "offset": block.offset,
            })
        });
    let rows = OperatorRow::all(model);
    let weights = rows.iter().filter(|row| !row.weights.is_empty()).map(|row| {
        json!({ "name": format!("{}.weight", row.name), "kind": "weight", "dtype": row.weights, "bytes": row.weight_bytes })
    });
    activations.chain(weights).collect()
}

/// The run that a file plans, as an object.
#[must_use]
pub fn planned_run(model: &Model<'_>, plan: Plan) -> Value {
    json!({
        "sampler": sampler_name(plan.method()), "steps": plan.steps, "spacing": name(plan.spacing()), "prev": name(plan.prev()),
        "eta": f64::from(plan.eta_q16) / 65536.0, "clip": name(model.header().clip), "timesteps": planned_timesteps(model),
    })
}

/// The timesteps of a planned file, those of second calls included.
#[must_use]
pub fn planned_timesteps(model: &Model<'_>) -> Vec<u32> {
    let plan = model.header().schedule.plan();
    let rows = plan.into_iter().flat_map(|plan| plan.rows(model.schedule()));
    rows.map(|row| row.time_q16() >> 16).collect()
}

/// Bytes of arena that a run takes: Heun's method takes what DPM-Solver++ takes, the ancestral sampler what DDIM takes.
#[must_use]
pub fn run_bytes(model: &Model<'_>, method: Method, guided: bool) -> usize {
    let config = Config {
        guidance_q16: guided.then_some(0),
        method,
        ..Config::of(model.header(), 1)
    };
    arena_bytes(model, &config)
}

/// The lower-case name of an enum's value.
fn name(value: impl std::fmt::Debug) -> String {
    format!("{value:?}").to_lowercase()
}
