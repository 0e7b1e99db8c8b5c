//! Writing a checkpoint as a diffusers pipeline's folder: `model_index.json`, `unet/`, `scheduler/`.

use crate::files::replace;
use crate::import::WEIGHTS_FILE;
use mote_graph::graph::Graph;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io;
use std::path::Path;

/// Writes `graph` with its configurations into `folder`. A file that was there stays whole until the new one is.
pub fn write(folder: &Path, graph: &Graph, unet: &Value, scheduler: &Value) -> io::Result<()> {
    let class = scheduler["_class_name"].as_str().unwrap_or("DDIMScheduler");
    // The library has no pipeline of pixels for flow matching; this one samples with whatever scheduler there is.
    let pipeline = if class.starts_with("FlowMatch") {
        "DDPMPipeline".to_owned()
    } else {
        class.replace("Scheduler", "Pipeline")
    };
    let index = json!({
        "_class_name": pipeline,
        "scheduler": ["diffusers", class],
        "unet": ["diffusers", "UNet2DModel"],
    });
    for part in ["unet", "scheduler"] {
        std::fs::create_dir_all(folder.join(part))?;
    }
    let text = |value: &Value| format!("{value:#}\n").into_bytes();
    let tensors = graph
        .params
        .iter()
        .map(|(key, p)| (key.as_str(), p.shape.clone(), p.data.as_slice()));
    // The library asks for this entry.
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    replace(
        &folder.join("unet").join(WEIGHTS_FILE),
        &tensor_file(tensors, metadata)?,
    )?;
    replace(&folder.join("unet/config.json"), &text(unet))?;
    replace(&folder.join("scheduler/scheduler_config.json"), &text(scheduler))?;
    replace(&folder.join("model_index.json"), &text(&index))
}

/// A safetensors file.
pub(super) fn tensor_file<'a>(
    tensors: impl Iterator<Item = (&'a str, Vec<usize>, &'a [f32])>,
    metadata: HashMap<String, String>,
) -> io::Result<Vec<u8>> {
    let held: Vec<(&str, Vec<usize>, Vec<u8>)> = tensors
        .map(|(key, shape, data)| (key, shape, data.iter().flat_map(|v| v.to_le_bytes()).collect()))
        .collect();
    let mut views = Vec::with_capacity(held.len());
    for (key, shape, data) in &held {
        let view = TensorView::new(Dtype::F32, shape.clone(), data).map_err(io::Error::other)?;
        views.push((*key, view));
    }
    safetensors::serialize(views, Some(metadata)).map_err(io::Error::other)
}
