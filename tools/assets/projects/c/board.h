/* What the program asks of the board. board.c has it for this kind of core. */
#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

/* Called after every step. */
void feed_watchdog(void);

/* Starts the count of cycles. */
void start_cycles(void);

/* Cycles of the core since the start. */
uint64_t cycles(void);

#endif
