/* The flash of the region SNAPSHOT, by words of 32 bits. */
#ifndef DRIVER_H
#define DRIVER_H

#include <stddef.h>
#include <stdint.h>

const uint32_t *flash_region(void);

/* 0 without a driver. */
size_t flash_bytes(void);

/* Sets every bit. */
void flash_erase(void);

/* Writes a word that is erased. */
void flash_write(size_t index, uint32_t word);

#endif
