//! The decoder of an autoencoder: from latents to pictures. diffusers' `AutoencoderTiny` and `AutoencoderKL`.
//!
//! What scales and shifts a latent before it is decoded (`scaling_factor`, `shift_factor`) is part of the graph: its sample is what the
//! pipeline's network makes. Weights of the encoder are left where they are.

mod kl;
mod tiny;

use super::index::Index;
use super::weights::{WeightFile, Weights};
use super::{ImportError, files, shown, stored};
use mote_graph::config::{ConfigError, Fields};
use mote_graph::graph::{Builder, Graph, Param, ValueId, ops};
use std::path::{Path, PathBuf};

const TINY: &str = "AutoencoderTiny";
const KL: &str = "AutoencoderKL";
/// Classes that are read.
pub(super) const CLASSES: [&str; 2] = [TINY, KL];
/// The folder of a pipeline's autoencoder where no index names another.
const FOLDER: &str = "vae";
const CONFIG: &str = "config.json";

const MAX_CHANNELS: usize = 1 << 14;
const MAX_LEVELS: usize = 12;
const MAX_LAYERS: usize = 64;
const MAX_SIDE: usize = 1 << 13;

/// A decoder, ready to be converted.
#[derive(Debug, Clone)]
pub struct Decoder {
    /// Its class, as `config.json` says it.
    pub class: String,
    /// From a latent to a picture, -1 to 1.
    pub graph: Graph,
    /// SHA-256 of the weights file, lower-case hexadecimal.
    pub sha256: String,
    /// Its configuration, for errors.
    pub config_file: String,
}

impl Decoder {
    /// Its own name, whatever its folder is called.
    #[must_use]
    pub fn name(&self) -> String {
        let [channels, rows, cols] = self.graph.output_shape();
        format!("decoder-{channels}x{rows}x{cols}-{}", &self.sha256[..8])
    }
}

/// Whether a class of networks is one whose decoder is read.
#[must_use]
pub fn is_read(class: &str) -> bool {
    CLASSES.contains(&class)
}

/// The folder that holds an autoencoder and no network beside it: `path` itself.
#[must_use]
pub fn alone(path: &Path) -> Option<PathBuf> {
    is_autoencoder(path).then(|| path.to_path_buf())
}

fn is_autoencoder(folder: &Path) -> bool {
    let text = files::text(&folder.join(CONFIG), files::SMALL).ok();
    let object = text.and_then(|text| mote_graph::config::object(CONFIG, &text).ok());
    object.is_some_and(|object| {
        object
            .get("_class_name")
            .and_then(|class| class.as_str())
            .is_some_and(is_read)
    })
}

/// The decoder of the pipeline in `path`, whose network makes latents of this shape; `None` where there is none.
pub(super) fn beside(path: &Path, latent: [usize; 3]) -> Result<Option<Decoder>, ImportError> {
    if !path.is_dir() {
        return Ok(None);
    }
    let index = Index::read(path)?;
    let named = index
        .as_ref()
        .map(|index| index.autoencoder().map(|part| path.join(&part.name)));
    let folder = named.unwrap_or_else(|| Some(path.join(FOLDER)).filter(|folder| is_autoencoder(folder)));
    folder.map(|folder| read(&folder, Some(latent))).transpose()
}

/// Reads the decoder in `folder`, for latents of this shape, `(channel, row, col)`.
///
/// # Errors
/// With file, field and value, for whatever is not there or not supported; where no shape is given, and `config.json` says none.
pub fn read(folder: &Path, latent: Option<[usize; 3]>) -> Result<Decoder, ImportError> {
    let file = folder.join(CONFIG);
    let text = files::text(&file, files::SMALL).map_err(|source| ImportError::Read {
        path: shown(&file),
        source,
        advice: "save the autoencoder with save_pretrained",
    })?;
    let (stored, _) = stored::read(folder)?;
    let weights: Vec<WeightFile<'_>> = stored
        .iter()
        .map(|(path, bytes)| (path.as_str(), bytes.as_slice()))
        .collect();
    assemble(&shown(&file), &text, &weights, latent)
}

fn assemble(
    file: &str,
    text: &str,
    files: &[WeightFile<'_>],
    latent: Option<[usize; 3]>,
) -> Result<Decoder, ImportError> {
    let mut fields = Fields::parse(file, text)?;
    let class = fields.string("_class_name", "")?;
    let mut weights = Weights::parse(files)?;
    ["encoder.", "quant_conv."]
        .into_iter()
        .for_each(|part| weights.leave(part));
    let scaling = Scaling::read(&mut fields, if class == KL { 0.18215 } else { 1.0 })?;
    let graph = match class.as_str() {
        TINY => tiny::build(fields, scaling, &mut weights, latent)?,
        KL => kl::build(fields, scaling, &mut weights, latent)?,
        _ => return Err(fields.error("_class_name", format!("supported: {TINY}, {KL}")).into()),
    };
    weights.finish()?;
    let bytes: Vec<u8> = files.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
    Ok(Decoder {
        class,
        graph,
        sha256: crate::files::sha256(&bytes),
        config_file: file.to_string(),
    })
}

/// What a pipeline does to a latent before it is decoded: `latent / scaling_factor + shift_factor`.
#[derive(Debug, Clone, Copy)]
struct Scaling {
    scale: f64,
    shift: f64,
}

impl Scaling {
    /// `default` is the class's own factor.
    fn read(fields: &mut Fields, default: f64) -> Result<Self, ConfigError> {
        let factor = fields.number("scaling_factor", default)?;
        if !(1e-4..=1e4).contains(&factor) {
            return Err(fields.error("scaling_factor", "expected a number from 0.0001 to 10000"));
        }
        let shift = match fields.is_null("shift_factor") {
            true => 0.0,
            false => fields.number("shift_factor", 0.0)?,
        };
        if shift.abs() > 1e4 {
            return Err(fields.error("shift_factor", "expected a number from -10000 to 10000"));
        }
        for field in ["latents_mean", "latents_std"] {
            fields.refuse_set(
                field,
                "latents are scaled by one factor and one shift: numbers a channel are not read",
            )?;
        }
        fields.ignore(&["shift_factor", "force_upcast"]);
        Ok(Self {
            scale: 1.0 / factor,
            shift,
        })
    }
}

/// The latent's shape: as given, or `own` of the configuration.
fn latent_shape(
    fields: &Fields,
    channels: usize,
    given: Option<[usize; 3]>,
    own: Option<[usize; 2]>,
) -> Result<[usize; 3], ConfigError> {
    match (given, own) {
        (Some([given, ..]), _) if given != channels && given != 0 => Err(fields.error(
            "latent_channels",
            format!("the network makes samples of {given} channels, which are no latents of this autoencoder"),
        )),
        (Some([_, rows, cols]), _) | (None, Some([rows, cols])) => Ok([channels, rows, cols]),
        (None, None) => Err(fields.error(
            "sample_size",
            "the extents of a latent are not written there: say them (`mote convert --latent ROWSxCOLS`)",
        )),
    }
}

/// A decoder's graph under construction.
struct Net<'a, 'w> {
    graph: Builder,
    weights: &'a mut Weights<'w>,
}

impl Net<'_, '_> {
    /// A convolution `{name}.weight`, with its bias where `bias` says so, padded to keep its input's extents.
    fn conv(&mut self, name: &str, out: usize, kernel: usize, bias: bool, x: ValueId) -> Result<ValueId, ImportError> {
        self.conv_as(name, [out, kernel], bias, |_| (), x)
    }

    /// The same; `change` gets weights and bias before they are used.
    fn conv_as(
        &mut self,
        name: &str,
        [out, kernel]: [usize; 2],
        bias: bool,
        change: impl Fn(&mut [Param]),
        x: ValueId,
    ) -> Result<ValueId, ImportError> {
        let channels = self.graph.shape(x)[0];
        let (weight, offset) = (format!("{name}.weight"), format!("{name}.bias"));
        let shape = [out, channels, kernel, kernel];
        // Old attention weights are linear layers.
        let mut params = vec![
            self.weights
                .take(&weight, if kernel == 0 { &shape[..2] } else { &shape })?,
        ];
        if bias {
            params.push(self.weights.take(&offset, &[out])?);
        }
        change(&mut params);
        let mut params = params.into_iter();
        params
            .next()
            .into_iter()
            .for_each(|param| self.graph.param(&weight, param));
        params
            .next()
            .into_iter()
            .for_each(|param| self.graph.param(&offset, param));
        let kernel = kernel.max(1);
        let op = ops::Conv::square(weight, bias.then_some(offset), kernel, 1, [kernel / 2; 4]);
        Ok(self.graph.push(name, op, &[x])?)
    }
}
