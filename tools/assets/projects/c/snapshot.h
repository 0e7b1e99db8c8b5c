/* The saved run in flash: its length, then its bytes, in the region SNAPSHOT of link.ld. The length is written last, so a save
   that is cut off leaves nothing; the snapshot has a checksum of its own. */
#ifndef SNAPSHOT_H
#define SNAPSHOT_H

#include <stddef.h>
#include <stdint.h>

/* The saved run, or NULL. */
const uint8_t *snapshot_saved(size_t *length);

/* Saves a run in place of the one before. Without a driver for the flash this does nothing. */
void snapshot_save(const uint8_t *bytes, size_t length);

/* Forgets the saved run. */
void snapshot_clear(void);

#endif
