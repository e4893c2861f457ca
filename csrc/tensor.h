/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TC_TENSOR_H
#define TC_TENSOR_H

/* Strided views of the caller's arrays. Strides count elements and may be anything: negative,
 * zero, in any order. Lengths are the problem's. Missing axes have length 1 and stride 0. */

#include "dtype.h"

/* Spatial axes: every problem has three, those of a 1-D or 2-D one come last. */
enum { TC_D, TC_H, TC_W, TC_SPATIAL };

/* An image batch: data[n*step.n + c*step.c + d*axis[0] + h*axis[1] + w*axis[2]]. */
struct tc_image {
    void *data;
    ptrdiff_t n, c, axis[TC_SPATIAL];
    bool far; /* more than the second cache holds */
};

/* A weight by role: ci is summed over, co is produced, whatever the order in memory. ci and co
 * count channels within group g. */
struct tc_weight {
    void *data;
    ptrdiff_t g, ci, co, axis[TC_SPATIAL];
};

/* A bias of one element a channel; data is NULL where there is none. */
struct tc_bias {
    const void *data;
    ptrdiff_t c;
};

/* The strides of a C-contiguous image (n, c, d, h, w), or (n, d, h, w, c) if channels come last. */
static inline struct tc_image tc_contiguous_image(ptrdiff_t channels,
                                                  const ptrdiff_t length[TC_SPATIAL], int last)
{
    struct tc_image image = {.c = 1};
    image.axis[TC_W] = last ? channels : 1;
    image.axis[TC_H] = length[TC_W] * image.axis[TC_W];
    image.axis[TC_D] = length[TC_H] * image.axis[TC_H];
    image.n = length[TC_D] * image.axis[TC_D];
    if (!last) {
        image.c = image.n;
        image.n *= channels;
    }
    return image;
}

/* The element `index` elements behind `data`. */
static inline void *tc_at(const void *data, ptrdiff_t index, ptrdiff_t bytes)
{
    return (char *)data + index * bytes;
}

/* The same, but NULL stays NULL: views are made before there are data. */
static inline void *tc_at_any(const void *data, ptrdiff_t index, ptrdiff_t bytes)
{
    return data ? tc_at(data, index, bytes) : NULL;
}

#endif
