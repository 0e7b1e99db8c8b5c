/* Flash that is written as memory: the boards of the simulator. */
#include "driver.h"

extern volatile uint32_t snapshot_start[], snapshot_end[];

const uint32_t *flash_region(void)
{
    return (const uint32_t *)(uintptr_t)snapshot_start;
}

size_t flash_bytes(void)
{
    return (uintptr_t)snapshot_end - (uintptr_t)snapshot_start;
}

void flash_erase(void)
{
    for (size_t index = 0u; index < (flash_bytes() / 4u); index++) {
        snapshot_start[index] = 0xFFFFFFFFu;
    }
}

void flash_write(size_t index, uint32_t word)
{
    snapshot_start[index] = word;
}
