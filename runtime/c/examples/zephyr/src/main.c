/* Draws a digit from each seed in a thread of its own, and sleeps between. */
#include <zephyr/kernel.h>
#include <zephyr/sys/printk.h>

#include "mote.h"

#define STEPS 20u
#define PIXELS 64u

extern const uint8_t mote_model_file[];
extern const uint32_t mote_model_file_bytes;

static mote_model model;
static mote_run run;
MOTE_ALIGN16 static uint8_t arena[6144];
static uint8_t pixels[PIXELS];

/* One image; the thread yields between two steps. */
static mote_status draw(const mote_config *config)
{
    mote_step_info step = {0u, 0u, 0u};
    mote_status status = mote_start(&run, &model, arena, sizeof arena, config);
    while (status == MOTE_OK) {
        status = mote_step(&run, &step);
        k_yield();
    }
    if (status == MOTE_FINISHED) {
        printk("digest %08x%08x\n", (unsigned int)(step.digest >> 32), (unsigned int)step.digest);
        status = mote_image(&run, pixels, sizeof pixels);
    }
    return status;
}

int main(void)
{
    mote_config config;
    mote_status status = mote_open(&model, mote_model_file, mote_model_file_bytes);
    if (status == MOTE_OK) {
        status = mote_config_init(&config, &model, STEPS);
    }
    while (status == MOTE_OK) {
        status = draw(&config);
        config.seed++;
        k_sleep(K_SECONDS(1));
    }
    printk("mote: %s\n", mote_status_name(status));
    return 1;
}
