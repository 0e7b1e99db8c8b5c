//! The network while it is recognized: sources, the graph that grows from them, and names.

use super::curves::Steps;
use super::gelu;
use super::source::{Convolved, Map, Source, What};
use super::tensor::Tensor;
use super::view::View;
use mote_graph::graph::{Builder, Graph, GraphError, Param, ValueId};
use mote_graph::ops::Function;
use std::collections::{BTreeMap, BTreeSet};

/// Sources on the way back to a written one, at most: writing goes through them in turn.
const MOST_DEPTH: usize = 48;

/// A problem, in words; who reads the node adds its name.
pub(super) type Result<T> = std::result::Result<T, String>;

/// The network.
#[derive(Debug)]
pub(crate) struct Net {
    pub graph: Builder,
    pub sources: Vec<Source>,
    /// The module of the node that is read.
    pub module: String,
    /// Whether numbers are rounded to f32 and layers taken apart, as exporters to ONNX do: a bias that is added is the layer's then.
    pub apart: bool,
    /// Steps of functions of the timestep.
    pub(super) steps: Steps,
    /// Modules that hold others.
    inner: BTreeSet<String>,
    names: BTreeSet<String>,
    /// Sources by what they are, so that a layer that is called twice on the same value is there once.
    known: BTreeMap<String, usize>,
    params: BTreeMap<String, Param>,
    /// Channels that were chosen, by their source, order and factors.
    pub(super) chosen: BTreeMap<(usize, Vec<(usize, u64)>), usize>,
    /// Runs of positions, by their source, first and count.
    pub(super) cuts: BTreeMap<(usize, Vec<(usize, u64)>), usize>,
}

impl Net {
    /// A network whose nodes lie in `modules`.
    pub fn new<'a>(modules: impl Iterator<Item = &'a str>) -> Self {
        let mut inner = BTreeSet::new();
        for module in modules {
            let mut path = module.split('@').next().unwrap_or_default();
            while let Some((outer, _)) = path.rsplit_once('.') {
                if !inner.insert(outer.to_string()) {
                    break;
                }
                path = outer;
            }
        }
        inner.insert(String::new());
        Self {
            graph: Builder::new(),
            sources: vec![],
            module: String::new(),
            apart: false,
            steps: Steps::default(),
            inner,
            names: BTreeSet::new(),
            known: BTreeMap::new(),
            params: BTreeMap::new(),
            chosen: BTreeMap::new(),
            cuts: BTreeMap::new(),
        }
    }

    /// Ends the network at `output`.
    pub fn finish(self, output: ValueId) -> std::result::Result<Graph, GraphError> {
        self.graph.finish(output)
    }

    /// A source that is written already.
    pub fn given(&mut self, value: ValueId) -> usize {
        let sizes = self.graph.shape(value).to_vec();
        self.push(sizes, What::Given, Some(value))
    }

    /// A source of what `what` is, or the one that is the same.
    pub fn add(&mut self, sizes: Vec<usize>, what: What) -> Result<usize> {
        let key = key(&what);
        if let Some(known) = key.as_ref().and_then(|key| self.known.get(key)) {
            return Ok(*known);
        }
        let deepest = |net: &Self| what.parts().iter().map(|i| net.sources[*i].depth).max().unwrap_or(0);
        if deepest(self) >= MOST_DEPTH {
            let mut seen = BTreeSet::new();
            for part in what.parts() {
                self.settle(part, &mut seen)?;
            }
        }
        let depth = deepest(self) + 1;
        let index = self.push(sizes, what, None);
        self.sources[index].depth = depth;
        if let Some(key) = key {
            self.known.insert(key, index);
        }
        Ok(index)
    }

    /// Writes `source`. A part of an attention or of a norm has no value of its own, and a part of a GELU may have none: what it is made of
    /// is written then.
    fn settle(&mut self, source: usize, seen: &mut BTreeSet<usize>) -> Result<()> {
        if self.sources[source].value.is_some() || !seen.insert(source) {
            return Ok(());
        }
        let is_part = self.sources[source].part || self.apart && gelu::is_part(self, source);
        if !is_part {
            return self.value(source).map(drop);
        }
        let parts = self.sources[source].what.parts();
        for part in &parts {
            self.settle(*part, seen)?;
        }
        self.sources[source].depth = parts.iter().map(|i| self.sources[*i].depth).max().unwrap_or(0) + 1;
        Ok(())
    }

    /// Whether `what` has no value of its own.
    fn is_part(&self, what: &What) -> bool {
        match what {
            What::Scores { .. }
            | What::Weights { .. }
            | What::Softmax { .. }
            | What::Context { .. }
            | What::Centred { .. }
            | What::Statistic { .. }
            | What::Padded { .. }
            | What::Reflected { .. } => true,
            What::Map { .. } | What::Product { .. } | What::Sum { .. } => {
                what.parts().iter().any(|part| self.sources[*part].part)
            }
            _ => false,
        }
    }

    /// Says that `name` is that of an input, so that no node takes it.
    pub fn taken(&mut self, name: &str) {
        self.names.insert(name.to_string());
    }

    fn push(&mut self, sizes: Vec<usize>, what: What, value: Option<ValueId>) -> usize {
        self.sources.push(Source {
            sizes,
            part: self.is_part(&what),
            what,
            module: self.module.clone(),
            depth: 0,
            value,
        });
        self.sources.len() - 1
    }

    /// What the source of `view` is.
    pub fn what(&self, view: &View) -> &What {
        &self.sources[view.source].what
    }

    /// `(channel, row, col)` of an activation.
    pub fn shape(&self, source: usize) -> Result<[usize; 3]> {
        match self.sources[source].sizes[..] {
            [channels, rows, cols] => Ok([channels, rows, cols]),
            _ => Err("a part of an attention or a normalization is used for something else".to_string()),
        }
    }

    /// All of a source, with its own axes.
    pub fn whole(&self, source: usize) -> View {
        View::whole(source, &self.sources[source].sizes)
    }

    /// Whether `view` shows every number of its source exactly once.
    pub fn is_whole(&self, view: &View) -> bool {
        let total: usize = self.sources[view.source].sizes.iter().product();
        let mut atoms: Vec<_> = view.axes.iter().flatten().collect();
        atoms.sort_by_key(|atom| atom.stride);
        let mut next = 1;
        for atom in atoms {
            if atom.stride != next {
                return false;
            }
            next *= atom.size;
        }
        view.offset == 0 && next == total
    }

    /// A function of every element of `view`.
    pub fn map(&mut self, view: &View, map: Map) -> Result<View> {
        let mut map = map;
        let mut x = view.source;
        if let (
            Map::Affine { scale, shift },
            What::Map {
                x: inner,
                map: Map::Affine { scale: a, shift: b },
            },
        ) = (map, self.sources[x].what.clone())
        {
            map = Map::Affine {
                scale: scale * a,
                shift: scale * b + shift,
            };
            x = inner;
        }
        if map == (Map::Affine { scale: 1.0, shift: 0.0 }) {
            return Ok(view.over(x));
        }
        let sizes = self.sources[x].sizes.clone();
        let source = self.add(sizes, What::Map { x, map })?;
        Ok(view.over(source))
    }

    /// The square of `max(x, 0)`, where `view` is that maximum.
    pub fn squared(&mut self, view: &View) -> Result<Option<View>> {
        match *self.what(view) {
            What::Map {
                x,
                map: Map::Function(Function::Relu),
            } => self.map(&view.over(x), Map::Function(Function::Relu2)).map(Some),
            _ => Ok(None),
        }
    }

    /// `rows` of the channels of `source`, as a source of its own.
    pub fn piece(&mut self, source: usize, rows: &[usize]) -> Result<usize> {
        let [channels, height, width] = self.shape(source)?;
        if rows.iter().copied().eq(0..channels) {
            return Ok(source);
        }
        if rows.iter().any(|row| *row >= channels) {
            return Err(format!("it reads channels behind the {channels} that are there"));
        }
        let sizes = vec![rows.len(), height, width];
        let what = self.sources[source].what.clone();
        let module = std::mem::replace(&mut self.module, self.sources[source].module.clone());
        let piece = match what {
            What::Conv(conv) if conv.groups == 1 && conv.output_pad.is_none() => {
                let conv = conv.of_rows(rows);
                self.add(sizes, What::Conv(Box::new(conv)))
            }
            What::Map { x, map } => {
                let x = self.piece(x, rows)?;
                self.add(sizes, What::Map { x, map })
            }
            What::Sum { a, b, divisor } => {
                let (a, b) = (self.piece(a, rows)?, self.piece(b, rows)?);
                self.add(sizes, What::Sum { a, b, divisor })
            }
            _ => {
                let rows: Vec<(usize, f64)> = rows.iter().map(|row| (*row, 1.0)).collect();
                self.chosen(source, &rows)
            }
        };
        self.module = module;
        piece
    }

    /// The name of a node that computes `word` for `module`.
    pub fn name(&mut self, module: &str, word: &str) -> String {
        let path = module.split('@').next().unwrap_or_default();
        let plain: String = path.chars().take(200).collect();
        let first = if path.is_empty() {
            word.to_string()
        } else if self.inner.contains(path) || self.names.contains(&plain) {
            format!("{plain}.{word}")
        } else {
            plain
        };
        let mut name = first.clone();
        let mut again = 1;
        while !self.names.insert(name.clone()) {
            again += 1;
            name = format!("{first}_{again}");
        }
        name
    }

    /// Stores a trained tensor under `key`, or under a name beside it where another has that one.
    pub fn param(&mut self, key: &str, shape: Vec<usize>, tensor: &Tensor) -> Result<String> {
        let param = Param {
            shape,
            data: tensor.floats()?,
        };
        let rest = tensor.rest(&param.data);
        let mut name = key.to_string();
        let mut again = 1;
        while self.params.get(&name).is_some_and(|known| *known != param) {
            again += 1;
            name = format!("{key}#{again}");
        }
        if let Some(rest) = rest {
            self.graph.rest(name.clone(), rest);
        }
        self.graph.param(name.clone(), param.clone());
        self.params.insert(name.clone(), param);
        Ok(name)
    }
}

impl Convolved {
    /// The convolution that gives these output channels alone.
    pub(super) fn of_rows(&self, rows: &[usize]) -> Self {
        let take = |tensor: &Tensor| {
            let each = tensor.data.len() / tensor.sizes[0].max(1);
            let of = |numbers: &[f64]| -> Vec<f64> {
                rows.iter()
                    .flat_map(|row| &numbers[row * each..][..each])
                    .copied()
                    .collect()
            };
            let mut sizes = tensor.sizes.clone();
            sizes[0] = rows.len();
            Tensor {
                key: tensor.key.clone(),
                ..Tensor::new(tensor.kind, sizes, of(&tensor.data)).exactly(of(&tensor.exact))
            }
        };
        let plain = rows.windows(2).all(|pair| pair[1] == pair[0] + 1);
        let label = match rows {
            [first, .., last] if plain => format!("[{first}:{}]", last + 1),
            [first, ..] => format!("[{first}..]"),
            [] => String::new(),
        };
        Self {
            weight: take(&self.weight),
            bias: self.bias.as_ref().map(take),
            rows: format!("{}{label}", self.rows),
            ..self.clone()
        }
    }
}

/// What makes two sources the same; `None` where they hold numbers of their own.
fn key(what: &What) -> Option<String> {
    let tensor = |tensor: &Option<Tensor>| match tensor {
        None => Some("-".to_string()),
        Some(tensor) => Some(format!("{}{:?}", tensor.key.as_ref()?, tensor.sizes)),
    };
    Some(match what {
        What::Given | What::Constant(_) | What::Extended { .. } => return None,
        What::Conv(conv) => format!(
            "conv {} {} {} {:?} {:?} {:?} {} {:?} {}",
            conv.x,
            tensor(&Some(conv.weight.clone()))?,
            tensor(&conv.bias)?,
            conv.stride,
            conv.pad,
            conv.dilation,
            conv.groups,
            conv.output_pad,
            conv.rows
        ),
        What::Norm(norm) => format!(
            "norm {} {:?} {} {} {} {} {} {}",
            norm.x,
            norm.over,
            norm.centred,
            norm.eps,
            norm.floor,
            norm.scale,
            tensor(&norm.gamma)?,
            tensor(&norm.beta)?
        ),
        What::Class(table) => format!("class {}", tensor(&Some(table.clone()))?),
        other => format!("{other:?}"),
    })
}
