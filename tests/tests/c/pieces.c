/* A step whole and a step in pieces: the same digest, and what either takes of SysTick. */
#define MOTE_COOPERATIVE
#include "console.h"
#include "mote.h"

extern const uint8_t mote_model_file[];
extern const uint32_t mote_model_file_bytes;

mote_status mote_split_step(mote_pending *pending, const mote_model *model, uint32_t parts);

#define SYST_CSR (*(volatile uint32_t *)0xE000E010u)
#define SYST_RVR (*(volatile uint32_t *)0xE000E014u)
#define SYST_CVR (*(volatile uint32_t *)0xE000E018u)

static mote_model model;
static mote_run run;
static mote_pending pending;
MOTE_ALIGN16 static uint8_t arena[ARENA_BYTES];

static uint32_t ticks(void)
{
    return 0x00FFFFFFu - SYST_CVR;
}

static void say(const char *what, uint32_t number)
{
    print_text(what);
    print_decimal(number);
    print_text("\n");
}

/* A step in pieces of `count` operators, no convolution longer than one of `parts` of the network. */
static mote_status in_pieces(const char *what, uint16_t count, uint32_t parts, mote_step_info *step)
{
    uint32_t longest = 0u, pieces = 0u;
    uint8_t done = 0u;
    SYST_CVR = 0u;
    mote_status status = mote_begin_step(&run, &pending);
    if ((status == MOTE_OK) && (parts > 0u)) {
        status = mote_split_step(&pending, &model, parts);
    }
    uint32_t last = 0u;
    while ((status == MOTE_OK) && (done == 0u)) {
        status = mote_run_operators(&run, &pending, count, &done);
        const uint32_t now = ticks();
        longest = ((now - last) > longest) ? (now - last) : longest;
        last = now;
        pieces++;
    }
    if (status == MOTE_OK) {
        status = mote_finish_step(&run, &pending, step);
    }
    const uint32_t now = ticks();
    longest = ((now - last) > longest) ? (now - last) : longest;
    print_text(what);
    say(" pieces ", pieces);
    print_text(what);
    say(" longest ", longest);
    print_text(what);
    say(" sum ", now);
    return status;
}

int main(void)
{
    mote_config config;
    mote_step_info whole, step;
    SYST_RVR = 0x00FFFFFFu;
    SYST_CSR = 5u;
    mote_status status = mote_open(&model, mote_model_file, mote_model_file_bytes);
    if (status == MOTE_OK) {
        status = mote_config_init(&config, &model, 3u);
    }
    for (uint32_t way = 0u; (way < 3u) && (status == MOTE_OK); way++) {
        static const char *const names[3] = {"one", "two", "split"};
        /* The second step of a run whose steps are whole, and of one whose second step is in pieces. */
        status = mote_start(&run, &model, arena, sizeof arena, &config);
        if (status == MOTE_OK) {
            status = mote_step(&run, NULL);
        }
        if (status == MOTE_OK) {
            SYST_CVR = 0u;
            status = mote_step(&run, &whole);
            say("step ", ticks());
        }
        if (status == MOTE_OK) {
            status = mote_start(&run, &model, arena, sizeof arena, &config);
        }
        if (status == MOTE_OK) {
            status = mote_step(&run, NULL);
        }
        if (status == MOTE_OK) {
            status = in_pieces(names[way], (way == 1u) ? 2u : 1u, (way == 2u) ? 25u : 0u, &step);
        }
        if ((status == MOTE_OK) && (step.digest != whole.digest)) {
            print_text("another digest\n");
            return 1;
        }
    }
    print_text(mote_status_name(status));
    print_text("\n");
    return (status == MOTE_OK) ? 0 : 1;
}
