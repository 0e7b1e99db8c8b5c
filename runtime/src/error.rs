//! What can be wrong, and where: small `Copy` values that a device can log.

use core::fmt;

use crate::features::Feature;

/// A part of the model file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Section {
    /// Model-wide facts, postcard.
    Header,
    /// The table of activations, fixed records.
    Tensors,
    /// The operator list, postcard.
    Ops,
    /// Weights, biases, multipliers and tables.
    Weights,
    /// The cumulative alphas, Q62, or the rows of a planned run.
    Schedule,
    /// Names of operators and tensors, for reports.
    Names,
    /// Where the model came from, JSON.
    Provenance,
}

/// What is wrong with a tensor or an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Fault {
    /// The bytes are not a valid record.
    Decode,
    /// A tensor index that the table does not have.
    UnknownTensor(u16),
    /// An extent differs from what the operator needs.
    Shape {
        /// What the operator needs.
        expected: u32,
        /// What the file says.
        found: u32,
    },
    /// A tensor's number format does not suit the operator.
    Dtype,
    /// A zero point that is not allowed here.
    ZeroPoint,
    /// Read before it is written, or after its last use, or written twice.
    Lifetime(u16),
    /// Shares memory with this tensor while both live.
    Overlap(u16),
    /// Reaches past the end of its section or of the arena.
    OutOfBounds {
        /// First byte that must not be reached.
        limit: u32,
        /// End of what was asked for.
        end: u32,
    },
    /// An offset that is not a multiple of its alignment.
    Alignment(u32),
    /// A parameter outside its stated range.
    Parameter,
    /// A multiplier or shift outside its stated range.
    Requant,
    /// This output channel could overflow its accumulator.
    Accumulator(u32),
    /// A weight that is not finite.
    NotFinite(u32),
    /// The int4 weights of this output channel are not followed by zeros to a whole word.
    Padding(u32),
    /// It needs a part that this build of the runtime leaves out.
    NotBuilt(Feature),
}

/// Why a byte string is not a model. Every check is made before a [`crate::Model`] exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ParseError {
    /// The bytes do not start at a multiple of this many bytes.
    Misaligned(u32),
    /// Fewer or more bytes than the file says it has.
    Length {
        /// Bytes that the file should have.
        expected: u32,
        /// Bytes given.
        found: u32,
    },
    /// The magic is not there.
    NotAModel,
    /// A file format of another version.
    FormatVersion {
        /// In the file.
        found: u16,
        /// Of this runtime.
        supported: u16,
    },
    /// A numeric contract of another version.
    NumericVersion {
        /// In the file.
        found: u16,
        /// Of this runtime.
        supported: u16,
    },
    /// The bytes were changed after they were written; the section where that is known.
    Checksum(Option<Section>),
    /// The section table is malformed at this entry.
    SectionTable(u16),
    /// A section's content is malformed.
    Section(Section),
    /// More tensors than a file may have.
    Tensors {
        /// In the file.
        found: u32,
        /// The most that there may be.
        limit: u32,
    },
    /// A header field outside its range.
    Header(&'static str),
    /// The model needs a part that this build of the runtime leaves out.
    NotBuilt(Feature),
    /// A tensor is malformed.
    Tensor {
        /// Index in the tensor table.
        tensor: u16,
        /// What is wrong.
        fault: Fault,
    },
    /// An operator is malformed.
    Op {
        /// Index in the operator list.
        op: u16,
        /// What is wrong.
        fault: Fault,
    },
    /// The weights of the model's convolutions lie in another file.
    #[cfg(feature = "streamed")]
    Apart,
}

/// Where the checks of a file leave the first error, and end: errors that are carried out of every function by value take more code
/// than the checks.
#[derive(Debug)]
pub(crate) struct Refusal(pub ParseError);

impl Refusal {
    #[inline(always)]
    pub fn with<T>(&mut self, error: ParseError) -> Option<T> {
        self.0 = error;
        None
    }
}

/// Why a run cannot start or go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum RunError {
    /// The arena is too small.
    ArenaTooSmall {
        /// Bytes needed by this model and configuration.
        needed: u32,
        /// Bytes given.
        found: u32,
    },
    /// The arena does not start at a multiple of this many bytes.
    ArenaMisaligned(u32),
    /// Number of steps outside 1 ..= the training steps.
    Steps {
        /// Asked for.
        found: u32,
        /// Training steps of the model.
        max: u32,
    },
    /// The checkpoint's offset pushes the first of so many steps past the last training timestep.
    StepsOffset {
        /// Steps asked for.
        steps: u32,
        /// `steps_offset` of the model.
        offset: i32,
    },
    /// Another sampler, known elements, or a start between two seeds, of a model that is a chain with steps of its own.
    ChainSampler,
    /// Steps of a Gaussian chain that are not all of them.
    ChainSteps {
        /// Asked for.
        found: u32,
        /// Steps of the chain.
        needed: u32,
    },
    /// A class label that the model does not have, or a label for an unconditional model.
    Class {
        /// Asked for.
        found: u16,
        /// Number of classes of the model, 0 if unconditional.
        classes: u16,
    },
    /// The model is conditional and no class label was given.
    ClassMissing,
    /// Guidance on a model that has no null class.
    GuidanceUnsupported,
    /// eta is outside 0 to 1 (Q16).
    Eta(u32),
    /// eta is given to a sampler that has none.
    EtaElsewhere,
    /// The sampler, the spacing or the rule of the next timestep is not for the model's noise levels.
    Levels,
    /// The run needs a part that this build of the runtime leaves out.
    NotBuilt(Feature),
    /// The clipping range is not between 0 and 64.
    ClipRange,
    /// Start strength is outside 0 to 1 (Q16).
    Strength(u32),
    /// The place between two seeds is outside 0 to 1 (Q16).
    Part(u32),
    /// This predicts no epsilon where alpha_bar is 0 (zero-SNR schedule with epsilon prediction).
    ZeroSnr,
    /// The file plans a run of so many steps, and another was asked for.
    Planned {
        /// Steps of the plan.
        steps: u32,
    },
    /// A later step than the first to begin with, where the file plans a sampler whose steps go on from the one before.
    PlannedStart,
    /// An image or noise of another length.
    Length {
        /// Elements of the model's sample.
        expected: u32,
        /// Elements given.
        found: u32,
    },
    /// The snapshot is damaged or was taken with another model.
    Snapshot,
    /// The snapshot was written by an earlier runtime, in another layout.
    SnapshotVersion,
    /// The run was saved with a known image: it goes on when it is given that one again.
    KnownImage,
    /// A step is begun: what is asked for is for between two steps, or for the run that began it.
    StepBegun,
    /// An operator could not get its memory; a validated model never returns this.
    Memory {
        /// Index of the operator.
        op: u16,
    },
    /// A condition vector that is missing, or of another length than the model's.
    #[cfg(feature = "condition")]
    Condition {
        /// Numbers of the model's condition; 0 where it takes none.
        expected: u32,
        /// Numbers given; 0 without a vector.
        found: u32,
    },
    /// The run was saved with a condition vector: it goes on when it is given that one again.
    #[cfg(feature = "condition")]
    ConditionChanged,
    /// The file is a decoder, which makes pictures of latents and samples none.
    #[cfg(feature = "decoder")]
    Decoder,
    /// The file holds no decoder.
    #[cfg(feature = "decoder")]
    NoDecoder,
    /// The sampler takes the network's variances, and the network gives none.
    #[cfg(feature = "learned-variance")]
    NoVariances,
    /// The second factor is for chains of 2015, and the model is none.
    #[cfg(feature = "posterior")]
    NoChain,
    /// The noise of what is known of a chain's bits, as a probability in Q31, is above one half.
    #[cfg(feature = "posterior")]
    KnownNoise(u32),
    /// The weights of the model's convolutions lie in another file, or those of a streamed model do not.
    #[cfg(feature = "streamed")]
    Apart,
    /// The reader of weights failed.
    #[cfg(feature = "streamed")]
    Unread {
        /// First byte of the file of weights that it was asked for.
        at: u32,
    },
    /// What the reader of weights gives is not the model's file of weights.
    #[cfg(feature = "streamed")]
    OtherWeights,
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Tensors => "tensors",
            Self::Ops => "operators",
            Self::Weights => "weights",
            Self::Schedule => "schedule",
            Self::Names => "names",
            Self::Provenance => "provenance",
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decode => f.write_str("its record cannot be decoded"),
            Self::UnknownTensor(id) => write!(f, "it names tensor {id}, which does not exist"),
            Self::Shape { expected, found } => write!(f, "an extent is {found} where {expected} is needed"),
            Self::Dtype => f.write_str("a number format does not suit it"),
            Self::ZeroPoint => f.write_str("a zero point is set where none is allowed"),
            Self::Lifetime(id) => write!(f, "tensor {id} is used outside its lifetime"),
            Self::Overlap(id) => write!(f, "its memory overlaps that of tensor {id}, which is still alive"),
            Self::OutOfBounds { limit, end } => write!(f, "it reaches byte {end} of {limit}"),
            Self::Alignment(offset) => write!(f, "offset {offset} is not aligned"),
            Self::Parameter => f.write_str("a parameter is outside its range"),
            Self::Requant => f.write_str("a multiplier or shift is outside its range"),
            Self::Accumulator(channel) => write!(f, "output channel {channel} could overflow its accumulator"),
            Self::NotFinite(index) => write!(f, "weight {index} is not finite"),
            Self::Padding(channel) => write!(f, "the weights of output channel {channel} are not padded with zeros"),
            Self::NotBuilt(feature) => write!(
                f,
                "it needs the feature '{feature}', without which this runtime was built"
            ),
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Misaligned(align) => write!(
                f,
                "the model must start at a multiple of {align} bytes: put it in Aligned, or align its section or slot"
            ),
            Self::Length { expected, found } => {
                write!(f, "the model says it has {expected} bytes, but {found} are there: ")?;
                f.write_str(if found < expected {
                    "it was cut off"
                } else {
                    "more follows it; a slot of flash is opened by Model::parse_slot"
                })
            }
            Self::NotAModel => f.write_str("not a Mote model: the magic bytes 'MOTE' are missing"),
            Self::FormatVersion { found, supported } => {
                write!(
                    f,
                    "file format version {found}; this runtime reads version {supported}: convert again"
                )
            }
            Self::NumericVersion { found, supported } => {
                write!(
                    f,
                    "numeric contract version {found}; this runtime implements version {supported}: convert again"
                )
            }
            Self::Checksum(Some(section)) => write!(f, "checksum mismatch in section '{section}': the file is damaged"),
            Self::Checksum(None) => f.write_str("checksum mismatch: the file is damaged"),
            Self::SectionTable(entry) => write!(f, "entry {entry} of the section table is malformed"),
            Self::Section(section) => write!(f, "section '{section}' is malformed"),
            Self::Tensors { found, limit } => write!(
                f,
                "the file has {found} tensors, and {limit} are the most: leave out those that no operator names"
            ),
            Self::Header(field) => write!(f, "header field '{field}' is outside its range"),
            Self::NotBuilt(feature) => write!(
                f,
                "the model needs the feature '{feature}', without which this runtime was built"
            ),
            Self::Tensor { tensor, fault } => write!(f, "tensor {tensor}: {fault}"),
            Self::Op { op, fault } => write!(f, "operator {op}: {fault}"),
            #[cfg(feature = "streamed")]
            Self::Apart => f.write_str(
                "the weights lie in another file: open this one with Model::parse_apart, and run it by Streamed",
            ),
        }
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ArenaTooSmall { needed, found } => write!(f, "the arena has {found} bytes, {needed} are needed"),
            Self::ArenaMisaligned(align) => write!(f, "the arena must start at a multiple of {align} bytes"),
            Self::Steps { found, max } => write!(f, "{found} steps asked for; the model allows 1 to {max}"),
            Self::StepsOffset { steps, offset } => write!(
                f,
                "steps_offset {offset} does not fit {steps} steps: the first would begin past the last training timestep"
            ),
            Self::ChainSampler => {
                write!(
                    f,
                    "this model is a chain: it has a sampler of its own, and neither known elements nor starts between seeds"
                )
            }
            Self::ChainSteps { found, needed } => {
                write!(f, "{found} steps asked for; this chain takes all of its {needed}")
            }
            Self::Class { found, classes: 0 } => {
                write!(f, "class {found} was given, but the model has no class labels")
            }
            Self::Class { found, classes } => {
                write!(f, "class {found} does not exist; the model has 0 to {}", classes - 1)
            }
            Self::ClassMissing => f.write_str("the model is conditional: a class label is needed"),
            Self::GuidanceUnsupported => f.write_str("guidance needs a conditional model with a null class"),
            Self::Eta(eta) => write!(f, "eta is {eta}/65536; it must lie between 0 and 1"),
            Self::EtaElsewhere => f.write_str("eta is DDIM's alone: leave it at 0 for other samplers"),
            Self::Levels => f.write_str(
                "the sampler, the spacing or the rule of the next timestep is not for the model's noise levels",
            ),
            Self::NotBuilt(feature) => write!(
                f,
                "the run needs the feature '{feature}', without which this runtime was built"
            ),
            Self::ClipRange => f.write_str("the clipping range must lie between 0 and 64"),
            Self::Strength(s) => write!(f, "strength is {s}/65536; it must lie between 0 and 1"),
            Self::Part(part) => write!(
                f,
                "the place between the seeds is {part}/65536; it must lie between 0 and 1"
            ),
            Self::ZeroSnr => f.write_str("alpha_bar is 0 at this timestep, where epsilon prediction is undefined"),
            Self::Planned { steps } => write!(
                f,
                "the file plans its run, of {steps} steps, and this is another: run that one, or the file that it was planned from"
            ),
            Self::PlannedStart => f.write_str(
                "the file plans a sampler that goes on from the step before: start from noise, or run the file that it was planned from",
            ),
            Self::Length { expected, found } => write!(f, "{found} elements given; the model's sample has {expected}"),
            Self::Snapshot => f.write_str("the snapshot is damaged or belongs to another model"),
            Self::SnapshotVersion => f.write_str(
                "the snapshot is of an earlier version of the runtime, which can finish it: start the run anew",
            ),
            Self::KnownImage => f.write_str("the run was saved with a known image: give it that image again"),
            Self::StepBegun => f.write_str("a step is begun: finish it first, with the run that began it"),
            Self::Memory { op } => write!(f, "operator {op} could not get its memory"),
            #[cfg(feature = "condition")]
            Self::Condition { expected: 0, .. } => f.write_str("a condition vector was given, but the model takes none"),
            #[cfg(feature = "condition")]
            Self::Condition { expected, found: 0 } => {
                write!(f, "the model is conditioned on {expected} numbers: give it a condition vector")
            }
            #[cfg(feature = "condition")]
            Self::Condition { expected, found } => {
                write!(f, "{found} numbers given; the model's condition vector has {expected}")
            }
            #[cfg(feature = "condition")]
            Self::ConditionChanged => {
                f.write_str("the run was saved with a condition vector: give it that vector again")
            }
            #[cfg(feature = "decoder")]
            Self::Decoder => f.write_str("the file is a decoder alone: it makes pictures of latents, and samples none"),
            #[cfg(feature = "decoder")]
            Self::NoDecoder => f.write_str("the file holds no decoder: its samples are no latents"),
            #[cfg(feature = "learned-variance")]
            Self::NoVariances => f.write_str(
                "the network gives no variances: take a fixed one, or convert the checkpoint with its variances kept",
            ),
            #[cfg(feature = "posterior")]
            Self::NoChain => f.write_str(
                "the second factor r(x) is for chains of 2015, and this model is none: its known elements are those of inpainting",
            ),
            #[cfg(feature = "posterior")]
            Self::KnownNoise(noise) => write!(
                f,
                "the noise of known bits is {noise}/2147483648; it must lie between 0 and one half"
            ),
            #[cfg(feature = "streamed")]
            Self::Apart => f.write_str("Streamed runs models whose weights lie in another file, and nothing else does"),
            #[cfg(feature = "streamed")]
            Self::Unread { at } => write!(f, "the reader of weights failed at byte {at} of their file: read it again"),
            #[cfg(feature = "streamed")]
            Self::OtherWeights => f.write_str(
                "what the reader gives is not the model's file of weights: write that file again, and check where it begins",
            ),
        }
    }
}

impl core::error::Error for ParseError {}
impl core::error::Error for RunError {}
