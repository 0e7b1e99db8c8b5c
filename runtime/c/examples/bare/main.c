/* Draws images with Mote: opens the model in flash, samples, saves a run half-way and takes it up again. */
#include "console.h"
#include "mote.h"

#define STEPS 20u
#define SAVED_AFTER 10u
/* Room for models of up to 8x8 pixels in one channel. */
#define ELEMENTS_MAX 64u
#define SNAPSHOT_MAX 512u

/* mote_add_model of CMakeLists.txt places them. */
extern const uint8_t mote_model_file[];
extern const uint32_t mote_model_file_bytes;

static mote_model model;
static mote_run run;
MOTE_ALIGN16 static uint8_t arena[ARENA_BYTES];
static uint8_t pixels[ELEMENTS_MAX];
static uint8_t saved[SNAPSHOT_MAX];

/* Whether a call went well; if not, its name is in the log. */
static bool is_ok(mote_status status)
{
    if (status != MOTE_OK) {
        print_text("error: ");
        print_text(mote_status_name(status));
        print_text("\n");
    }
    return status == MOTE_OK;
}

/* Steps up to the end, or to `last`; each is logged. */
static mote_status advance(uint32_t last)
{
    mote_step_info step;
    mote_status status;
    do {
        status = mote_step(&run, &step);
        if (status == MOTE_OK) {
            /* A watchdog would be fed here. */
            print_text("step ");
            print_decimal(step.index);
            print_text(" ");
            print_hexadecimal(step.digest);
            print_text("\n");
        }
    } while ((status == MOTE_OK) && (step.index != last));
    return status;
}

/* As large as it is shown: a line of text a row. */
static void show(const mote_model_info *info)
{
    for (uint32_t row = 0u; row < info->rows; row++) {
        char line[] = "                                ";
        for (uint32_t col = 0u; (col < info->cols) && (col < (sizeof line - 1u)); col++) {
            line[col] = " .:-=+*#%@"[pixels[((row * info->cols) + col) * info->channels] / 26u];
        }
        print_text(line);
        print_text("\n");
    }
}

/* An image from a seed. `interrupted`: half of it in one run, the rest in another that goes on from what was saved. */
static bool draw(const mote_model_info *info, const mote_config *config, bool interrupted)
{
    if (!is_ok(mote_start(&run, &model, arena, sizeof arena, config))) {
        return false;
    }
    if (interrupted) {
        size_t length = 0u;
        if (!is_ok(advance(SAVED_AFTER)) || !is_ok(mote_save(&run, saved, sizeof saved, &length))) {
            return false;
        }
        if (!is_ok(mote_resume(&run, &model, arena, sizeof arena, saved, length))) {
            return false;
        }
    }
    const mote_status status = advance(STEPS);
    if (status != MOTE_FINISHED) {
        return is_ok(status);
    }
    if (!is_ok(mote_image(&run, pixels, info->elements))) {
        return false;
    }
    show(info);
    return true;
}

int main(void)
{
    mote_model_info info;
    mote_config config;
    if (!is_ok(mote_open(&model, mote_model_file, mote_model_file_bytes))) {
        return 1;
    }
    if (!is_ok(mote_model_facts(&model, &info)) || (info.elements > sizeof pixels)) {
        return 1;
    }
    if (!is_ok(mote_config_init(&config, &model, STEPS))) {
        return 1;
    }
    config.seed = 7u;
    if (!draw(&info, &config, false)) {
        return 1;
    }
    config.seed = 8u;
    return draw(&info, &config, true) ? 0 : 1;
}
