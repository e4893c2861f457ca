/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TC_PANELS_H
#define TC_PANELS_H

/* Weights packed for lanes of output channels: for each group, part of the output channels and
 * chunk of the input channels a panel [tap][ci][lanes], lanes padded with zeros to whole vectors.
 * The taps that meet in one phase lie together, whatever padding and sizes are, so packed weights
 * fit every input. */

#include "engine/blocks.h"

struct tc_panel {
    void *data;
    ptrdiff_t group;
    struct tc_part part;
    ptrdiff_t lanes;    /* of the part, with their padding */
    ptrdiff_t plane;    /* elements from a tap to the next */
    struct tc_range ci; /* the chunk, within the group */
};

/* Input channels of a chunk, at most. */
ptrdiff_t tc_panel_chunk(const struct tc_job *job);

/* The panel whose chunk begins at ci; the packed weights of all panels begin at `packed`, or are
 * packed where they are used if that is NULL. */
struct tc_panel tc_panel_at(const struct tc_job *job, const void *packed, ptrdiff_t group,
                            struct tc_part part, ptrdiff_t ci);

/* Where a kernel element stands among the taps of a panel. Those of a phase follow each other as
 * [d][h][w], from its first on. */
ptrdiff_t tc_panel_tap(const struct tc_job *job, const ptrdiff_t k[TC_SPATIAL]);

/* Fills the rows of input channels `ci`, which are some of the panel's. */
void tc_panel_pack(const struct tc_job *job, const struct tc_panel *panel, struct tc_range ci);

/* Bytes of the longest panel, and of all; PTRDIFF_MAX if they cannot be counted. */
ptrdiff_t tc_panel_bytes(const struct tc_job *job);
ptrdiff_t tc_panels_bytes(const struct tc_job *job);

/* Packs all panels. */
void tc_panels_pack(const struct tc_job *job, void *packed);

#endif
