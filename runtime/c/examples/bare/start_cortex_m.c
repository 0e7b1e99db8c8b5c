/* What a Cortex-M does before main: vectors, floating point, memory. */
#include "console.h"

#include <stdint.h>

extern uint32_t stack_top[];
extern uint64_t data_start[], data_end[], data_source[], bss_start[], bss_end[];

int main(void);
void reset(void);
void on_systick(void);

static void fault(void)
{
    print_text("fault\n");
    finish(false);
}

/* A program that uses SysTick has its own. */
__attribute__((weak)) void on_systick(void)
{
    fault();
}

void reset(void)
{
#if defined(__ARM_FP)
    /* Coprocessors 10 and 11, the floating-point unit (and the vector unit), are off at reset. */
    *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20;
    __asm__ volatile("dsb\nisb" ::: "memory");
#endif
    const uint64_t *from = data_source;
    for (uint64_t *to = data_start; to < data_end; to++) {
        *to = *from;
        from++;
    }
    for (uint64_t *to = bss_start; to < bss_end; to++) {
        *to = 0u;
    }
    finish(main() == 0);
}

struct vectors {
    uint32_t *stack;
    void (*handlers[15])(void);
};

/* Initial stack, reset, then the core's exceptions. */
__attribute__((section(".start"), used)) static const struct vectors vectors = {
    stack_top,
    {reset, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, on_systick},
};
