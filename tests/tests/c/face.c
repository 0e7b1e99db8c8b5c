/* Calls every function of mote.h on a board, well and badly, and counts what is not as the header says. */
#include "console.h"
#include "mote.h"

extern const uint8_t mote_model_file[];
extern const uint32_t mote_model_file_bytes;

#define ELEMENTS 64u
#define SYST_CSR (*(volatile uint32_t *)0xE000E010u)
#define SYST_RVR (*(volatile uint32_t *)0xE000E014u)
#define SYST_CVR (*(volatile uint32_t *)0xE000E018u)

static mote_model model, other_model;
static mote_run run, other_run;
MOTE_ALIGN16 static uint8_t arena[ARENA_BYTES];
MOTE_ALIGN16 static uint8_t other_arena[ARENA_BYTES];
static uint8_t pixels[ELEMENTS];
static int32_t image[ELEMENTS];
static uint8_t saved[1024];
static uint32_t failures;

static void expect(const char *what, mote_status found, mote_status expected)
{
    if (found != expected) {
        failures++;
        print_text(what);
        print_text(": ");
        print_text(mote_status_name(found));
        print_text(" in place of ");
        print_text(mote_status_name(expected));
        print_text("\n");
    }
}

static void expect_true(const char *what, bool found)
{
    if (!found) {
        failures++;
        print_text(what);
        print_text(" does not hold\n");
    }
}

/* Whether the state is `image` up to here. */
static bool is_image(const int32_t *state, uint32_t count)
{
    for (uint32_t i = 0u; i < count; i++) {
        if (state[i] != image[i]) {
            return false;
        }
    }
    return true;
}

static uint64_t finished(mote_run *of)
{
    mote_status status;
    uint64_t digest = 0u;
    do {
        status = mote_step(of, NULL);
    } while (status == MOTE_OK);
    expect("the last step", status, MOTE_FINISHED);
    expect("digest", mote_digest(of, &digest), MOTE_OK);
    return digest;
}

static void opening(void)
{
    mote_model_info info;
    mote_detail detail;
    expect("facts of nothing", mote_model_facts(&model, &info), MOTE_NOT_OPEN);
    expect("null model", mote_open(NULL, mote_model_file, mote_model_file_bytes), MOTE_NULL);
    expect("null file", mote_open(&model, NULL, 16u), MOTE_NULL);
    expect("cut file", mote_open(&model, mote_model_file, mote_model_file_bytes - 1u), MOTE_MODEL_LENGTH);
    expect("its detail", mote_open_detail(&model, &detail), MOTE_OK);
    expect_true("its length", (detail.expected == mote_model_file_bytes) && (detail.found == (mote_model_file_bytes - 1u)));
    expect("moved file", mote_open(&model, mote_model_file + 4, mote_model_file_bytes - 4u), MOTE_MODEL_MISALIGNED);
    expect("no length", mote_open(&model, mote_model_file, UINT32_MAX), MOTE_TOO_LONG);
    /* Constants go on behind the file: a slot. */
    expect("slot", mote_open(&model, mote_model_file, mote_model_file_bytes + 3u), MOTE_OK);
    expect("trusted", mote_open_trusted(&other_model, mote_model_file, mote_model_file_bytes), MOTE_OK);
    expect("facts", mote_model_facts(&model, &info), MOTE_OK);
    expect_true("an 8x8 image", (info.rows == 8u) && (info.cols == 8u) && (info.elements == ELEMENTS));
    expect_true("the file's length", info.file_bytes == mote_model_file_bytes);
    other_model = model;
    expect("a copied model", mote_model_facts(&other_model, &info), MOTE_NOT_OPEN);
}

static void refusals(mote_config config)
{
    mote_detail detail;
    size_t bytes = 0u;
    uint64_t digest;
    expect("digest of nothing", mote_digest(&run, &digest), MOTE_NOT_STARTED);
    expect("step of nothing", mote_step(&run, NULL), MOTE_NOT_STARTED);
    expect("arena's size", mote_arena_bytes(&model, &config, &bytes), MOTE_OK);
    expect("small arena", mote_start(&run, &model, arena, bytes - 1u, &config), MOTE_ARENA_TOO_SMALL);
    expect("its detail", mote_run_detail(&run, &detail), MOTE_OK);
    expect_true("its sizes", (detail.expected == bytes) && (detail.found == (bytes - 1u)));
    expect("moved arena", mote_start(&run, &model, arena + 8, bytes, &config), MOTE_ARENA_MISALIGNED);
    expect("model as arena", mote_start(&run, &model, &model, bytes, &config), MOTE_SHARED);
    config.sampler = 77u;
    expect("no sampler", mote_start(&run, &model, arena, sizeof arena, &config), MOTE_CHOICE);
    config.sampler = MOTE_SAMPLER_DDIM;
    config.steps = 0u;
    expect("no steps", mote_start(&run, &model, arena, sizeof arena, &config), MOTE_STEPS);
    config.steps = 20u;
    config.class_label = 1;
    expect("no class", mote_start(&run, &model, arena, sizeof arena, &config), MOTE_CLASS);
}

static void running(const mote_config *config)
{
    uint32_t ticks = 0u;
    uint32_t done;
    const int32_t *state;
    size_t count = 0u;
    mote_step_info step = {0u, 0u, 0u};
    SYST_RVR = 0x00FFFFFFu;
    SYST_CSR = 5u;
    expect("start", mote_start(&run, &model, arena, sizeof arena, config), MOTE_OK);
    for (uint32_t i = 0u; i < config->steps; i++) {
        SYST_CVR = 0u;
        expect("step", mote_step(&run, &step), MOTE_OK);
        ticks += 0x00FFFFFFu - SYST_CVR;
        expect_true("its number", step.index == i);
    }
    expect("end", mote_step(&run, &step), MOTE_FINISHED);
    print_text("ticks ");
    print_decimal(ticks);
    print_text("\ndigest ");
    print_hexadecimal(step.digest);
    print_text("\n");
    expect("steps", mote_steps_done(&run, &done), MOTE_OK);
    expect_true("all of them", done == config->steps);
    expect("state", mote_state(&run, &state, &count), MOTE_OK);
    expect_true("its length", count == ELEMENTS);
    expect("image", mote_image(&run, pixels, ELEMENTS), MOTE_OK);
    expect("short image", mote_image(&run, pixels, ELEMENTS - 1u), MOTE_LENGTH);
    other_run = run;
    expect("a copied run", mote_step(&other_run, NULL), MOTE_NOT_STARTED);
    other_run = (mote_run){{0u}};
}

static void saving(const mote_config *config)
{
    size_t room = 0u;
    size_t length = 0u;
    expect("room", mote_snapshot_bytes(&model, config, &room), MOTE_OK);
    expect_true("enough", room <= sizeof saved);
    expect("start", mote_start(&run, &model, arena, sizeof arena, config), MOTE_OK);
    expect("step", mote_step(&run, NULL), MOTE_OK);
    expect("no room", mote_save(&run, saved, 100u, &length), MOTE_LENGTH);
    expect("save", mote_save(&run, saved, sizeof saved, &length), MOTE_OK);
    expect("resume", mote_resume(&other_run, &model, other_arena, sizeof other_arena, saved, length), MOTE_OK);
    expect_true("the same end", finished(&run) == finished(&other_run));
    saved[40]++;
    expect("damaged", mote_resume(&other_run, &model, other_arena, sizeof other_arena, saved, length), MOTE_SNAPSHOT);
}

static void starting(const mote_config *config)
{
    const int32_t *state;
    size_t count = 0u;
    for (uint32_t i = 0u; i < ELEMENTS; i++) {
        pixels[i] = (uint8_t)(4u * i);
    }
    expect("pixels", mote_pixels_to_q24(pixels, image, ELEMENTS), MOTE_OK);
    expect("noise", mote_start_noise(&run, &model, arena, sizeof arena, config, image, ELEMENTS), MOTE_OK);
    expect("state", mote_state(&run, &state, &count), MOTE_OK);
    expect_true("the noise", is_image(state, ELEMENTS));
    expect("image", mote_start_image(&run, &model, arena, sizeof arena, config, image, ELEMENTS, MOTE_ONE_Q16 / 2u), MOTE_OK);
    uint32_t done = 0u;
    expect("steps", mote_steps_done(&run, &done), MOTE_OK);
    expect_true("half of them", done == (config->steps / 2u));
    expect("too much", mote_start_image(&run, &model, arena, sizeof arena, config, image, ELEMENTS, MOTE_ONE_Q16 + 1u), MOTE_STRENGTH);
    expect("between", mote_start_between(&run, &model, arena, sizeof arena, config, 9u, MOTE_ONE_Q16 / 2u), MOTE_OK);
    for (uint32_t i = 32u; i < ELEMENTS; i++) {
        image[i] = MOTE_UNKNOWN;
    }
    expect("start", mote_start(&run, &model, arena, sizeof arena, config), MOTE_OK);
    expect("inpaint", mote_inpaint(&run, image, ELEMENTS), MOTE_OK);
    expect("no condition", mote_condition(&run, image, ELEMENTS), MOTE_CONDITION);
    (void)finished(&run);
    expect("state", mote_state(&run, &state, &count), MOTE_OK);
    expect_true("what is known", is_image(state, 32u));
}

int main(void)
{
    mote_config config;
    opening();
    expect("configuration", mote_config_init(&config, &model, 20u), MOTE_OK);
    config.seed = 7u;
    refusals(config);
    running(&config);
    saving(&config);
    starting(&config);
    print_text("failures ");
    print_decimal(failures);
    print_text("\n");
    return (failures == 0u) ? 0 : 1;
}
