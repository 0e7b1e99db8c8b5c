// source 2f2727412197dbccec6bd5e2fe4f229a5f099093aadfe5cfa5c8b56115d8f0d9
// Mote for C: a diffusion model in flash, images from it in memory that you own.
//
//     static mote_model model;                       // storage, not yet in use: zeros
//     static mote_run run;
//     MOTE_ALIGN16 static uint8_t arena[8192];       // at least what mote_arena_bytes says
//     mote_config config;
//     mote_step_info step;
//
//     status = mote_open(&model, file, sizeof file);
//     status = mote_config_init(&config, &model, 20u);
//     config.seed = 7u;
//     status = mote_start(&run, &model, arena, sizeof arena, &config);
//     while ((status = mote_step(&run, &step)) == MOTE_OK) {
//         // feed the watchdog, log, save
//     }
//     if (status == MOTE_FINISHED) {
//         status = mote_image(&run, pixels, sizeof pixels);
//     }
//
// Memory. The library allocates nothing and has no state of its own. Storage, arena, file and known image stay where and as they are
// while they are in use, and no two of them share a byte. There is nothing to close: memory whose last call has returned is free.
// Storage begins as zeros. A copy of storage is refused.
//
// Pointers. Each must point to what its name says, as long as is said. Null, a wrong alignment and a length past the end of memory
// are refused with a status; a pointer to somewhere else cannot be told from a good one.
//
// Threads. Calls with different runs are independent of each other, also where the runs share a model. Calls with one run, and
// mote_open with the model of a run, exclude each other: that is the caller's to see to.
//
// Interrupts. Any call may be interrupted, for any time. A handler may use other runs. A call with the run that was interrupted says
// MOTE_BUSY, on one core; it is no lock between two. The file is read during a step: a flash that is being erased or written must not be
// its flash. No call waits, sleeps or enables or disables interrupts. A step takes as long as the network; mote_step is the
// place between two to feed a watchdog.
//
// Stack. 4 KiB suffice for every call. Models in f16 use the floating-point registers of a core that has them; others do not.
//
// Pieces. An archive with the feature `cooperative` runs a step in pieces; its functions are declared where MOTE_COOPERATIVE is defined.
//
// Flash. An archive with the feature `store` keeps snapshots in two slots of flash (MOTE_STORE), one with `streamed` reads a cut model's weights
// from a memory that the core cannot address (MOTE_STREAMED).
//
// Errors. Every number keeps its meaning for ever. After an error nothing was begun or moved, but a run whose start failed is gone.


#ifndef MOTE_H
#define MOTE_H

#include <stddef.h>
#include <stdint.h>

// Storage of 16-byte alignment: arenas, and model files in memory.
#if defined(__GNUC__) || defined(__clang__)
#define MOTE_ALIGN16 __attribute__((aligned(16)))
#endif

// Words of 8 bytes of the storage: compared with the library when it is compiled.
#define MOTE_MODEL_WORDS ((96u + (8u * sizeof(void *))) / 8u)
#define MOTE_RUN_WORDS ((80u + (14u * sizeof(void *))) / 8u)
#define MOTE_STORE_WORDS ((63u + (4u * sizeof(void *))) / 8u)
#define MOTE_STREAM_WORDS ((16u + (8u * sizeof(void *))) / 8u)
#define MOTE_RECORD_HEADER_BYTES 16u



// DDIM, deterministic or with noise by eta.
#define MOTE_SAMPLER_DDIM 0u

// The ancestral sampler, with the posterior's variance. Feature `ddpm`.
#define MOTE_SAMPLER_DDPM_SMALL 1u

// The ancestral sampler, with the forward process' variance. Feature `ddpm`.
#define MOTE_SAMPLER_DDPM_LARGE 2u

// DPM-Solver++(2M). Feature `dpm-solver`.
#define MOTE_SAMPLER_DPM_SOLVER 3u

// Heun's method, two network calls a step. Feature `heun`.
#define MOTE_SAMPLER_HEUN 4u

// Euler's method, of flow matching and EDM. Feature `continuous`.
#define MOTE_SAMPLER_EULER 5u

// Heun's method, of flow matching and EDM. Features `continuous` and `heun`.
#define MOTE_SAMPLER_FLOW_HEUN 6u

// The midpoint method, of flow matching and EDM. Features `continuous` and `heun`.
#define MOTE_SAMPLER_FLOW_MIDPOINT 7u

// DPM-Solver++(2M), of flow matching and EDM. Features `continuous` and `dpm-solver`.
#define MOTE_SAMPLER_FLOW_DPM_SOLVER 8u

// Multistep consistency sampling. Feature `consistency`.
#define MOTE_SAMPLER_CONSISTENCY 9u

// Multistep consistency sampling, of flow matching and EDM. Features `continuous` and `consistency`.
#define MOTE_SAMPLER_FLOW_CONSISTENCY 10u

// The ancestral sampler with the network's own variances. Features `ddpm` and `learned-variance`.
#define MOTE_SAMPLER_DDPM_LEARNED 11u

// The predicted clean sample is not clamped.
#define MOTE_CLIP_OFF 0u

// It is clamped, epsilon is kept.
#define MOTE_CLIP_STOCK 1u

// It is clamped, and epsilon computed from it.
#define MOTE_CLIP_REDERIVED 2u

// Timesteps at multiples of T / steps.
#define MOTE_SPACING_LEADING 0u

// Timesteps from the last one down.
#define MOTE_SPACING_TRAILING 1u

// First and last timestep and evenly between.
#define MOTE_SPACING_LINSPACE 2u

// More timesteps where there is little noise.
#define MOTE_SPACING_QUADRATIC 3u

// The timestep after a timestep is the next of the list.
#define MOTE_PREVIOUS_LIST 0u

// It is T / steps below, as in diffusers.
#define MOTE_PREVIOUS_DIFFUSERS 1u

// `class_label` of a run without a class.
#define MOTE_NO_CLASS (-1)

// 1.0 of the fields and arguments that end with q16.
#define MOTE_ONE_Q16 65536u

// 1.0 of states and images in Q24.
#define MOTE_ONE_Q24 16777216

// An element of a known image that is not known.
#define MOTE_UNKNOWN INT32_MIN

#if defined(MOTE_COOPERATIVE)
// Words of 8 bytes of a [`mote_pending`]. Feature `cooperative`, as all with pieces of steps.
#define MOTE_PENDING_WORDS 18
#endif

#if defined(MOTE_STORE)
// Largest word of a flash, bytes.
#define MOTE_FLASH_WORD_BYTES 32
#endif

// What a call says. 0 is success, 1 the end of a run; every other number is an error, after which nothing was begun or moved.
//
// A number never changes its meaning. 100 and up: why a file is no model. 200 and up: what is wrong with a tensor of the file; 300
// and up: with an operator of it. 400 and up: why a run cannot begin or go on.
enum mote_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Done.
  MOTE_OK = 0,
  // The run has no further step: the image is there.
  MOTE_FINISHED = 1,
  // A pointer is null that must not be.
  MOTE_NULL = 2,
  // A pointer is not a multiple of its type's alignment.
  MOTE_UNALIGNED = 3,
  // A length reaches past the end of memory.
  MOTE_TOO_LONG = 4,
  // The arena shares memory with the storage of model or run.
  MOTE_SHARED = 5,
  // The model's storage holds no open model, or is a copy of one that does.
  MOTE_NOT_OPEN = 6,
  // The run's storage holds no run, or is a copy of one that does.
  MOTE_NOT_STARTED = 7,
  // Another call with this run has not returned yet: it was interrupted, or is on another thread.
  MOTE_BUSY = 8,
  // A field of the configuration has a number that nothing has.
  MOTE_CHOICE = 9,
  // A function of the flash has failed. What was saved before is still there.
  MOTE_FLASH = 10,
  // The store's range is not two slots of whole sectors in the flash, or its words are none.
  MOTE_STORE_RANGE = 11,
  // A record does not fit its slot, or the buffer that was given for it.
  MOTE_STORE_ROOM = 12,
  // The file does not begin at a multiple of 16 bytes.
  MOTE_MODEL_MISALIGNED = 100,
  // The file is longer than the bytes that were given.
  MOTE_MODEL_LENGTH = 101,
  // The file does not begin with MOTE.
  MOTE_NOT_A_MODEL = 102,
  // A file format of another version: convert again.
  MOTE_FORMAT_VERSION = 103,
  // A numeric contract of another version: convert again.
  MOTE_NUMERIC_VERSION = 104,
  // The file was changed after it was written.
  MOTE_CHECKSUM = 105,
  // The section table is malformed.
  MOTE_SECTION_TABLE = 106,
  // A section's content is malformed.
  MOTE_SECTION = 107,
  // More tensors than a file may have.
  MOTE_TENSORS = 108,
  // A header field is outside its range.
  MOTE_HEADER = 109,
  // The model needs a part that the archive was built without.
  MOTE_MODEL_NOT_BUILT = 110,
  // The model's weights lie in another file, which the C library does not read.
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
  // The arena is smaller than `mote_arena_bytes` says.
  MOTE_ARENA_TOO_SMALL = 400,
  // The arena does not begin at a multiple of 16 bytes.
  MOTE_ARENA_MISALIGNED = 401,
  // The number of steps is not 1 to the training steps.
  MOTE_STEPS = 402,
  // The checkpoint's offset pushes the first of so many steps past the last training timestep.
  MOTE_STEPS_OFFSET = 403,
  // A chain has steps of its own: no other sampler, no known elements, no start between two seeds.
  MOTE_CHAIN_SAMPLER = 404,
  // A Gaussian chain takes all of its steps.
  MOTE_CHAIN_STEPS = 405,
  // The model has no such class.
  MOTE_CLASS = 406,
  // The model needs a class.
  MOTE_CLASS_MISSING = 407,
  // Guidance of a model without a null class.
  MOTE_GUIDANCE_UNSUPPORTED = 408,
  // eta is outside 0 to 1.
  MOTE_ETA = 409,
  // eta is DDIM's alone.
  MOTE_ETA_ELSEWHERE = 410,
  // Sampler, spacing or rule are not for the model's noise levels.
  MOTE_LEVELS = 411,
  // The run needs a part that the archive was built without.
  MOTE_RUN_NOT_BUILT = 412,
  // The clipping range is not between 0 and 64.
  MOTE_CLIP_RANGE = 413,
  // The strength is outside 0 to 1.
  MOTE_STRENGTH = 414,
  // The place between two seeds is outside 0 to 1.
  MOTE_PART = 415,
  // The prediction is undefined where alpha_bar is 0.
  MOTE_ZERO_SNR = 416,
  // The file plans another run.
  MOTE_PLANNED = 417,
  // The file plans a sampler whose steps go on from the one before: no later start.
  MOTE_PLANNED_START = 418,
  // An array is not as long as the model's sample, or the room for a snapshot too short.
  MOTE_LENGTH = 419,
  // The snapshot is damaged or was taken with another model.
  MOTE_SNAPSHOT = 420,
  // The snapshot is of an earlier version.
  MOTE_SNAPSHOT_VERSION = 421,
  // The run was saved with a known image and needs it again.
  MOTE_KNOWN_IMAGE = 422,
  // An operator could not get its memory: model, run or arena were written by someone else.
  MOTE_MEMORY = 423,
  // A condition vector that is missing, or of another length than the model's.
  MOTE_CONDITION = 424,
  // The run was saved with a condition vector and needs it again.
  MOTE_CONDITION_CHANGED = 425,
  // A step is begun: finish it first.
  MOTE_STEP_BEGUN = 426,
  // The file is a decoder alone: it samples nothing.
  MOTE_DECODER = 427,
  // The file holds no decoder.
  MOTE_NO_DECODER = 428,
  // The sampler takes the network's variances, and it gives none.
  MOTE_NO_VARIANCES = 429,
  // The model's weights lie in another file, or a streamed model's do not.
  MOTE_APART = 430,
  // The reader of weights failed.
  MOTE_UNREAD = 431,
  // The reader gives other weights than the model's.
  MOTE_OTHER_WEIGHTS = 432,
  // The second factor r(x) is for chains of 2015.
  MOTE_NO_CHAIN = 433,
  // The noise of known bits is outside 0 to one half.
  MOTE_KNOWN_NOISE = 434,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum mote_status mote_status;
#else
typedef int32_t mote_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// An open model: 128 bytes on a core of 32 bits. It stays where it is while it is in use: a copy is refused.
typedef struct mote_model {
  // The library's.
  uint64_t opaque[MOTE_MODEL_WORDS];
} mote_model;

// Facts of a model.
typedef struct mote_model_info {
  // Rows of a sample.
  uint32_t rows;
  // Columns of a sample.
  uint32_t cols;
  // Channels of a sample.
  uint32_t channels;
  // Elements of a sample: the product of these.
  uint32_t elements;
  // Classes, 0 to one less; 0 for a model without.
  uint32_t classes;
  // The class that stands for none, or -1.
  int32_t null_class;
  // Numbers of the condition vector; 0 for a model without.
  uint32_t condition;
  // Training timesteps: the most steps.
  uint32_t train_steps;
  // Steps of the run that the file plans; 0 where it plans none.
  uint32_t planned_steps;
  // Bytes of the file.
  uint32_t file_bytes;
  // CRC-32 of the file: its identity.
  uint32_t crc;
} mote_model_info;

// What a run is asked to do. `mote_config_init` fills it in; then change what is to be otherwise.
typedef struct mote_config {
  // Seed of all noise.
  uint64_t seed;
  // Number of steps, 1 to the training steps.
  uint32_t steps;
  // A `MOTE_SAMPLER_`.
  uint32_t sampler;
  // DDIM's stochasticity, Q16: 0 is deterministic. 0 for other samplers.
  uint32_t eta_q16;
  // A `MOTE_CLIP_`.
  uint32_t clip;
  // Bound of the clamped sample, Q24.
  int32_t clip_range_q24;
  // A `MOTE_SPACING_`.
  uint32_t spacing;
  // A `MOTE_PREVIOUS_`.
  uint32_t previous;
  // Class, or `MOTE_NO_CLASS`.
  int32_t class_label;
  // 1 for classifier-free guidance, which calls the network twice as often; else 0.
  uint32_t guided;
  // Its weight w, Q16: `without + w (with - without)`.
  int32_t guidance_q16;
} mote_config;

// A run: 136 bytes on a core of 32 bits. It begins as zeros, and stays where it is while it is in use: a copy is refused.
typedef struct mote_run {
  // The library's.
  uint64_t opaque[MOTE_RUN_WORDS];
} mote_run;

// A finished step.
typedef struct mote_step_info {
  // Digest of the state after the step: equal on every machine.
  uint64_t digest;
  // Number of the step, 0 first.
  uint32_t index;
  // Training timestep that the network was called with.
  uint32_t timestep;
} mote_step_info;

#if defined(MOTE_COOPERATIVE)
// A step that was begun. It begins as zeros.
typedef struct mote_pending {
  // The library's.
  uint64_t opaque[MOTE_PENDING_WORDS];
} mote_pending;
#endif

#if defined(MOTE_STORE)
// Two slots in a flash. It begins as zeros.
typedef struct mote_store {
  // The library's.
  uint64_t opaque[MOTE_STORE_WORDS];
} mote_store;
#endif

#if defined(MOTE_STORE)
// A flash, by three functions of yours. Each says 0 where it has done what it was asked for. Offsets are from the flash's beginning.
typedef struct mote_flash {
  // What the functions get first.
  void *context;
  // Reads any bytes.
  int32_t (*read)(void *context, uint32_t at, uint8_t *to, uint32_t bytes);
  // Writes whole words, each once between two erasures.
  int32_t (*write)(void *context, uint32_t at, const uint8_t *from, uint32_t bytes);
  // Erases whole sectors: every byte of them is 0xFF then.
  int32_t (*erase)(void *context, uint32_t at, uint32_t bytes);
  // Bytes of the flash.
  uint32_t bytes;
  // Bytes of a sector: what is erased at least.
  uint32_t sector_bytes;
  // Bytes of a word: what is written at least, 1 to `MOTE_FLASH_WORD_BYTES`.
  uint32_t word_bytes;
} mote_flash;
#endif

#if defined(MOTE_STREAMED)
// A model's weights in another memory, and two buffers. It begins as zeros, and stays where it is while it is in use.
typedef struct mote_stream {
  // The library's.
  uint64_t opaque[MOTE_STREAM_WORDS];
} mote_stream;
#endif

#if defined(MOTE_STREAMED)
// A reader of the file of weights that `mote split` wrote, by two functions of yours. Each says 0 where it has done what it was asked for.
typedef struct mote_reader {
  // What the functions get first.
  void *context;
  // Starts to read `bytes` bytes from `at` on into `to`; with a DMA it returns at once, and the core computes meanwhile.
  int32_t (*start)(void *context, uint32_t at, uint8_t *to, uint32_t bytes);
  // Waits until they are there. Null where `start` returns no sooner.
  int32_t (*wait)(void *context);
} mote_reader;
#endif

// What a status says in numbers. What it does not say is 0.
typedef struct mote_detail {
  // Which tensor, operator, section, class, output channel or weight.
  uint32_t index;
  // What is needed or allowed.
  uint32_t expected;
  // What was found.
  uint32_t found;
  // Bytes of `name`.
  uint32_t name_bytes;
  // The name of a part that was not built, of a header field or of a section; null where there is none. It does not end with a 0.
  const char *name;
} mote_detail;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The name of a status, such as "MOTE_CHECKSUM"; "?" for a number that is none. For logs. It takes 2 KiB of flash where it is called.
const char *mote_status_name(int32_t status);

// Checks the file that begins at `file` and opens it in `model`. The bytes may go on behind the file, as a slot of flash does: `bytes` is
// how many may be read.
//
// `file` begins at a multiple of 16. File and `model` stay where and as they are while the model or a run of it is used. One model
// serves any number of runs.
//
// The caller sees to it:
// `model` is writable storage; `bytes` bytes at `file` are readable. They do not overlap.
mote_status mote_open(struct mote_model *model,
                      const void *file,
                      size_t bytes);

// Opens a file that the build of this firmware has checked, by its versions and its checksum alone. It takes 4 KiB less of flash where
// `mote_open` is not called.
//
// The caller sees to it:
// As of `mote_open`; and `mote_open` or `mote inspect` of this very version, built with these features or fewer, has accepted these bytes.
mote_status mote_open_trusted(struct mote_model *model,
                              const void *file,
                              size_t bytes);

// Facts of an open model.
//
// The caller sees to it:
// `model` was opened or is zeros; `info` is writable.
mote_status mote_model_facts(const struct mote_model *model, struct mote_model_info *info);

// Fills in what the checkpoint was saved with: its spacing and clipping, deterministic DDIM or the sampler of its noise levels, seed 0, no
// class, no guidance. Of a file that plans its run: that run, with the plan's number of steps where `steps` is 0.
//
// The caller sees to it:
// `model` was opened or is zeros; `config` is writable.
mote_status mote_config_init(struct mote_config *config,
                             const struct mote_model *model,
                             uint32_t steps);

// Bytes of arena that a run needs. It depends on the model, on guidance and on the sampler, not on the steps.
//
// The caller sees to it:
// `model` was opened or is zeros; `config` is readable, `bytes` writable.
mote_status mote_arena_bytes(const struct mote_model *model,
                             const struct mote_config *config,
                             size_t *bytes);

// Begins a run of `model` from noise that `config.seed` makes. What `run` held before is gone: another image is made in the same storage
// and arena by beginning again.
//
// `arena` begins at a multiple of 16 and has `mote_arena_bytes` or more. It is the run's until the last call with that run; so are
// `model` and its file. `config` is copied.
//
// The caller sees to it:
// `run` and `arena_bytes` bytes at `arena` are writable and nobody else's. `run` was begun before, or its bytes are zeros. `model` was
// opened or is zeros. `config` is readable.
mote_status mote_start(struct mote_run *run,
                       const struct mote_model *model,
                       void *arena,
                       size_t arena_bytes,
                       const struct mote_config *config);

// Begins a run from a given x_T of `elements` elements: Q24, (row, col, channel).
//
// The caller sees to it:
// As of `mote_start`; `elements` elements at `noise` are readable.
mote_status mote_start_noise(struct mote_run *run,
                             const struct mote_model *model,
                             void *arena,
                             size_t arena_bytes,
                             const struct mote_config *config,
                             const int32_t *noise,
                             size_t elements);

// Begins a run from a clean image (Q24, (row, col, channel); `mote_pixels_to_q24` makes it of pixels), which is noised to where
// `strength_q16` of the steps are left: 0 to 65536.
//
// The caller sees to it:
// As of `mote_start`; `elements` elements at `image` are readable.
mote_status mote_start_image(struct mote_run *run,
                             const struct mote_model *model,
                             void *arena,
                             size_t arena_bytes,
                             const struct mote_config *config,
                             const int32_t *image,
                             size_t elements,
                             uint32_t strength_q16);

// Begins a run between the noises of two seeds, `part_q16` of the way from `config.seed` to `second`: 0 to 65536. Feature `interpolate`.
//
// The caller sees to it:
// As of `mote_start`.
mote_status mote_start_between(struct mote_run *run,
                               const struct mote_model *model,
                               void *arena,
                               size_t arena_bytes,
                               const struct mote_config *config,
                               uint64_t second,
                               uint32_t part_q16);

// Makes the elements of `image` (Q24) that are not `MOTE_UNKNOWN` known for the rest of the run. Call it before the first step, and
// again after a resume. Feature `inpaint`.
//
// `image` stays where and as it is until the last call with that run.
//
// The caller sees to it:
// `run` was begun or is zeros; `elements` elements at `image` are readable.
mote_status mote_inpaint(struct mote_run *run,
                         const int32_t *image,
                         size_t elements);

// Multiplies the steps of a chain of 2015 by what is known of its elements: those of `seen` (Q24; a bit is set above 0) that are not
// `MOTE_UNKNOWN`. `noise` is the probability that a bit was flipped, Q31, 0 to 2^30; or a value's standard deviation, Q24, where
// `UINT32_MAX` is infinite. With 0 they are known exactly. Call it before the first step, and again after a resume. Feature `posterior`.
//
// `seen` stays where and as it is until the last call with that run.
//
// The caller sees to it:
// `run` was begun or is zeros; `elements` elements at `seen` are readable.
mote_status mote_posterior(struct mote_run *run,
                           const int32_t *seen,
                           size_t elements,
                           uint32_t noise);

// Conditions the run on `vector`, of as many numbers as the model takes, in its fixed point. Call it before the first step, and again
// after a resume. Feature `condition`.
//
// `vector` stays where and as it is until the last call with that run.
//
// The caller sees to it:
// `run` was begun or is zeros; `count` numbers at `vector` are readable.
mote_status mote_condition(struct mote_run *run,
                           const int32_t *vector,
                           size_t count);

// Runs the next step, a network call or two. `MOTE_FINISHED` where there is none: `step` is then left as it was. `step` may be null.
//
// The caller sees to it:
// `run` was begun or is zeros, and everything that it borrows is as it was; `step` is null or writable.
mote_status mote_step(struct mote_run *run,
                      struct mote_step_info *step);

#if defined(MOTE_COOPERATIVE)
// Begins the next step. `MOTE_FINISHED` where there is none. From here to `mote_finish_step` nothing but `mote_run_operators` is called
// with the run, and the run is not saved.
//
// The caller sees to it:
// `run` was begun or is zeros, and everything that it borrows is as it was; `pending` is writable and nobody else's.
mote_status mote_begin_step(struct mote_run *run,
                            struct mote_pending *pending);
#endif

#if defined(MOTE_COOPERATIVE)
// Has convolutions of the step that was begun run in pieces, none longer than one of `parts` of a network call as far as rows of output are not: each
// counts as an operator. The bits stay. Networks in f16 are not split.
//
// The caller sees to it:
// `pending` was begun or is zeros, and is nobody else's; `model` is its run's.
mote_status mote_split_step(struct mote_pending *pending,
                            const struct mote_model *model,
                            uint32_t parts);
#endif

#if defined(MOTE_COOPERATIVE)
// Runs the next `count` operators of the step, fewer where fewer are left. `done` gets 1 where none is left, else 0.
//
// The caller sees to it:
// As of `mote_begin_step`; `pending` was begun with this run; `done` is writable.
mote_status mote_run_operators(struct mote_run *run,
                               struct mote_pending *pending,
                               uint16_t count,
                               uint8_t *done);
#endif

#if defined(MOTE_COOPERATIVE)
// Runs what is left of the step and finishes it. `step` may be null.
//
// The caller sees to it:
// As of `mote_run_operators`; `step` is null or writable.
mote_status mote_finish_step(struct mote_run *run,
                             struct mote_pending *pending,
                             struct mote_step_info *step);
#endif

// Writes the state as pixels, -1 as 0 and 1 as 255, (row, col, channel). `count` is the model's `elements`.
//
// The caller sees to it:
// `run` was begun or is zeros; `count` bytes at `pixels` are writable and neither the run's nor the arena's.
mote_status mote_image(const struct mote_run *run,
                       uint8_t *pixels,
                       size_t count);

// Gives the state x_t: Q24, (row, col, channel). It lies in the arena, and holds until the next call that is given `run`.
//
// The caller sees to it:
// `run` was begun or is zeros; `state` and `elements` are writable.
mote_status mote_state(const struct mote_run *run,
                       const int32_t **state,
                       size_t *elements);

// Gives the digest of the state.
//
// The caller sees to it:
// `run` was begun or is zeros; `digest` is writable.
mote_status mote_digest(const struct mote_run *run, uint64_t *digest);

// Gives how many steps are done, those that a start from an image skipped included.
//
// The caller sees to it:
// `run` was begun or is zeros; `steps` is writable.
mote_status mote_steps_done(const struct mote_run *run, uint32_t *steps);

// Writes pixels as Q24, 0 as -1 and 255 as 1: for `mote_start_image` and `mote_inpaint`.
//
// The caller sees to it:
// `count` bytes at `pixels` are readable, `count` elements at `image` writable.
mote_status mote_pixels_to_q24(const uint8_t *pixels, int32_t *image, size_t count);

// Bytes that a snapshot of a run may need.
//
// The caller sees to it:
// `model` was opened or is zeros; `config` is readable, `bytes` writable.
mote_status mote_snapshot_bytes(const struct mote_model *model,
                                const struct mote_config *config,
                                size_t *bytes);

// Saves the run, between two steps, into the `room` bytes at `to`. `written` gets the snapshot's length.
//
// The caller sees to it:
// `run` was begun or is zeros; `room` bytes at `to` are writable and neither the run's nor the arena's; `written` is writable.
mote_status mote_save(const struct mote_run *run,
                      void *to,
                      size_t room,
                      size_t *written);

// Begins a run where the snapshot at `from` was taken, and goes on to the same bits. Of the `bytes` bytes those behind the snapshot do not
// matter: padding, or the rest of a page of flash. The rest is as of `mote_start`; a
// run with known elements is given them again with `mote_inpaint`.
//
// The caller sees to it:
// As of `mote_start`; `bytes` bytes at `from` are readable.
mote_status mote_resume(struct mote_run *run,
                        const struct mote_model *model,
                        void *arena,
                        size_t arena_bytes,
                        const void *from,
                        size_t bytes);

#if defined(MOTE_STORE)
// Finds the newest record in the `bytes` bytes from `start` on, the two halves of which are the slots. A half is whole sectors, and has
// room for a record: `mote_record_bytes`.
//
// `flash` is copied; its functions and its context stay while the store is used.
//
// The caller sees to it:
// `store` is writable; `flash` is readable, and its functions do what they say.
mote_status mote_store_open(struct mote_store *store,
                            const struct mote_flash *flash,
                            uint32_t start,
                            uint32_t bytes);
#endif

#if defined(MOTE_STORE)
// Bytes of a run's record on a flash with words of `word_bytes`: of the buffer that `mote_store_save` takes, and of a slot at least.
//
// The caller sees to it:
// `model` was opened or is zeros; `config` is readable, `bytes` writable.
mote_status mote_record_bytes(const struct mote_model *model,
                              const struct mote_config *config,
                              uint32_t word_bytes,
                              size_t *bytes);
#endif

#if defined(MOTE_STORE)
// Saves the run, between two steps. The record is made in the `room` bytes at `buffer`. What was saved before stays until this one is whole.
//
// The caller sees to it:
// `store` was opened or is zeros; `run` was begun or is zeros; `room` bytes at `buffer` are writable and nobody else's.
mote_status mote_store_save(struct mote_store *store,
                            const struct mote_run *run,
                            void *buffer,
                            size_t room);
#endif

#if defined(MOTE_STORE)
// Loads what was saved last into the `room` bytes at `buffer`, for `mote_resume`. `bytes` gets its length, 0 where nothing was saved.
//
// The caller sees to it:
// `store` was opened or is zeros; `room` bytes at `buffer` are writable and nobody else's; `bytes` is writable.
mote_status mote_store_load(struct mote_store *store,
                            void *buffer,
                            size_t room,
                            size_t *bytes);
#endif

#if defined(MOTE_STORE)
// Forgets what was saved: the image is done.
//
// The caller sees to it:
// `store` was opened or is zeros.
mote_status mote_store_clear(struct mote_store *store);
#endif

#if defined(MOTE_STREAMED)
// Checks a file that `mote split` has cut and opens it in `model`. The rest is as of `mote_open`. A run of it is stepped by
// `mote_step_streamed` alone.
//
// The caller sees to it:
// As of `mote_open`.
mote_status mote_open_apart(struct mote_model *model,
                            const void *file,
                            size_t bytes);
#endif

#if defined(MOTE_STREAMED)
// Bytes of both buffers for blocks of `channels` output channels, 1 at least. Larger blocks are quicker.
//
// The caller sees to it:
// `model` was opened or is zeros; `bytes` is writable.
mote_status mote_stream_bytes(const struct mote_model *model,
                              uint32_t channels,
                              size_t *bytes);
#endif

#if defined(MOTE_STREAMED)
// Reads every weight once, and holds it to the model's checksum and to the limits of its accumulators.
//
// `buffers` begins at a multiple of 16 and has `mote_stream_bytes` or more. It is the stream's until the last call with it; so is `model`. `reader`
// is copied; its functions and its context stay.
//
// The caller sees to it:
// `stream` and `buffer_bytes` bytes at `buffers` are writable and nobody else's; `model` was opened or is zeros; `reader` is readable, and its functions
// do what they say.
mote_status mote_stream_open(struct mote_stream *stream,
                             const struct mote_model *model,
                             const struct mote_reader *reader,
                             void *buffers,
                             size_t buffer_bytes);
#endif

#if defined(MOTE_STREAMED)
// As `mote_step`, with weights that come through `stream`. Where it says `MOTE_UNREAD` the state has not moved, and the step can be run again;
// after Heun's method, go on from a snapshot.
//
// The caller sees to it:
// As of `mote_step`; `stream` was opened or is zeros, and nobody else's.
mote_status mote_step_streamed(struct mote_run *run,
                               struct mote_stream *stream,
                               struct mote_step_info *step);
#endif

// Says where the error is for which `mote_open` refused the file. Zeros where it did not.
//
// The caller sees to it:
// `model` was given to `mote_open` or is zeros; `detail` is writable.
mote_status mote_open_detail(const struct mote_model *model, struct mote_detail *detail);

// Says where the error is for which the last start, resume, inpaint or step of this run failed. Zeros where it did not.
//
// The caller sees to it:
// `run` was begun or is zeros; `detail` is writable.
mote_status mote_run_detail(const struct mote_run *run,
                            struct mote_detail *detail);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* MOTE_H */
