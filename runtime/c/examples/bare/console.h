/* What the program asks of the machine: text to the console of the simulator or of a debug probe, and the end. */
#ifndef CONSOLE_H
#define CONSOLE_H

#include <stdbool.h>
#include <stdint.h>

void print_text(const char *text);
void print_decimal(uint32_t value);
void print_hexadecimal(uint64_t value);

/* Ends the simulation. */
void finish(bool success);

#endif
