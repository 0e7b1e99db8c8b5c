//! Numbers of everything that can be wrong. A number never changes its meaning; new ones are appended to their hundred.

use core::ffi::c_char;
use core::num::NonZero;

use mote_runtime::{Fault, ParseError, RunError};

/// What a call says. 0 is success, 1 the end of a run; every other number is an error, after which nothing was begun or moved.
///
/// A number never changes its meaning. 100 and up: why a file is no model. 200 and up: what is wrong with a tensor of the file; 300
/// and up: with an operator of it. 400 and up: why a run cannot begin or go on.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it, and `mote_runtime::error` at length")]
pub enum mote_status {
    /// Done.
    MOTE_OK = 0,
    /// The run has no further step: the image is there.
    MOTE_FINISHED = 1,
    /// A pointer is null that must not be.
    MOTE_NULL = 2,
    /// A pointer is not a multiple of its type's alignment.
    MOTE_UNALIGNED = 3,
    /// A length reaches past the end of memory.
    MOTE_TOO_LONG = 4,
    /// The arena shares memory with the storage of model or run.
    MOTE_SHARED = 5,
    /// The model's storage holds no open model, or is a copy of one that does.
    MOTE_NOT_OPEN = 6,
    /// The run's storage holds no run, or is a copy of one that does.
    MOTE_NOT_STARTED = 7,
    /// Another call with this run has not returned yet: it was interrupted, or is on another thread.
    MOTE_BUSY = 8,
    /// A field of the configuration has a number that nothing has.
    MOTE_CHOICE = 9,
    /// A function of the flash has failed. What was saved before is still there.
    MOTE_FLASH = 10,
    /// The store's range is not two slots of whole sectors in the flash, or its words are none.
    MOTE_STORE_RANGE = 11,
    /// A record does not fit its slot, or the buffer that was given for it.
    MOTE_STORE_ROOM = 12,

    /// The file does not begin at a multiple of 16 bytes.
    MOTE_MODEL_MISALIGNED = 100,
    /// The file is longer than the bytes that were given.
    MOTE_MODEL_LENGTH = 101,
    /// The file does not begin with MOTE.
    MOTE_NOT_A_MODEL = 102,
    /// A file format of another version: convert again.
    MOTE_FORMAT_VERSION = 103,
    /// A numeric contract of another version: convert again.
    MOTE_NUMERIC_VERSION = 104,
    /// The file was changed after it was written.
    MOTE_CHECKSUM = 105,
    /// The section table is malformed.
    MOTE_SECTION_TABLE = 106,
    /// A section's content is malformed.
    MOTE_SECTION = 107,
    /// More tensors than a file may have.
    MOTE_TENSORS = 108,
    /// A header field is outside its range.
    MOTE_HEADER = 109,
    /// The model needs a part that the archive was built without.
    MOTE_MODEL_NOT_BUILT = 110,
    /// The model's weights lie in another file, which the C library does not read.
    MOTE_MODEL_APART = 111,

    MOTE_TENSOR_DECODE = 200,
    MOTE_TENSOR_UNKNOWN_TENSOR = 201,
    MOTE_TENSOR_SHAPE = 202,
    MOTE_TENSOR_DTYPE = 203,
    MOTE_TENSOR_ZERO_POINT = 204,
    MOTE_TENSOR_LIFETIME = 205,
    MOTE_TENSOR_OVERLAP = 206,
    MOTE_TENSOR_OUT_OF_BOUNDS = 207,
    MOTE_TENSOR_ALIGNMENT = 208,
    MOTE_TENSOR_PARAMETER = 209,
    MOTE_TENSOR_REQUANT = 210,
    MOTE_TENSOR_ACCUMULATOR = 211,
    MOTE_TENSOR_NOT_FINITE = 212,
    MOTE_TENSOR_PADDING = 213,
    MOTE_TENSOR_NOT_BUILT = 214,

    MOTE_OP_DECODE = 300,
    MOTE_OP_UNKNOWN_TENSOR = 301,
    MOTE_OP_SHAPE = 302,
    MOTE_OP_DTYPE = 303,
    MOTE_OP_ZERO_POINT = 304,
    MOTE_OP_LIFETIME = 305,
    MOTE_OP_OVERLAP = 306,
    MOTE_OP_OUT_OF_BOUNDS = 307,
    MOTE_OP_ALIGNMENT = 308,
    MOTE_OP_PARAMETER = 309,
    MOTE_OP_REQUANT = 310,
    MOTE_OP_ACCUMULATOR = 311,
    MOTE_OP_NOT_FINITE = 312,
    MOTE_OP_PADDING = 313,
    MOTE_OP_NOT_BUILT = 314,

    /// The arena is smaller than `mote_arena_bytes` says.
    MOTE_ARENA_TOO_SMALL = 400,
    /// The arena does not begin at a multiple of 16 bytes.
    MOTE_ARENA_MISALIGNED = 401,
    /// The number of steps is not 1 to the training steps.
    MOTE_STEPS = 402,
    /// The checkpoint's offset pushes the first of so many steps past the last training timestep.
    MOTE_STEPS_OFFSET = 403,
    /// A chain has steps of its own: no other sampler, no known elements, no start between two seeds.
    MOTE_CHAIN_SAMPLER = 404,
    /// A Gaussian chain takes all of its steps.
    MOTE_CHAIN_STEPS = 405,
    /// The model has no such class.
    MOTE_CLASS = 406,
    /// The model needs a class.
    MOTE_CLASS_MISSING = 407,
    /// Guidance of a model without a null class.
    MOTE_GUIDANCE_UNSUPPORTED = 408,
    /// eta is outside 0 to 1.
    MOTE_ETA = 409,
    /// eta is DDIM's alone.
    MOTE_ETA_ELSEWHERE = 410,
    /// Sampler, spacing or rule are not for the model's noise levels.
    MOTE_LEVELS = 411,
    /// The run needs a part that the archive was built without.
    MOTE_RUN_NOT_BUILT = 412,
    /// The clipping range is not between 0 and 64.
    MOTE_CLIP_RANGE = 413,
    /// The strength is outside 0 to 1.
    MOTE_STRENGTH = 414,
    /// The place between two seeds is outside 0 to 1.
    MOTE_PART = 415,
    /// The prediction is undefined where alpha_bar is 0.
    MOTE_ZERO_SNR = 416,
    /// The file plans another run.
    MOTE_PLANNED = 417,
    /// The file plans a sampler whose steps go on from the one before: no later start.
    MOTE_PLANNED_START = 418,
    /// An array is not as long as the model's sample, or the room for a snapshot too short.
    MOTE_LENGTH = 419,
    /// The snapshot is damaged or was taken with another model.
    MOTE_SNAPSHOT = 420,
    /// The snapshot is of an earlier version.
    MOTE_SNAPSHOT_VERSION = 421,
    /// The run was saved with a known image and needs it again.
    MOTE_KNOWN_IMAGE = 422,
    /// An operator could not get its memory: model, run or arena were written by someone else.
    MOTE_MEMORY = 423,
    /// A condition vector that is missing, or of another length than the model's.
    MOTE_CONDITION = 424,
    /// The run was saved with a condition vector and needs it again.
    MOTE_CONDITION_CHANGED = 425,
    /// A step is begun: finish it first.
    MOTE_STEP_BEGUN = 426,
    /// The file is a decoder alone: it samples nothing.
    MOTE_DECODER = 427,
    /// The file holds no decoder.
    MOTE_NO_DECODER = 428,
    /// The sampler takes the network's variances, and it gives none.
    MOTE_NO_VARIANCES = 429,
    /// The model's weights lie in another file, or a streamed model's do not.
    MOTE_APART = 430,
    /// The reader of weights failed.
    MOTE_UNREAD = 431,
    /// The reader gives other weights than the model's.
    MOTE_OTHER_WEIGHTS = 432,
    /// The second factor r(x) is for chains of 2015.
    MOTE_NO_CHAIN = 433,
    /// The noise of known bits is outside 0 to one half.
    MOTE_KNOWN_NOISE = 434,
}

use mote_status::*;

/// A status that is no success. A result without a value is then the number that C gets, 0 of `Ok`: nothing is translated at a function's end.
#[derive(Clone, Copy)]
pub(crate) struct Refused(NonZero<i32>);

/// In place of a 0, which no status that is an error has.
const NEVER: NonZero<i32> = match NonZero::new(MOTE_MEMORY as i32) {
    Some(number) => number,
    None => panic!("it is 423"),
};

impl From<mote_status> for Refused {
    #[inline(always)]
    fn from(status: mote_status) -> Self {
        Self(NonZero::new(status as i32).unwrap_or(NEVER))
    }
}

/// The status of a result without a value.
#[inline(always)]
pub(crate) fn status(result: Result<(), Refused>) -> mote_status {
    match result {
        Ok(()) => MOTE_OK,
        Err(refused) => told_by(refused),
    }
}

/// The status that was refused with.
#[inline(always)]
pub(crate) fn told_by(Refused(number): Refused) -> mote_status {
    // SAFETY: each `Refused` was made of a status, or of its hundred and its place.
    unsafe { core::mem::transmute::<i32, mote_status>(number.get()) }
}

/// A status' place in its hundred. Errors are given their places, not their numbers: where these go up as the variants do, the compiler needs
/// no table, and elsewhere one of bytes.
#[inline(always)]
const fn place(status: mote_status) -> u8 {
    (status as i32 % 100) as u8
}

/// The status at a place of a hundred.
#[inline(always)]
fn numbered(hundred: i32, place: u8) -> Refused {
    Refused(NonZero::new(hundred + i32::from(place)).unwrap_or(NEVER))
}

impl From<&RunError> for Refused {
    #[inline(always)]
    fn from(error: &RunError) -> Self {
        numbered(400, place_in_run(error))
    }
}

/// The place of a run's error. Not inlined: a table of sums would be one of words.
#[inline(never)]
fn place_in_run(error: &RunError) -> u8 {
    match error {
        RunError::ArenaTooSmall { .. } => place(MOTE_ARENA_TOO_SMALL),
        RunError::ArenaMisaligned(_) => place(MOTE_ARENA_MISALIGNED),
        RunError::Steps { .. } => place(MOTE_STEPS),
        RunError::StepsOffset { .. } => place(MOTE_STEPS_OFFSET),
        RunError::ChainSampler => place(MOTE_CHAIN_SAMPLER),
        RunError::ChainSteps { .. } => place(MOTE_CHAIN_STEPS),
        RunError::Class { .. } => place(MOTE_CLASS),
        RunError::ClassMissing => place(MOTE_CLASS_MISSING),
        RunError::GuidanceUnsupported => place(MOTE_GUIDANCE_UNSUPPORTED),
        RunError::Eta(_) => place(MOTE_ETA),
        RunError::EtaElsewhere => place(MOTE_ETA_ELSEWHERE),
        RunError::Levels => place(MOTE_LEVELS),
        RunError::NotBuilt(_) => place(MOTE_RUN_NOT_BUILT),
        RunError::ClipRange => place(MOTE_CLIP_RANGE),
        RunError::Strength(_) => place(MOTE_STRENGTH),
        RunError::Part(_) => place(MOTE_PART),
        RunError::ZeroSnr => place(MOTE_ZERO_SNR),
        RunError::Planned { .. } => place(MOTE_PLANNED),
        RunError::PlannedStart => place(MOTE_PLANNED_START),
        RunError::Length { .. } => place(MOTE_LENGTH),
        RunError::Snapshot => place(MOTE_SNAPSHOT),
        RunError::SnapshotVersion => place(MOTE_SNAPSHOT_VERSION),
        RunError::KnownImage => place(MOTE_KNOWN_IMAGE),
        RunError::StepBegun => place(MOTE_STEP_BEGUN),
        RunError::Memory { .. } => place(MOTE_MEMORY),
        #[cfg(feature = "condition")]
        RunError::Condition { .. } => place(MOTE_CONDITION),
        #[cfg(feature = "condition")]
        RunError::ConditionChanged => place(MOTE_CONDITION_CHANGED),
        #[cfg(feature = "decoder")]
        RunError::Decoder => place(MOTE_DECODER),
        #[cfg(feature = "decoder")]
        RunError::NoDecoder => place(MOTE_NO_DECODER),
        #[cfg(feature = "learned-variance")]
        RunError::NoVariances => place(MOTE_NO_VARIANCES),
        #[cfg(feature = "posterior")]
        RunError::NoChain => place(MOTE_NO_CHAIN),
        #[cfg(feature = "posterior")]
        RunError::KnownNoise(_) => place(MOTE_KNOWN_NOISE),
        #[cfg(feature = "streamed")]
        RunError::Apart => place(MOTE_APART),
        #[cfg(feature = "streamed")]
        RunError::Unread { .. } => place(MOTE_UNREAD),
        #[cfg(feature = "streamed")]
        RunError::OtherWeights => place(MOTE_OTHER_WEIGHTS),
        // Of a part that this build has not asked for, and another crate of its workspace has.
        #[cfg(not(all(
            feature = "condition",
            feature = "decoder",
            feature = "learned-variance",
            feature = "posterior",
            feature = "streamed"
        )))]
        #[allow(unreachable_patterns)]
        _ => place(MOTE_RUN_NOT_BUILT),
    }
}

impl From<RunError> for Refused {
    #[inline(always)]
    fn from(error: RunError) -> Self {
        Self::from(&error)
    }
}

impl From<RunError> for mote_status {
    fn from(error: RunError) -> Self {
        told_by(Refused::from(&error))
    }
}

impl From<ParseError> for mote_status {
    fn from(error: ParseError) -> Self {
        told_by(Refused::from(&error))
    }
}

impl From<&ParseError> for Refused {
    fn from(error: &ParseError) -> Self {
        let at = match error {
            ParseError::Misaligned(_) => place(MOTE_MODEL_MISALIGNED),
            ParseError::Length { .. } => place(MOTE_MODEL_LENGTH),
            ParseError::NotAModel => place(MOTE_NOT_A_MODEL),
            ParseError::FormatVersion { .. } => place(MOTE_FORMAT_VERSION),
            ParseError::NumericVersion { .. } => place(MOTE_NUMERIC_VERSION),
            ParseError::Checksum(_) => place(MOTE_CHECKSUM),
            ParseError::SectionTable(_) => place(MOTE_SECTION_TABLE),
            ParseError::Section(_) => place(MOTE_SECTION),
            ParseError::Tensors { .. } => place(MOTE_TENSORS),
            ParseError::Header(_) => place(MOTE_HEADER),
            ParseError::NotBuilt(_) => place(MOTE_MODEL_NOT_BUILT),
            ParseError::Tensor { fault, .. } => return numbered(200, place_of(fault)),
            ParseError::Op { fault, .. } => return numbered(300, place_of(fault)),
            #[cfg(feature = "streamed")]
            ParseError::Apart => place(MOTE_MODEL_APART),
            // As above.
            #[cfg(not(feature = "streamed"))]
            #[allow(unreachable_patterns)]
            _ => place(MOTE_MODEL_NOT_BUILT),
        };
        numbered(100, at)
    }
}

/// The place of a fault, in the hundred of tensors as in that of operators.
fn place_of(fault: &Fault) -> u8 {
    match fault {
        Fault::Decode => place(MOTE_TENSOR_DECODE),
        Fault::UnknownTensor(_) => place(MOTE_TENSOR_UNKNOWN_TENSOR),
        Fault::Shape { .. } => place(MOTE_TENSOR_SHAPE),
        Fault::Dtype => place(MOTE_TENSOR_DTYPE),
        Fault::ZeroPoint => place(MOTE_TENSOR_ZERO_POINT),
        Fault::Lifetime(_) => place(MOTE_TENSOR_LIFETIME),
        Fault::Overlap(_) => place(MOTE_TENSOR_OVERLAP),
        Fault::OutOfBounds { .. } => place(MOTE_TENSOR_OUT_OF_BOUNDS),
        Fault::Alignment(_) => place(MOTE_TENSOR_ALIGNMENT),
        Fault::Parameter => place(MOTE_TENSOR_PARAMETER),
        Fault::Requant => place(MOTE_TENSOR_REQUANT),
        Fault::Accumulator(_) => place(MOTE_TENSOR_ACCUMULATOR),
        Fault::NotFinite(_) => place(MOTE_TENSOR_NOT_FINITE),
        Fault::Padding(_) => place(MOTE_TENSOR_PADDING),
        Fault::NotBuilt(_) => place(MOTE_TENSOR_NOT_BUILT),
    }
}

/// Number and name of every status, in C's form; a status that is left out here does not compile.
macro_rules! names {
    ($($name:ident)*) => {
        const NAMES: &[(mote_status, &str)] = &[$(($name, concat!(stringify!($name), "\0"))),*];

        #[allow(dead_code, reason = "it is complete where it compiles")]
        const fn is_named(status: mote_status) {
            match status {
                $($name => (),)*
            }
        }
    };
}

names! {
    MOTE_OK MOTE_FINISHED MOTE_NULL MOTE_UNALIGNED MOTE_TOO_LONG MOTE_SHARED MOTE_NOT_OPEN MOTE_NOT_STARTED MOTE_BUSY MOTE_CHOICE
    MOTE_FLASH MOTE_STORE_RANGE MOTE_STORE_ROOM
    MOTE_MODEL_MISALIGNED MOTE_MODEL_LENGTH MOTE_NOT_A_MODEL MOTE_FORMAT_VERSION MOTE_NUMERIC_VERSION MOTE_CHECKSUM
    MOTE_SECTION_TABLE MOTE_SECTION MOTE_TENSORS MOTE_HEADER MOTE_MODEL_NOT_BUILT MOTE_MODEL_APART
    MOTE_TENSOR_DECODE MOTE_TENSOR_UNKNOWN_TENSOR MOTE_TENSOR_SHAPE MOTE_TENSOR_DTYPE MOTE_TENSOR_ZERO_POINT MOTE_TENSOR_LIFETIME
    MOTE_TENSOR_OVERLAP MOTE_TENSOR_OUT_OF_BOUNDS MOTE_TENSOR_ALIGNMENT MOTE_TENSOR_PARAMETER MOTE_TENSOR_REQUANT
    MOTE_TENSOR_ACCUMULATOR MOTE_TENSOR_NOT_FINITE MOTE_TENSOR_PADDING MOTE_TENSOR_NOT_BUILT
    MOTE_OP_DECODE MOTE_OP_UNKNOWN_TENSOR MOTE_OP_SHAPE MOTE_OP_DTYPE MOTE_OP_ZERO_POINT MOTE_OP_LIFETIME MOTE_OP_OVERLAP
    MOTE_OP_OUT_OF_BOUNDS MOTE_OP_ALIGNMENT MOTE_OP_PARAMETER MOTE_OP_REQUANT MOTE_OP_ACCUMULATOR MOTE_OP_NOT_FINITE
    MOTE_OP_PADDING MOTE_OP_NOT_BUILT
    MOTE_ARENA_TOO_SMALL MOTE_ARENA_MISALIGNED MOTE_STEPS MOTE_STEPS_OFFSET MOTE_CHAIN_SAMPLER MOTE_CHAIN_STEPS MOTE_CLASS
    MOTE_CLASS_MISSING MOTE_GUIDANCE_UNSUPPORTED MOTE_ETA MOTE_ETA_ELSEWHERE MOTE_LEVELS MOTE_RUN_NOT_BUILT MOTE_CLIP_RANGE
    MOTE_STRENGTH MOTE_PART MOTE_ZERO_SNR MOTE_PLANNED MOTE_PLANNED_START MOTE_LENGTH MOTE_SNAPSHOT MOTE_SNAPSHOT_VERSION
    MOTE_KNOWN_IMAGE MOTE_MEMORY MOTE_CONDITION MOTE_CONDITION_CHANGED MOTE_STEP_BEGUN MOTE_DECODER MOTE_NO_DECODER
    MOTE_NO_VARIANCES MOTE_APART MOTE_UNREAD MOTE_OTHER_WEIGHTS MOTE_NO_CHAIN MOTE_KNOWN_NOISE
}

/// The name of a status, such as "MOTE_CHECKSUM"; "?" for a number that is none. For logs. It takes 2 KiB of flash where it is called.
#[unsafe(no_mangle)]
pub extern "C" fn mote_status_name(status: i32) -> *const c_char {
    let found = NAMES.iter().find(|(named, _)| *named as i32 == status);
    found.map_or("?\0", |(_, name)| name).as_ptr().cast()
}

/// Every status: its name and its number. For tests.
#[doc(hidden)]
pub fn status_names() -> impl Iterator<Item = (&'static str, i32)> {
    NAMES
        .iter()
        .map(|(status, name)| (name.trim_end_matches('\0'), *status as i32))
}
