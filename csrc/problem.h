/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TC_PROBLEM_H
#define TC_PROBLEM_H

/* What is to be computed: the numbers of one operation, lifted to three spatial axes, and all
 * checks of a caller's request.
 *
 * The glossary, the same in C, in Python, in the tests and in problem strings:
 *
 *   n  batch           ci id ih iw  input x: channels and lengths     sd sh sw  stride
 *   g  groups          co od oh ow  output y                          pd ph pw  padding (pe: at
 *                                                                               the end)
 *   x w b y            kd kh kw     kernel (weight w)                 dd dh dw  dilation
 *
 * A negative padding crops what a convolution reads and extends what a transposed one computes.
 *
 * Arrays here are indexed by TC_D, TC_H, TC_W: problem.i[TC_H] is ih. */

#include "layout.h"
#include "tensor.h"

/* The three contractions of one relation u = s*v + d*k - p between a position u on the large side
 * of a convolution, a position v on its small side and an element k of its kernel: each computes
 * one array from the other two. */
enum tc_contraction {
    TC_LARGE_FROM_SMALL, /* transposed convolution; gradient of a convolution's input */
    TC_SMALL_FROM_LARGE, /* convolution; gradient of a transposed convolution's input */
    TC_WEIGHT_FROM_BOTH, /* gradient of either one's weight */
};

/* The arrays of a forward operation, each of which may be what is computed. */
enum tc_array { TC_INPUT, TC_WEIGHT, TC_OUTPUT };

/* A row of the table of operations. Gradients are described by the forward operation that they
 * belong to: its input, its weight, and the gradient of its output in the place of its output. */
struct tc_operation {
    const char *name; /* the function's name in Python */
    const char *code; /* the problem string's first word */
    int rank;
    bool transposed; /* whether the forward operation is conv_transpose or conv */
    enum tc_array computes;
    enum tc_contraction contraction;
};

/* The operation called `name`, or NULL. */
const struct tc_operation *tc_operation_find(const char *name);

/* What stands in the padding of a convolution: zeros; or elements of the input, mirrored at the
 * first and the last one, or these two themselves, or those of the other end. A transposed
 * convolution, which crops what lies there, has the first and the last of these: then the overhang
 * is added at the other end. Engines know zeros alone. */
enum tc_padding_mode { TC_PAD_ZEROS, TC_PAD_REFLECT, TC_PAD_REPLICATE, TC_PAD_CIRCULAR };

/* The modes' names, ended by NULL. */
extern const char *const tc_padding_modes[];

/* x is what the contraction reads and y what it computes; the weight's gradient is computed from
 * x, the small side, and y, the large one. */
struct tc_problem {
    const struct tc_operation *operation;
    enum tc_dtype dtype;
    enum tc_padding_mode mode;
    bool batched;        /* whether the caller's arrays have a batch axis */
    bool x_last, y_last; /* whether their channels come last */
    bool bias;
    ptrdiff_t n, g, ci, co; /* ci and co count the channels of all groups */
    ptrdiff_t i[TC_SPATIAL], o[TC_SPATIAL], k[TC_SPATIAL];
    ptrdiff_t s[TC_SPATIAL], p[TC_SPATIAL], op[TC_SPATIAL], d[TC_SPATIAL];
    ptrdiff_t pe[TC_SPATIAL]; /* padding at the end, where p is that at the beginning */
};

/* A request as the caller wrote it. */
struct tc_shape {
    bool given; /* false: no such array */
    int ndim;
    const ptrdiff_t *dims;
};

/* An integer argument: `count` values, of which the first TC_MAX_VALUES are kept. */
enum { TC_MAX_VALUES = 5 };

struct tc_values {
    ptrdiff_t count, at[TC_MAX_VALUES];
};

/* "same": as many outputs as a stride leaves, ceil(i/s), or i*s of a transposed convolution, with
 * the padding of both sides equal, or one more at the end ("same_lower": at the beginning). */
enum tc_padding_rule { TC_PAD_GIVEN, TC_PAD_SAME, TC_PAD_SAME_LOWER };

/* Shapes are those of the forward operation's arrays, computed ones included where the caller has
 * to say them, their axes in the order of the layout; y is the gradient of its output. */
struct tc_request {
    const struct tc_operation *operation;
    enum tc_dtype dtype;
    struct tc_layout layout;
    struct tc_shape x, w, b, y;
    struct tc_values stride, padding, output_padding, dilation;
    struct tc_values padding_end; /* `padding` is that at the beginning */
    bool padding_sides;           /* whether they were given apart; then they may be negative */
    enum tc_padding_rule padding_rule;
    enum tc_padding_mode padding_mode;
    struct tc_values output_size; /* count 0 where !has_output_size */
    bool has_output_size;
    ptrdiff_t groups;
};

/* Checks a request and fills the problem, or says what is wrong. */
enum tc_code tc_problem_init(struct tc_problem *problem, const struct tc_request *request,
                             struct tc_status *status);

/* The same without an input, for weights that many inputs will meet: everything but n, i, o and
 * output_size is checked and set; those describe the smallest image that gives an output. */
enum tc_code tc_problem_init_weight(struct tc_problem *problem, const struct tc_request *request,
                                    struct tc_status *status);

/* The problem of the forward operation: x is its input, y its output. */
struct tc_problem tc_problem_forward(const struct tc_problem *problem);

/* The shape of the result in the caller's axes; returns its ndim (at most 5). */
int tc_problem_shape(const struct tc_problem *problem, ptrdiff_t dims[]);

/* Views of the caller's arrays, whose strides are given in the order of their axes; `last` is the
 * problem's x_last or y_last. */
struct tc_image tc_problem_image(const struct tc_problem *problem, void *data,
                                 const ptrdiff_t strides[], bool last);
struct tc_weight tc_problem_weight(const struct tc_problem *problem, void *data,
                                   const ptrdiff_t strides[]);

/* The problem's name, such as "ct2d_n16_ci64_ih32_iw32_co3_k4_s2_p1_f32"; without the input's part
 * (n and lengths) unless `input`. */
void tc_problem_string(const struct tc_problem *problem, bool input, struct tc_status *text);

/* Elements of x, of y, and of one kernel. */
static inline ptrdiff_t tc_input_volume(const struct tc_problem *p)
{
    return p->n * p->ci * p->i[TC_D] * p->i[TC_H] * p->i[TC_W];
}

static inline ptrdiff_t tc_output_volume(const struct tc_problem *p)
{
    return p->n * p->co * p->o[TC_D] * p->o[TC_H] * p->o[TC_W];
}

static inline ptrdiff_t tc_kernel_volume(const struct tc_problem *p)
{
    return p->k[TC_D] * p->k[TC_H] * p->k[TC_W];
}

static inline bool tc_has_stride(const struct tc_problem *p)
{
    return p->s[TC_D] > 1 || p->s[TC_H] > 1 || p->s[TC_W] > 1;
}

/* Channels of one group. */
static inline ptrdiff_t tc_group_ci(const struct tc_problem *problem)
{
    return problem->ci / problem->g;
}

static inline ptrdiff_t tc_group_co(const struct tc_problem *problem)
{
    return problem->co / problem->g;
}

static inline bool tc_is_depthwise(const struct tc_problem *problem)
{
    return problem->g > 1 && problem->ci == problem->g && problem->co == problem->g;
}

#endif
