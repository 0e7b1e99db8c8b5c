//! The U-Nets of `denoising-diffusion-pytorch` (lucidrains) from their weights: `Unet1D` on signals and `Unet` on images, as its trainer
//! saves them (`model-10.pt`: dictionaries `model` and `ema`) or as a state dictionary alone (`.pt`, `.safetensors`).
//!
//! Every size but three follows from the weights. `mote.json` or `config.json` says the extents of a sample; where there is no
//! scheduler's configuration, `mote.json` says what is predicted, and the noise levels where the file has no `betas`.

mod layers;

use super::exported::{Manifest, Plan, Rate, View, Waves, sample_of};
use super::native::{Native, Settings};
use super::{Checkpoint, ImportError, shown};
use layers::Layers;
use std::path::{Path, PathBuf};

/// Prefixes of its weights' names, averaged ones first.
const PREFIXES: [&str; 5] = ["ema_model.model.", "ema_model.", "model.", "module.", ""];
/// Where a checkpoint holds the weights, averaged ones first.
const DICTIONARIES: [&[&str]; 3] = [&["ema"], &["model"], &[]];
/// A weight that all of them have.
const KNOWN: &str = "downs.0.0.block1.proj.weight";
/// Entries of a folder that are looked at, and files that are opened.
const MOST_ENTRIES: usize = 10_000;
const MOST_FILES: usize = 4;
/// Channels of a head, and the period of the slowest feature of the timestep over 2 pi, where nothing says otherwise.
const DIM_HEAD: usize = 32;
const THETA: usize = 10_000;

type Built<T> = Result<T, ImportError>;

/// The weights that `path` is or holds; `None` where another importer reads it.
pub(super) fn find(path: &Path) -> Option<Built<(PathBuf, Native)>> {
    let open =
        |file: &Path| Native::open(file, &DICTIONARIES, &PREFIXES, KNOWN).map(|native| (file.to_path_buf(), native));
    let ends = |file: &Path, with: &[&str]| {
        file.extension()
            .is_some_and(|end| with.iter().any(|known| end == *known))
    };
    if path.is_file() {
        // Nobody else reads a file of these alone.
        return ends(path, &["pt", "pth", "safetensors"]).then(|| open(path));
    }
    let other = |file: &str| Settings::peek(&path.join(file), |fields| fields.contains_key("_class_name"));
    if path.join("unet").is_dir() || path.join("model_index.json").exists() || other("config.json") {
        return None;
    }
    let files = std::fs::read_dir(path).ok()?.take(MOST_ENTRIES);
    let mut files: Vec<PathBuf> = files
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|file| ends(file, &["pt", "safetensors"]) && file.is_file())
        .collect();
    // The trainer numbers its files; the last is the one that was trained longest.
    files.sort_by_key(|file| (milestone(file), shown(file)));
    files
        .into_iter()
        .rev()
        .take(MOST_FILES)
        .find_map(|file| open(&file).ok())
        .map(Ok)
}

/// The number at the end of a file's name; most where it has none.
fn milestone(file: &Path) -> u64 {
    let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let digits = stem.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    stem[digits..].parse().unwrap_or(u64::MAX)
}

/// Reads the checkpoint of these weights.
pub(super) fn import(file: &Path, mut native: Native) -> Built<Checkpoint> {
    let settings = native.settings(&[])?;
    let manifest = Manifest::beside(native.folder())?;
    let first = native.sizes("init_conv.weight")?;
    let last = native.sizes("final_conv.weight")?;
    let axes = first.len().saturating_sub(2);
    if native.has("downs.0.0.block1.norm.weight") || !matches!(axes, 1 | 2) {
        let problem = "its blocks are normalized by groups, as older versions of the package have them, and the file does not say how many: \
                       export the network with torch.export.save";
        return Err(native.refuse(problem.to_string()));
    }
    let (reads, gives) = (first[1], last[0]);
    if reads != gives {
        let what = if reads > gives {
            "it is conditioned on its own estimate, or on another signal"
        } else {
            "its variances are learned"
        };
        let problem =
            format!("it reads {reads} channels and gives {gives} ({what}), which is not read from weights alone");
        return Err(native.refuse(problem));
    }
    let [rows, cols] = extents(&native, &manifest, &settings, [gives, axes])?;
    // Every level but the last halves the positions.
    let step = 1usize << native.count("downs").saturating_sub(1).min(20);
    if !cols.is_multiple_of(step) || (axes == 2 && !rows.is_multiple_of(step)) {
        let problem = format!(
            "the network halves a sample until {step} positions are one: its extents must be multiples of {step}"
        );
        return Err(manifest.error("sample", problem).into());
    }
    let plan = Plan {
        shape: [gives, rows, cols],
        condition: None,
        layout: if axes == 1 {
            "(channel, time)"
        } else {
            "(channel, row, col)"
        },
        range: None,
    };
    let dim_head = settings.whole("attn_dim_head")?.or(settings.whole("dim_head")?);
    let theta = settings.whole("sinusoidal_pos_emb_theta")?.unwrap_or(THETA);
    native.finish(file, plan, |native, net, sample, _| {
        let dim_head = dim_head.unwrap_or(DIM_HEAD);
        let mut unet = Unet {
            layers: Layers {
                native,
                net,
                axes,
                dim_head,
            },
        };
        unet.forward(&sample, theta)
    })
}

/// Rows and columns of a sample of `channels` and so many axes: from `mote.json`, from `config.json`, or from an exported network beside.
fn extents(
    native: &Native,
    manifest: &Manifest,
    settings: &Settings,
    [channels, axes]: [usize; 2],
) -> Built<[usize; 2]> {
    let side = settings.whole(if axes == 1 { "seq_length" } else { "image_size" })?;
    let own = match (&manifest.sample, side) {
        (Some(sample), _) => Some(sample.clone()),
        (None, Some(side)) => Some([vec![channels], vec![side; axes]].concat()),
        (None, None) => sample_of(native.folder()),
    };
    let shape = if axes == 1 {
        format!("[{channels}, LENGTH]")
    } else {
        format!("[{channels}, ROWS, COLS]")
    };
    match own.as_deref() {
        Some([own, cols]) if axes == 1 && *own == channels => Ok([1, *cols]),
        Some([own, rows, cols]) if axes == 2 && *own == channels => Ok([*rows, *cols]),
        Some(_) => Err(manifest
            .error("sample", format!("samples of this network have the extents {shape}"))
            .into()),
        None => {
            let problem = format!("the weights do not say how large a sample is: write \"sample\": {shape}");
            Err(manifest.error("sample", problem).into())
        }
    }
}

/// The network while it is built.
struct Unet<'a> {
    layers: Layers<'a>,
}

impl Unet<'_> {
    fn forward(&mut self, sample: &View, theta: usize) -> Built<View> {
        let time = self.time(theta)?;
        let mut x = self.layers.conv("init_conv", sample, 1)?;
        let first = x.clone();
        let mut skips = vec![];
        for level in 0..self.layers.native.count("downs") {
            let name = format!("downs.{level}");
            x = self.layers.block(&format!("{name}.0"), &x, &time)?;
            skips.push(x.clone());
            x = self.layers.block(&format!("{name}.1"), &x, &time)?;
            x = self.layers.attended(&format!("{name}.2"), &x)?;
            skips.push(x.clone());
            x = self.layers.down(&format!("{name}.3"), &x)?;
        }
        x = self.layers.block("mid_block1", &x, &time)?;
        x = self.layers.attended("mid_attn", &x)?;
        x = self.layers.block("mid_block2", &x, &time)?;
        for level in 0..self.layers.native.count("ups") {
            let name = format!("ups.{level}");
            for block in 0..2 {
                let skip = skips
                    .pop()
                    .ok_or_else(|| self.layers.native.refuse(format!("`{name}` has no level to join")))?;
                x = self.layers.joined(&name, [x, skip])?;
                x = self.layers.block(&format!("{name}.{block}"), &x, &time)?;
            }
            x = self.layers.attended(&format!("{name}.2"), &x)?;
            x = self.layers.up(&format!("{name}.3"), &x)?;
        }
        x = self.layers.joined("final_res_block", [x, first])?;
        x = self.layers.block("final_res_block", &x, &time)?;
        self.layers.conv("final_conv", &x, 1)
    }

    /// The timestep's embedding: sines, then cosines, behind trained rates the timestep itself first; linear, GELU, linear.
    fn time(&mut self, theta: usize) -> Built<View> {
        let module = "time_mlp.0";
        let waves = if self.layers.native.has("time_mlp.0.weights") {
            let weights = self.layers.native.take("time_mlp.0.weights")?;
            let turn = 2.0 * std::f64::consts::PI;
            let rates: Vec<Rate> = weights
                .data
                .iter()
                .map(|w| Rate::plain(w * turn, (*w as f32 * 2.0) * std::f32::consts::PI))
                .collect();
            Waves::sinusoids(&rates, module).behind_time()
        } else {
            let half = self.layers.native.sizes("time_mlp.1.weight")?[1] / 2;
            let exponent = -libm::log(theta as f64) / (half.max(2) - 1) as f64;
            let rate = |i: usize| Rate::exp(exponent * i as f64, exponent as f32 * i as f32);
            Waves::sinusoids(&(0..half).map(rate).collect::<Vec<_>>(), module)
        };
        let features = self.layers.net.features(&waves);
        let features = self.layers.told(module, features)?;
        let hidden = self.layers.linear("time_mlp.1", &features)?;
        let hidden = self.layers.gelu("time_mlp.2", &hidden)?;
        self.layers.linear("time_mlp.3", &hidden)
    }
}
