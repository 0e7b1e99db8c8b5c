#include "snapshot.h"

#include "driver.h"

/* What flash holds after it was erased. */
#define NOTHING 0xFFFFFFFFu

const uint8_t *snapshot_saved(size_t *length)
{
    const uint32_t *region = flash_region();
    const size_t room = flash_bytes();
    if ((room < 4u) || (region[0] == NOTHING) || (region[0] == 0u) || (region[0] > (room - 4u))) {
        return NULL;
    }
    *length = region[0];
    return (const uint8_t *)&region[1];
}

void snapshot_save(const uint8_t *bytes, size_t length)
{
    if ((length + 4u) > flash_bytes()) {
        return;
    }
    flash_erase();
    for (size_t at = 0u; at < length; at += 4u) {
        uint32_t word = 0u;
        for (size_t i = 0u; (i < 4u) && ((at + i) < length); i++) {
            word |= (uint32_t)bytes[at + i] << (8u * i);
        }
        flash_write(1u + (at / 4u), word);
    }
    flash_write(0u, (uint32_t)length);
}

void snapshot_clear(void)
{
    size_t length;
    if (snapshot_saved(&length) != NULL) {
        flash_erase();
    }
}
