//! Codes of the runtime: the numbers of `mote.h`, which firmware sends and logs too.

use super::{Code, Coded, Entry};
use mote::mote_status;
use mote_runtime::{ParseError, RunError};

impl Coded for ParseError {
    fn code(&self) -> Code {
        Code(mote_status::from(*self) as u16)
    }
}

impl Coded for RunError {
    fn code(&self) -> Code {
        Code(mote_status::from(*self) as u16)
    }
}

const fn entry(number: u16, name: &'static str, cause: &'static str, remedy: &'static str) -> Entry {
    Entry {
        code: Code(number),
        name,
        cause,
        remedy,
    }
}

/// What makes a damaged or foreign file whole.
const AGAIN: &str = "Convert the checkpoint again, or copy the file again.";

pub(super) const FILE: &[Entry] = &[
    entry(
        100,
        "MOTE_MODEL_MISALIGNED",
        "The file does not begin at a multiple of 16 bytes.",
        "In firmware, align what holds the model, as `docs/firmware.md` shows.",
    ),
    entry(
        101,
        "MOTE_MODEL_LENGTH",
        "The file has another length than it says: it was cut off, or more follows it.",
        "Copy it again. A slot of flash is opened with `Model::parse_slot`.",
    ),
    entry(
        102,
        "MOTE_NOT_A_MODEL",
        "The file does not begin with MOTE.",
        "Give a file that `mote convert` wrote.",
    ),
    entry(
        103,
        "MOTE_FORMAT_VERSION",
        "The file has another format version than this build reads.",
        "Convert the checkpoint again with this version, or take the version that wrote it.",
    ),
    entry(
        104,
        "MOTE_NUMERIC_VERSION",
        "The file asks for another numeric contract than this build computes.",
        "Convert the checkpoint again with this version, or take the version that wrote it.",
    ),
    entry(
        105,
        "MOTE_CHECKSUM",
        "The file was changed after it was written.",
        "Copy it again; on a device, write the flash again.",
    ),
    entry(
        106,
        "MOTE_SECTION_TABLE",
        "The table of the file's sections is malformed.",
        AGAIN,
    ),
    entry(107, "MOTE_SECTION", "A section of the file is malformed.", AGAIN),
    entry(
        108,
        "MOTE_TENSORS",
        "The file has more tensors than one may have.",
        "Take a smaller network.",
    ),
    entry(
        109,
        "MOTE_HEADER",
        "A field of the file's header is outside its range.",
        AGAIN,
    ),
    entry(
        110,
        "MOTE_MODEL_NOT_BUILT",
        "The model needs a part of the runtime that this build leaves out.",
        "Build with the Cargo feature that the message names; `mote inspect` lists those that a model needs.",
    ),
    entry(
        111,
        "MOTE_MODEL_APART",
        "The model's weights lie in another file.",
        "Give the model that `mote split` has cut, or open this one by `Model::parse_apart` and run it by `Streamed`.",
    ),
];

/// What the last fault asks for, and what all others do.
const fn remedy_of(fault: u16) -> &'static str {
    match fault {
        14 => "Build with the feature that the message names.",
        _ => AGAIN,
    }
}

/// The same faults of a tensor and of an operator, from two first numbers.
macro_rules! faults {
    ($($number:literal $name:literal $cause:literal)*) => {
        pub(super) const TENSORS: &[Entry] = &[$(entry(
            200 + $number, concat!("MOTE_TENSOR_", $name), concat!("Of a tensor of the file: ", $cause), remedy_of($number),
        ),)*];
        pub(super) const OPERATORS: &[Entry] = &[$(entry(
            300 + $number, concat!("MOTE_OP_", $name), concat!("Of an operator of the file: ", $cause), remedy_of($number),
        ),)*];
    };
}

faults! {
    0 "DECODE" "its record cannot be read."
    1 "UNKNOWN_TENSOR" "it names a tensor that the file does not have."
    2 "SHAPE" "an extent is not the one that is needed."
    3 "DTYPE" "a number format does not suit."
    4 "ZERO_POINT" "a zero point is not allowed there."
    5 "LIFETIME" "memory is read before it is written, or after its last use."
    6 "OVERLAP" "it shares memory with another while both live."
    7 "OUT_OF_BOUNDS" "it reaches past the end of its section or of the arena."
    8 "ALIGNMENT" "an offset is no multiple of its alignment."
    9 "PARAMETER" "a parameter is outside its range."
    10 "REQUANT" "a multiplier or a shift is outside its range."
    11 "ACCUMULATOR" "an output channel could overflow its sum."
    12 "NOT_FINITE" "a weight is not finite."
    13 "PADDING" "weights of 4 bits are not followed by zeros to a whole word."
    14 "NOT_BUILT" "it needs a part of the runtime that this build leaves out."
}

pub(super) const RUN: &[Entry] = &[
    entry(
        400,
        "MOTE_ARENA_TOO_SMALL",
        "The arena has fewer bytes than the run needs.",
        "Give as many as `arena_bytes` says of this model and this configuration.",
    ),
    entry(
        401,
        "MOTE_ARENA_MISALIGNED",
        "The arena does not begin at a multiple of 16 bytes.",
        "Align it, as `docs/firmware.md` shows.",
    ),
    entry(
        402,
        "MOTE_STEPS",
        "The number of steps is not 1 to the training steps.",
        "Give `--steps` in the range that the message names.",
    ),
    entry(
        403,
        "MOTE_STEPS_OFFSET",
        "The checkpoint's offset pushes the first of so many steps past the last training timestep.",
        "Give fewer `--steps`.",
    ),
    entry(
        404,
        "MOTE_CHAIN_SAMPLER",
        "A chain of 2015 has steps of its own: no other sampler, no known elements, no start between two seeds.",
        "Leave these options out.",
    ),
    entry(
        405,
        "MOTE_CHAIN_STEPS",
        "A Gaussian chain takes all of its steps.",
        "Leave `--steps` out, or give the number that the message names.",
    ),
    entry(
        406,
        "MOTE_CLASS",
        "The model has no such class, or no classes.",
        "Give `--class` in the range that the message names, or leave it out.",
    ),
    entry(407, "MOTE_CLASS_MISSING", "The model needs a class.", "Give `--class`."),
    entry(
        408,
        "MOTE_GUIDANCE_UNSUPPORTED",
        "The model names no label for no class, which guidance compares with.",
        "Leave `--guidance` out, or convert with `--null-class`.",
    ),
    entry(409, "MOTE_ETA", "Eta is outside 0 to 1.", "Give `--eta` from 0 to 1."),
    entry(
        410,
        "MOTE_ETA_ELSEWHERE",
        "Eta is for the sampler ddim alone.",
        "Leave `--eta` out, or choose `--sampler ddim`.",
    ),
    entry(
        411,
        "MOTE_LEVELS",
        "The sampler, the spacing or the rule of the next timestep is not for the model's noise levels.",
        "Leave `--sampler`, `--spacing` and `--prev` out: the model's own are taken.",
    ),
    entry(
        412,
        "MOTE_RUN_NOT_BUILT",
        "The run needs a part of the runtime that this build leaves out.",
        "Build with the Cargo feature that the message names, or choose another sampler.",
    ),
    entry(
        413,
        "MOTE_CLIP_RANGE",
        "The clipping range is not between 0 and 64.",
        "Give one in this range.",
    ),
    entry(
        414,
        "MOTE_STRENGTH",
        "The strength is outside 0 to 1.",
        "Give `--strength` from 0 to 1.",
    ),
    entry(
        415,
        "MOTE_PART",
        "The place between two seeds is outside 0 to 1.",
        "Give one from 0 to 1.",
    ),
    entry(
        416,
        "MOTE_ZERO_SNR",
        "The prediction is undefined where nothing but noise is left.",
        "Choose `--spacing leading`, which does not visit the last timestep.",
    ),
    entry(
        417,
        "MOTE_PLANNED",
        "The file plans one run, and another is asked for.",
        "Leave the sampler's options out; `mote inspect` says what is planned, `mote plan` plans another.",
    ),
    entry(
        418,
        "MOTE_PLANNED_START",
        "The planned sampler goes on from the step before, so no run starts later.",
        "Start from a seed or from noise, or plan another sampler.",
    ),
    entry(
        419,
        "MOTE_LENGTH",
        "An array has another length than the model's sample, or a snapshot has too little room.",
        "Give one of the model's shape: `mote inspect` says it.",
    ),
    entry(
        420,
        "MOTE_SNAPSHOT",
        "The snapshot is damaged, or was taken with another model.",
        "Begin the run again, or open the model that it was taken with.",
    ),
    entry(
        421,
        "MOTE_SNAPSHOT_VERSION",
        "The snapshot is of an earlier version.",
        "Begin the run again.",
    ),
    entry(
        422,
        "MOTE_KNOWN_IMAGE",
        "The run was saved with a known image, and needs it again.",
        "Give it again after the run is taken up.",
    ),
    entry(
        423,
        "MOTE_MEMORY",
        "An operator could not get its memory: model, run or arena were written by someone else.",
        "Look for what writes there; nothing of the run can be trusted.",
    ),
    entry(
        424,
        "MOTE_CONDITION",
        "The condition vector is missing, or has another length than the model's.",
        "Give `--condition` with as many numbers as the message names, or leave it out.",
    ),
    entry(
        425,
        "MOTE_CONDITION_CHANGED",
        "The run was saved with a condition vector, and needs the same again.",
        "Give it again after the run is taken up.",
    ),
    entry(
        426,
        "MOTE_STEP_BEGUN",
        "A step is begun, and something else is asked for.",
        "Finish the step first.",
    ),
    entry(
        427,
        "MOTE_DECODER",
        "The file is a decoder alone: it samples nothing.",
        "Use `mote decode`, or convert a pipeline that holds a network and its decoder.",
    ),
    entry(
        428,
        "MOTE_NO_DECODER",
        "The file holds no decoder.",
        "Convert the pipeline with its `vae/`, or give a decoder's file.",
    ),
    entry(
        429,
        "MOTE_NO_VARIANCES",
        "The sampler takes the network's variances, and the file's network gives none.",
        "Convert with `--learned-variance keep`, or say `--variance small` or `large`.",
    ),
    entry(
        430,
        "MOTE_APART",
        "The model's weights lie in another file, or a streamed model's do not.",
        "Run a file of `mote split` by `Streamed`, and every other file without it.",
    ),
    entry(
        431,
        "MOTE_UNREAD",
        "The reader of weights failed.",
        "Look at the reader's own error, and begin the step again from a snapshot.",
    ),
    entry(
        432,
        "MOTE_OTHER_WEIGHTS",
        "The reader gives other weights than the model's.",
        "Write the file of weights again that `mote split` made with the model, and check where it begins.",
    ),
    entry(
        433,
        "MOTE_NO_CHAIN",
        "The second factor r(x) is for chains of 2015, and the model is none.",
        "Leave `--known` out; `--from IMAGE --inpaint MASK` keeps a part of an image.",
    ),
    entry(
        434,
        "MOTE_KNOWN_NOISE",
        "The noise of a chain's known bits is outside 0 to one half.",
        "Give `--known-noise` from 0 to 0.5.",
    ),
];
