/* ResNet-8 of MLPerf Tiny (32 x 32 x 3, 12.5 million multiply-accumulates) by CMSIS-NN's functions, RUNS times, on a bare Cortex-M of QEMU.
   Weights are pseudo-random: the time does not depend on them. See README.md. */
#include <string.h>

#include "arm_nnfunctions.h"

#ifndef RUNS
#define RUNS 1
#endif

static int8_t a[32 * 32 * 16], b[32 * 32 * 16], c[32 * 32 * 16];
static int8_t weights[64 * 64 * 9];
static int32_t biases[64], multipliers[64], shifts[64];
static int8_t scratch[16 * 1024] __attribute__((aligned(16)));
static int8_t image[32 * 32 * 3];

static void fail(void)
{
    for (;;) {
    }
}

static void conv(const int8_t *from, int8_t *to, int side, int in, int out, int kernel, int stride)
{
    const int side_out = side / stride;
    const int around = (side_out - 1) * stride + kernel - side;
    const int pad = (around > 0) ? around / 2 : 0;
    cmsis_nn_conv_params params = {.input_offset = 3, .output_offset = -4, .stride = {stride, stride}, .padding = {pad, pad}, .dilation = {1, 1}, .activation = {-128, 127}};
    cmsis_nn_per_channel_quant_params quant = {multipliers, shifts};
    cmsis_nn_dims input = {1, side, side, in}, filter = {out, kernel, kernel, in}, bias = {1, 1, 1, out}, output = {1, side_out, side_out, out};
    if (arm_convolve_wrapper_s8_get_buffer_size(&params, &input, &filter, &output) > (int32_t)sizeof scratch) {
        fail();
    }
    cmsis_nn_context context = {scratch, sizeof scratch};
    if (arm_convolve_wrapper_s8(&context, &params, &quant, &input, from, &filter, weights, &bias, biases, &output, to) != ARM_CMSIS_NN_SUCCESS) {
        fail();
    }
}

static void add(const int8_t *one, const int8_t *two, int8_t *to, int count)
{
    if (arm_elementwise_add_s8(one, two, 3, 1 << 30, 0, 4, 1 << 30, 0, 20, to, -5, 1 << 30, -19, -128, 127, count) != ARM_CMSIS_NN_SUCCESS) {
        fail();
    }
}

static void network(void)
{
    int8_t scores[10];
    conv(image, a, 32, 3, 16, 3, 1);
    conv(a, b, 32, 16, 16, 3, 1);
    conv(b, c, 32, 16, 16, 3, 1);
    add(a, c, a, 32 * 32 * 16);
    conv(a, b, 32, 16, 32, 3, 2);
    conv(b, c, 16, 32, 32, 3, 1);
    conv(a, b, 32, 16, 32, 1, 2);
    add(b, c, a, 16 * 16 * 32);
    conv(a, b, 16, 32, 64, 3, 2);
    conv(b, c, 8, 64, 64, 3, 1);
    conv(a, b, 16, 32, 64, 1, 2);
    add(b, c, a, 8 * 8 * 64);
    cmsis_nn_context context = {scratch, sizeof scratch};
    cmsis_nn_pool_params pool = {.stride = {8, 8}, .padding = {0, 0}, .activation = {-128, 127}};
    cmsis_nn_dims input = {1, 8, 8, 64}, window = {1, 8, 8, 1}, one = {1, 1, 1, 64};
    if (arm_avgpool_s8(&context, &pool, &input, a, &window, &one, b) != ARM_CMSIS_NN_SUCCESS) {
        fail();
    }
    cmsis_nn_fc_params dense = {.input_offset = 3, .filter_offset = 0, .output_offset = -4, .activation = {-128, 127}};
    cmsis_nn_per_tensor_quant_params quant = {1 << 30, -7};
    cmsis_nn_dims vector = {1, 1, 1, 64}, matrix = {64, 1, 1, 10}, bias = {1, 1, 1, 10}, output = {1, 1, 1, 10};
    if (arm_fully_connected_s8(&context, &dense, &quant, &vector, b, &matrix, weights, &bias, biases, &output, scores) != ARM_CMSIS_NN_SUCCESS) {
        fail();
    }
    arm_softmax_s8(scores, 1, 10, 1 << 30, 22, -248, scores);
}

extern uint32_t stack_top;

void reset(void)
{
    uint32_t state = 1u;
    for (unsigned i = 0; i < sizeof weights; i++) {
        state = state * 1664525u + 1013904223u;
        weights[i] = (int8_t)(state >> 24);
    }
    for (int i = 0; i < 64; i++) {
        multipliers[i] = 1 << 30;
        shifts[i] = -7;
    }
    for (int run = 0; run < RUNS; run++) {
        network();
    }
    register uint32_t operation __asm__("r0") = 0x18, reason __asm__("r1") = 0x20026;
    __asm__ volatile("bkpt 0xab" : : "r"(operation), "r"(reason) : "memory");
    fail();
}

__attribute__((section(".vectors"), used)) static void *const vectors[16] = {
    &stack_top, (void *)reset, (void *)fail, (void *)fail, (void *)fail, (void *)fail, (void *)fail, (void *)fail,
    (void *)fail, (void *)fail, (void *)fail, (void *)fail, (void *)fail, (void *)fail, (void *)fail, (void *)fail};
