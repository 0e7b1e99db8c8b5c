//! Why a checkpoint is refused: what, where, and what to do.

use super::shown;
use mote_graph::config::ConfigError;
use mote_graph::graph::GraphError;
use std::io;
use std::path::Path;
use thiserror::Error;

/// A checkpoint that cannot be imported.
#[derive(Debug, Error)]
pub enum ImportError {
    /// The path is not a folder.
    #[error("{path} is not a folder: give the pipeline folder that holds unet/ and scheduler/, or the unet/ folder")]
    NotAFolder {
        /// As given.
        path: String,
    },
    /// The folder holds no network.
    #[error("{path} holds neither unet/ nor model_index.json nor config.json: {advice}")]
    NoUnet {
        /// As given.
        path: String,
        /// What to do.
        advice: String,
    },
    /// Another network lies beside the one that would be converted, and no index says what it is for.
    #[error(
        "{path} is of {class}: a second network lies beside the U-Net, which may make no image without it, and a model file holds \
             the U-Net alone; to convert that all the same, copy it and its scheduler into a folder of their own ({network})"
    )]
    SecondNetwork {
        /// The other network's configuration.
        path: String,
        /// Its class.
        class: String,
        /// The folder of the network that would be converted.
        network: String,
    },
    /// There is no scheduler.
    #[error(
        "{path} is missing: the noise schedule and the prediction type are in no other file and are not guessed; \
             save the scheduler with save_pretrained, or copy its configuration there"
    )]
    NoScheduler {
        /// The file expected.
        path: String,
    },
    /// A file cannot be read.
    #[error("cannot read {path}: {source}; {advice}")]
    Read {
        /// The file.
        path: String,
        /// The system's reason.
        source: std::io::Error,
        /// What to do.
        advice: &'static str,
    },
    /// A file is larger than this tool reads.
    #[error("{path} has {bytes} bytes, more than the {limit} that are read: this is not a microcontroller's model")]
    TooLarge {
        /// The file.
        path: String,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// Weights in another container.
    #[error(
        "{path} is missing, but {found} is there: weights are read from safetensors files; load the model in Python \
             and save it with save_pretrained(folder, safe_serialization=True)"
    )]
    OtherWeights {
        /// The file expected.
        path: String,
        /// The file found.
        found: String,
    },
    /// Weights of several variants, and none without.
    #[error("{path} is missing, and there are several variants of it: {found}; leave one of them in the folder")]
    Variants {
        /// The file expected.
        path: String,
        /// The files found.
        found: String,
    },
    /// An index of shards that is not whole.
    #[error(
        "{path}: {problem}; copy all files of the model again, or save it with max_shard_size larger than the model"
    )]
    Shards {
        /// The index.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// The same tensor in two files.
    #[error("{path}: tensor `{key}` is in {other} too; copy the model's files again")]
    Twice {
        /// A file.
        path: String,
        /// Another.
        other: String,
        /// The tensor.
        key: String,
    },
    /// An exported program that is damaged, or of a form that is not read.
    #[error("{path}: {problem}")]
    Exported {
        /// The file.
        path: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// A node of an exported program that is not recognized.
    #[error("{path}: node `{node}` ({target}, module `{module}`): {problem}")]
    Node {
        /// The file.
        path: String,
        /// The value that it writes.
        node: String,
        /// The operator.
        target: String,
        /// The module's path.
        module: String,
        /// What is not known of it.
        problem: String,
    },
    /// Nothing says what the inputs of an exported program are.
    #[error(
        "{path} is missing: it says what each input of the network is; write {{\"format\": 1, \"inputs\": {{{inputs}}}}} with sample, \
             timestep, class or condition for ROLE, and \"layout\" where a sample has two axes"
    )]
    NoManifest {
        /// The file expected.
        path: String,
        /// The inputs' names, as they stand in the file.
        inputs: String,
    },
    /// A setting that is malformed or not supported.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The safetensors container is damaged.
    #[error("{path} is not a whole safetensors file: {problem}; copy it again, or save the model again")]
    Container {
        /// The file.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// The configuration asks for a tensor that is not there.
    #[error("{path}: tensor `{key}` of shape {expected:?} is missing; config.json asks for it, {advice}")]
    MissingTensor {
        /// The file.
        path: String,
        /// The tensor.
        key: String,
        /// Its shape.
        expected: Vec<usize>,
        /// What that means, and what to do.
        advice: String,
    },
    /// A tensor's shape is not the configuration's.
    #[error(
        "{path}: tensor `{key}` should have shape {expected:?} by config.json, but has {found:?}; the two files are \
             not of one model"
    )]
    TensorShape {
        /// The file.
        path: String,
        /// The tensor.
        key: String,
        /// By the configuration.
        expected: Vec<usize>,
        /// In the file.
        found: Vec<usize>,
    },
    /// A tensor's element type is not a float type.
    #[error("{path}: tensor `{key}` has element type {found}; supported are F32, F16, BF16 and F64")]
    TensorType {
        /// The file.
        path: String,
        /// The tensor.
        key: String,
        /// In the file.
        found: String,
    },
    /// A tensor holds NaN or infinity, or a value beyond f32.
    #[error(
        "{path}: tensor `{key}` holds {value} at element {index}; the training run has diverged or the file is \
             damaged: take an earlier checkpoint"
    )]
    NotFinite {
        /// The file.
        path: String,
        /// The tensor.
        key: String,
        /// Row-major element index.
        index: usize,
        /// The value.
        value: f64,
    },
    /// Tensors that the configuration has no place for.
    #[error(
        "{path}: {count} tensor(s) that config.json has no place for, such as `{key}`; the two files are not of one \
             model, or the model has a part that is not supported"
    )]
    ExtraTensor {
        /// The file.
        path: String,
        /// How many.
        count: usize,
        /// The first, in order of name.
        key: String,
    },
    /// The same tensor under its new and its legacy name.
    #[error("{path}: `{key}` and its legacy name `{legacy}` are both there; remove one")]
    TwoNames {
        /// The file.
        path: String,
        /// The present name.
        key: String,
        /// The former name.
        legacy: String,
    },
    /// Shapes that do not fit one another.
    #[error("config.json describes a network that does not fit together: {0}")]
    Graph(#[from] GraphError),
}

impl ImportError {
    /// Why the archive or the exported file `path` could not be read; `advice` where the system said so.
    pub(super) fn unread(path: &Path, source: io::Error, advice: &'static str) -> Self {
        let path = shown(path);
        match source.kind() {
            io::ErrorKind::InvalidData => Self::Exported {
                path,
                problem: format!("{source}: copy it again"),
            },
            _ => Self::Read { path, source, advice },
        }
    }
}
