/* The console by semihosting: a trap that the simulator or a debug probe answers. On hardware without a probe, write a UART here. */
#include "console.h"

#include <stddef.h>

#define SYS_OPEN 0x01u
#define SYS_WRITE 0x05u
#define SYS_EXIT 0x18u
#define WRITE_MODE 4u
#define EXIT_SUCCESS_REASON 0x20026u
#define EXIT_FAILURE_REASON 0x20023u

/* One call to the host. `argument` is a value or the address of words that the call reads. */
static uintptr_t semihost(uintptr_t operation, uintptr_t argument)
{
#if defined(__arm__)
    register uintptr_t r0 __asm__("r0") = operation;
    register uintptr_t r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt #0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
#elif defined(__riscv)
    register uintptr_t a0 __asm__("a0") = operation;
    register uintptr_t a1 __asm__("a1") = argument;
    /* This very triple, uncompressed and in one aligned block. */
    __asm__ volatile(".balign 16\n"
                     ".option push\n"
                     ".option norvc\n"
                     "slli x0, x0, 0x1f\n"
                     "ebreak\n"
                     "srai x0, x0, 7\n"
                     ".option pop\n"
                     : "+r"(a0)
                     : "r"(a1)
                     : "memory");
    return a0;
#else
#error "no semihosting for this core"
#endif
}

static void print(const char *text, uintptr_t length)
{
    static uintptr_t handle = 0u;
    if (handle == 0u) {
        const uintptr_t open[3] = {(uintptr_t)":tt", WRITE_MODE, 3u};
        handle = semihost(SYS_OPEN, (uintptr_t)open);
    }
    const uintptr_t write[3] = {handle, (uintptr_t)text, length};
    (void)semihost(SYS_WRITE, (uintptr_t)write);
}

void print_text(const char *text)
{
    uintptr_t length = 0u;
    while (text[length] != '\0') {
        length++;
    }
    print(text, length);
}

void print_decimal(uint32_t value)
{
    char digits[10];
    uintptr_t first = sizeof digits;
    do {
        first--;
        digits[first] = (char)('0' + (int)(value % 10u));
        value /= 10u;
    } while (value != 0u);
    print(&digits[first], sizeof digits - first);
}

void print_hexadecimal(uint64_t value)
{
    char digits[16];
    for (size_t i = 0u; i < sizeof digits; i++) {
        digits[i] = "0123456789abcdef"[(value >> (60u - (4u * i))) & 15u];
    }
    print(digits, sizeof digits);
}

void finish(bool success)
{
    for (;;) {
        (void)semihost(SYS_EXIT, success ? EXIT_SUCCESS_REASON : EXIT_FAILURE_REASON);
    }
}
