/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TC_LAYOUT_H
#define TC_LAYOUT_H

/* The order of an image's axes, a letter each: "NCHW", "HWC", or "NHWC->NCHW" where the output's
 * order differs from the input's. A layout names axes; memory is whatever the strides say. */

#include "base/status.h"

#include <stdbool.h>

struct tc_layout {
    bool given;                   /* false: channels first, with a batch or without */
    bool batched;                 /* whether there is an N */
    bool input_last, output_last; /* the channels of the forward operation's arrays come last */
};

/* Reads a layout of `rank` spatial axes; NULL stands for none given. */
enum tc_code tc_layout_parse(struct tc_layout *layout, int rank, const char *text,
                             struct tc_status *status);

/* The letters of one array's axes. */
const char *tc_layout_letters(int rank, bool batched, bool last);

#endif
