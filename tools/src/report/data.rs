//! What a report shows.

use super::live::Live;
/// Everything on the page. `Default` is an empty page; empty lists and `None` leave their section out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReportData {
    /// Name of the model: the page's title.
    pub title: String,
    /// The command that made the page, shown under the title; empty if there is none.
    pub command: String,
    /// Label and value, in order: checkpoint, scheme, sizes.
    pub facts: Vec<(String, String)>,
    /// What the conversion noted: prices, doubts, what was left out.
    pub notes: Vec<String>,
    /// What the page samples itself.
    pub live: Option<Live>,
    /// Finished images.
    pub samples: Vec<Picture>,
    /// What the samples are, in one sentence: seeds, steps, backend.
    pub samples_caption: String,
    /// From noise to image, one strip an image.
    pub films: Vec<Film>,
    /// The quantized model against the float model.
    pub quality: Option<Quality>,
    /// What a change of one tensor's width does.
    pub sensitivity: Vec<SensitivityBar>,
    /// The activation arena.
    pub memory: Option<MemoryMap>,
    /// Whether the model fits, board by board.
    pub boards: Vec<BoardFit>,
    /// Which backends made the same bytes.
    pub backends: Vec<BackendCheck>,
    /// The operator list.
    pub operators: Vec<OperatorRow>,
}

/// An image as a PNG file; the page enlarges it without smoothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Picture {
    /// The PNG file.
    pub png: Vec<u8>,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// A few words under the image, such as `seed 7`; may be empty.
    pub caption: String,
}

/// One image being made.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Film {
    /// What it shows, such as `x_t, seed 7`.
    pub caption: String,
    /// Frames in the order of time, captioned with the timestep.
    pub frames: Vec<Picture>,
}

/// How far the model in the file is from the float model.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Quality {
    /// Images compared.
    pub images: usize,
    /// PSNR of the final images, peak 2, mean over images in dB.
    pub x0_psnr_db_mean: f64,
    /// The 5th percentile, dB.
    pub x0_psnr_db_p5: f64,
    /// The worst image's, dB.
    pub x0_psnr_db_min: f64,
    /// The worst image as the model has it, then as the float network has it; empty where it is no picture.
    pub worst: Vec<Picture>,
    /// By step, first step first.
    pub steps: Vec<StepQuality>,
}

/// One step of [`Quality`].
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct StepQuality {
    /// Training timestep.
    pub timestep: u32,
    /// PSNR of the state after the step, peak 2, mean over images in dB.
    pub state_psnr_db: f64,
    /// Signal to noise ratio of the network's output, mean over images in dB.
    pub eps_sqnr_db: f64,
}

/// What happens to the image when one tensor alone is narrowed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SensitivityBar {
    /// The tensor.
    pub name: String,
    /// What was tried, such as `activation int8`.
    pub tried: String,
    /// PSNR of the final image that is predicted with this tensor alone narrowed, dB: lower is more sensitive.
    pub psnr_db: f64,
    /// What was chosen for it in the end, such as `int16`; empty if nothing was.
    pub chosen: String,
}

/// The activation arena over the operator list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MemoryMap {
    /// Bytes of the arena.
    pub arena_bytes: usize,
    /// The most bytes that live at any operator: no plan can be smaller.
    pub lower_bound_bytes: usize,
    /// Number of operators.
    pub operators: usize,
    /// Tensors and scratch.
    pub blocks: Vec<Block>,
}

/// A tensor in the arena.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Block {
    /// Its name.
    pub name: String,
    /// Number format, such as `int8`.
    pub dtype: String,
    /// First byte.
    pub offset: usize,
    /// Size.
    pub bytes: usize,
    /// Operator that writes it.
    pub def: usize,
    /// Last operator that reads it.
    pub last: usize,
    /// Memory of one operator alone.
    pub scratch: bool,
}

/// Whether the model fits a board.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BoardFit {
    /// The board.
    pub name: String,
    /// What it is: chip and core.
    pub description: String,
    /// Whether it fits.
    pub fits: bool,
    /// Flash needed, bytes: code and model.
    pub flash_bytes: u64,
    /// Flash there, bytes.
    pub flash_total_bytes: u64,
    /// RAM needed, bytes: arena, statics and stack.
    pub ram_bytes: u64,
    /// RAM there, bytes.
    pub ram_total_bytes: u64,
    /// Instructions a step as counted in simulation, if it was run.
    pub instructions_per_step: Option<u64>,
    /// Why it does not fit, or a remark; may be empty.
    pub why: String,
}

/// What one backend gave.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BackendCheck {
    /// The backend.
    pub name: String,
    /// Whether it could run here.
    pub available: bool,
    /// Why not, or a remark; may be empty.
    pub why: String,
    /// Images made.
    pub images: usize,
    /// Steps compared with the reference backend.
    pub steps: usize,
    /// Steps whose bits differ.
    pub mismatches: usize,
    /// Digest of all images, hexadecimal.
    pub digest: String,
    /// Where the first difference is, in words; empty if there is none.
    pub first_divergence: String,
}

/// One row of the operator table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OperatorRow {
    /// The checkpoint's module path.
    pub name: String,
    /// What it computes.
    pub kind: String,
    /// Output shape, rows x columns x channels.
    pub shape: String,
    /// Number format of the output.
    pub dtype: String,
    /// Number format of the weights; empty where there are none.
    pub weights: String,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Elements of the output.
    pub elements: u64,
    /// Bytes of weights, biases and multipliers.
    pub weight_bytes: u64,
    /// Bytes of the output.
    pub out_bytes: u64,
}
