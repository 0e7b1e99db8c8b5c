/* What a RISC-V core does before main: stack, traps, memory. */
#include "console.h"

#include <stdint.h>

extern uint64_t data_start[], data_end[], data_source[], bss_start[], bss_end[];

int main(void);
void begin(void);
void fault(void);

__asm__(".section .start, \"ax\"\n"
        ".global reset\n"
        "reset:\n"
        "    la sp, stack_top\n"
        "    la t0, trap\n"
        "    csrw mtvec, t0\n"
        "    j begin\n"
        "    .balign 4\n"
        "trap:\n"
        "    j fault\n");

void fault(void)
{
    print_text("fault\n");
    finish(false);
}

void begin(void)
{
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
