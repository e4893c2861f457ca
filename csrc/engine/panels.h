/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TC_PANELS_H
#define TC_PANELS_H

/* Weights packed for lanes of output channels: a panel for each group, part of the channels and
 * class of taps, in the order [chunk][tap][ci][lanes], lanes padded with zeros to whole vectors;
 * behind them the bias. Classes depend on the kernel, stride and dilation alone, so packed weights
 * fit every input. */

#include "engine/blocks.h"

struct tc_panel {
    const void *data;
    ptrdiff_t lanes, taps;
    ptrdiff_t chunk; /* input channels of a chunk; the last may be shorter */
};

ptrdiff_t tc_panels_bytes(const struct tc_job *job);

/* The scratch that packing needs a thread. */
ptrdiff_t tc_panels_thread_bytes(const struct tc_job *job);

void tc_panels_pack(const struct tc_job *job, void *packed, void *scratch);

/* The panel of the class whose first kernel elements are k; its data is job->packed's. */
struct tc_panel tc_panel_at(const struct tc_job *job, ptrdiff_t group, struct tc_part part,
                            const ptrdiff_t k[TC_SPATIAL]);

/* The row of tap number `tap` and input channel `ci`, with the rest of the chunk behind it. */
const void *tc_panel_row(const struct tc_job *job, const struct tc_panel *panel, ptrdiff_t tap,
                         ptrdiff_t ci);

/* The bias of a part, padded with zeros, or NULL if the problem has none. */
const void *tc_panel_bias(const struct tc_job *job, ptrdiff_t group, struct tc_part part);

#endif
