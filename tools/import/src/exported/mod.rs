//! Any network that PyTorch exports: `net.pt2`, as `torch.export.save` writes it, with `mote.json` beside it.
//!
//! ```text
//! net.pt2 ──▶ archive.rs, schema.rs ──▶ program.rs: constants, inputs, nodes in order
//!                                          │ reader.rs
//!            ┌─────────────────────────────┼───────────────────────────┐
//!            ▼                             ▼                           ▼
//! fold.rs: constants        shapes.rs, view.rs: axes        aten.rs: layers (layers.rs, pairs.rs, norms.rs,
//!                                                           attention.rs, arithmetic.rs, products.rs)
//!                                                                      │ source.rs, net.rs, write.rs
//!                                                                      ▼
//!                                                                    Graph
//! ```
//!
//! No operator is run as it stands. What is known of an activation is where each axis of it lies in a value of the graph; a
//! layer asks for its input as `(channel, row, col)`, and is refused by node, target and module path where it lies otherwise.

mod archive;
mod arithmetic;
mod aten;
mod attention;
mod borders;
mod chosen;
mod curves;
mod decoder;
mod fold;
mod gates;
mod gelu;
mod layers;
mod layout;
mod levels;
mod manifest;
mod masked;
mod net;
mod norms;
mod onnx;
mod operands;
mod pairs;
mod products;
mod program;
mod reader;
mod reflect;
mod schema;
mod shapes;
mod source;
mod tensor;
#[cfg(test)]
mod tests;
mod view;
mod waves;
mod write;

pub(super) use attention::Operand;
pub(super) use decoder::decoder;
pub(super) use layers::Geometry;
pub(super) use manifest::Manifest;
pub(super) use net::Net;
pub(super) use source::{Map, What};
pub(super) use tensor::{Kind, Tensor};
pub(super) use view::View;
pub(super) use waves::{Rate, Waves};

use super::{Checkpoint, ImportError, SampleLayout, folders, notes_of, shown, unnamed};
use crate::files;
use archive::Archive;
use manifest::Role;
use mote_graph::config as settings;
use mote_graph::graph::Graph;
use mote_graph::schedule::SchedulerConfig;
use operands::Value;
use program::{Input, Program, Store};
use reader::Reader;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Its names in a checkpoint's folder, of which the first that is there is taken.
pub const FILES: [&str; 2] = ["net.pt2", "net.onnx"];
/// Timesteps of a flow without a scheduler.
const FLOW_TIMESTEPS: f64 = 1000.0;

/// The exported program that `path` is or holds; `None` where another importer reads it.
pub(super) fn find(path: &Path) -> Option<PathBuf> {
    if path.is_file() {
        return path
            .extension()
            .is_some_and(|end| end == "pt2" || end == "onnx")
            .then(|| path.to_path_buf());
    }
    let own = FILES.iter().map(|name| path.join(name)).find(|own| own.is_file());
    own.filter(|_| !path.join("unet").is_dir())
}

/// The program in `file`, and what holds its tensors.
fn opened(file: &Path) -> Result<(Program, Opened), ImportError> {
    if file.extension().is_some_and(|end| end == "onnx") {
        let (program, source) = onnx::read(file)?;
        return Ok((program, Opened::Onnx(source)));
    }
    let mut archive = Archive::open(file)?;
    let program = Program::read(&mut archive)?;
    Ok((program, Opened::Archive(archive)))
}

/// A file that is read.
enum Opened {
    Archive(Archive),
    Onnx(onnx::Source),
}

impl Opened {
    fn store(&mut self) -> &mut dyn Store {
        match self {
            Self::Archive(archive) => archive,
            Self::Onnx(source) => source,
        }
    }

    /// Whether layers are taken apart in it.
    fn is_apart(&self) -> bool {
        matches!(self, Self::Onnx(_))
    }

    fn sha256(&self) -> String {
        match self {
            Self::Archive(archive) => files::sha256(archive.bytes()),
            Self::Onnx(source) => source.sha256(),
        }
    }
}

/// Reads the checkpoint of the exported program `file`.
pub(super) fn import(file: &Path) -> Result<Checkpoint, ImportError> {
    let folder = file.parent().map(Path::to_path_buf).unwrap_or_default();
    let (program, mut opened) = opened(file)?;
    let mut manifest = Manifest::read(&folder, &program.inputs)?;
    manifest.check(&program.inputs)?;
    let (scheduler, scheduler_config) = scheduler(&folder, &manifest)?;
    if let Some(edm) = &scheduler.edm {
        manifest.time = edm.told(scheduler.num_train_timesteps);
    }
    let (graph, layout) = network(&program, &mut opened, &manifest)?;
    let sha256 = opened.sha256();
    let null_class = null_class(&manifest, &graph)?;
    Ok(Checkpoint {
        variances: false,
        name: unnamed(&graph, &sha256),
        notes: notes_of(&scheduler, &shown(file)),
        graph,
        scheduler,
        sha256,
        config_file: manifest.file.clone(),
        calibration: manifest.calibration_in(&folder),
        config: serde_json::Value::Object(manifest.object),
        scheduler_config,
        unet: None,
        null_class,
        layout,
        trained: None,
        decoder: None,
    })
}

/// Extents of a sample of the exported network in `folder`, that of samples left out; `None` where there is none that can be read.
pub(super) fn sample_of(folder: &Path) -> Option<Vec<usize>> {
    let file = FILES.iter().map(|name| folder.join(name)).find(|file| file.is_file())?;
    let (program, _) = opened(&file).ok()?;
    let manifest = Manifest::read(folder, &program.inputs).ok()?;
    let name = manifest.input_of(Role::Sample)?;
    let input = program.inputs.iter().find(|input| input.name == name)?;
    Some(input.sizes.get(1..)?.to_vec())
}

/// The network as a graph, and the order of a sample's axes.
fn network(program: &Program, opened: &mut Opened, manifest: &Manifest) -> Result<(Graph, SampleLayout), ImportError> {
    let mut net = Net::new(program.nodes.iter().map(|node| node.module.as_str()));
    net.apart = opened.is_apart();
    let store = opened.store();
    let mut layout = None;
    let mut given = BTreeMap::new();
    for input in &program.inputs {
        let role = manifest.role(&input.name)?;
        let value = self::given(&mut net, manifest, input, role, &mut layout)?;
        given.insert(input.name.clone(), value);
    }
    let layout = layout.ok_or_else(|| manifest.error("inputs", "no input has the role sample"))?;
    if manifest.input_of(Role::Timestep).is_none() {
        return Err(manifest.error("inputs", "no input has the role timestep").into());
    }
    let mut reader = Reader::new(program, store, net, given);
    let value = reader.read()?;
    let mut net = reader.net;
    let written = output(&mut net, &value, &layout, manifest);
    let output = written.map_err(|problem| store.refuse(format!("the network's output: {problem}")))?;
    Ok((net.finish(output)?, layout))
}

/// A network whose layers another importer knows.
#[derive(Debug)]
pub(super) struct Plan {
    /// `(channel, row, col)` of a sample.
    pub shape: [usize; 3],
    /// Numbers of its condition.
    pub condition: Option<usize>,
    /// The order of a sample's axes in the network's own code.
    pub layout: &'static str,
    /// Least and largest value of the condition, where the manifest does not say it.
    pub range: Option<[f64; 2]>,
}

/// The graph that `build` makes of a sample, of axes sample, channel, (row,) and col, and of a condition, of axes sample and number.
pub(super) fn planned(
    modules: &[String],
    plan: &Plan,
    manifest: &Manifest,
    build: impl FnOnce(&mut Net, View, Option<View>) -> Result<View, ImportError>,
) -> Result<(Graph, SampleLayout), ImportError> {
    let layout = SampleLayout::parse(plan.layout).map_err(|problem| manifest.error("layout", problem))?;
    let mut net = Net::new(modules.iter().map(String::as_str));
    let value = net.graph.sample(plan.shape)?;
    let sample = net.given(value);
    let sample = net.shown_as(sample, 1 + layout.order().len());
    let condition = match plan.condition {
        None => None,
        Some(channels) => {
            let value = net
                .graph
                .condition("global_cond", channels, manifest.range.or(plan.range))?;
            let source = net.given(value);
            View::whole(source, &[channels]).unsqueezed(0)
        }
    };
    let view = build(&mut net, sample, condition)?;
    let written = net.image(&view).and_then(|source| net.value(source));
    let output = written.map_err(|problem| ImportError::Exported {
        path: manifest.file.clone(),
        problem,
    })?;
    Ok((net.finish(output)?, layout))
}

/// The value of an input.
fn given(
    net: &mut Net,
    manifest: &Manifest,
    input: &Input,
    role: Role,
    layout: &mut Option<SampleLayout>,
) -> Result<Value, ImportError> {
    let name = settings::printable(&input.name);
    let refuse =
        |problem: String| manifest.error("inputs", format!("`{name}` of extents {:?}: {problem}", input.sizes));
    let count: usize = input.sizes.iter().product();
    match role {
        Role::Sample => {
            let [batch, own @ ..] = &input.sizes[..] else {
                return Err(refuse("a sample has an axis of samples, and others".to_string()).into());
            };
            if *batch != 1 {
                return Err(refuse("export the network for a batch of 1".to_string()).into());
            }
            let order = manifest.layout(own.len())?;
            let mut shape = [1; 3];
            for (axis, size) in order.order().iter().zip(own) {
                shape[*axis] = *size;
            }
            let value = net.graph.sample(shape)?;
            net.taken("sample");
            let source = net.given(value);
            let view = sample_view(net, source, &order);
            *layout = Some(order);
            Ok(Value::Activation(view))
        }
        Role::Timestep if count == 1 => {
            let time = match manifest.flow {
                None => manifest.time,
                Some(flow) if flow.data_at_1 => [-flow.timestep_scale / FLOW_TIMESTEPS, flow.timestep_scale],
                Some(flow) => [flow.timestep_scale / FLOW_TIMESTEPS, 0.0],
            };
            Ok(Value::Waves(Waves::timestep(input.sizes.clone(), time)))
        }
        Role::Class if count == 1 => Ok(Value::Label(input.sizes.clone())),
        Role::Condition if count > 0 => {
            let value = net.graph.condition(&name, count, manifest.range)?;
            net.taken(&name);
            manifest
                .null
                .into_iter()
                .for_each(|null| net.graph.condition_null(null));
            let source = net.given(value);
            let view = View::whole(source, &[count]).reshaped(&input.sizes);
            let view = view.ok_or_else(|| refuse("it has no elements".to_string()))?;
            Ok(Value::Activation(view))
        }
        _ => Err(refuse("export the network for a batch of 1".to_string()).into()),
    }
}

/// The axes of a sample over its source, that of samples first.
fn sample_view(net: &Net, source: usize, layout: &SampleLayout) -> View {
    let whole = net.whole(source);
    let mut axes = vec![vec![]];
    axes.extend(layout.order().iter().map(|axis| whole.axes[*axis].clone()));
    View { axes, ..whole }
}

/// Writes the output, in the order of the sample's axes.
fn output(
    net: &mut Net,
    value: &Value,
    layout: &SampleLayout,
    manifest: &Manifest,
) -> net::Result<mote_graph::graph::ValueId> {
    net.module = String::new();
    let mut view = value.activation()?.clone();
    if manifest.flow.is_some_and(|flow| flow.data_at_1) {
        // The other direction of time: noise minus data is what is predicted here.
        view = net.map(
            &view,
            Map::Affine {
                scale: -1.0,
                shift: 0.0,
            },
        )?;
    }
    let rank = layout.order().len() + 1;
    if view.axes.len() != rank {
        return Err(format!("it has {} axes, and the sample has {rank}", view.axes.len()));
    }
    // As an image: sample, channel, row, col.
    let mut axes = vec![vec![]; 4];
    axes[0].clone_from(&view.axes[0]);
    for (axis, own) in layout.order().iter().zip(&view.axes[1..]) {
        axes[1 + axis].clone_from(own);
    }
    let image = View { axes, ..view };
    let source = net.image(&image)?;
    net.value(source)
}

/// The scheduler: its own configuration, or a flow or EDM of which the manifest speaks.
fn scheduler(folder: &Path, manifest: &Manifest) -> Result<(SchedulerConfig, serde_json::Value), ImportError> {
    let found = folders::scheduler_in(folder);
    if let Some(levels) = &manifest.levels {
        return levels.scheduler(found.ok().as_deref(), manifest, None);
    }
    let own = manifest.flow.map(|flow| {
        let shift = flow.shift;
        format!(
            r#"{{"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": {FLOW_TIMESTEPS}, "shift": {shift}}}"#
        )
    });
    let (file, text) = match (found, own.or_else(|| manifest.edm.clone())) {
        (Ok(path), None) => {
            let text = files::text(&path, files::SMALL).map_err(|source| ImportError::Read {
                path: shown(&path),
                source,
                advice: "the noise schedule cannot be guessed; save it with the model",
            })?;
            (shown(&path), text)
        }
        (Err(error), None) => return Err(error),
        (Ok(path), Some(_)) if path.is_file() => {
            let problem = format!("{} says it too; remove one of them", shown(&path));
            return Err(manifest.error("schedule", problem).into());
        }
        (_, Some(text)) => (manifest.file.clone(), text),
    };
    let schedule = SchedulerConfig::parse_as(&file, &text, None)?;
    let config = super::scheduler_object(&file, &text, &schedule)?;
    Ok((schedule, config))
}

pub(super) fn null_class(manifest: &Manifest, graph: &Graph) -> Result<Option<usize>, ImportError> {
    match (manifest.null_class, graph.classes) {
        (Some(label), Some(classes)) if label < classes => Ok(Some(label)),
        (None, _) => Ok(None),
        (Some(_), classes) => {
            let problem = format!("the network has {} labels", classes.unwrap_or(0));
            Err(manifest.error("null_class", problem).into())
        }
    }
}
