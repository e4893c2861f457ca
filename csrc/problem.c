/* SPDX-License-Identifier: BSD-3-Clause */
/* Validation, in the order scalars, ranks, channels, sizes. Every message names the argument, the
 * rule and the value, then shows the shapes:
 *
 *   conv_transpose2d: stride must be >= 1 (axis 0), got 0. Got input (1, 4, 5, 5) [NCHW],
 *   weight (4, 2, 3, 3) [in, out/groups, kH, kW], groups=1.
 *
 * The size of a transposed convolution, per axis:
 *
 *   o = (i - 1)*s - 2*p + d*(k - 1) + op + 1
 *
 * where op < max(s, d): output_padding picks one of the sizes that a convolution with the same
 * parameters would shrink to i. */
#include "problem.h"

#include "base/size.h"

#include <string.h>

static const struct tc_operation operations[] = {
    {"conv_transpose1d", "ct1d", "in, out/groups, k", 1, TC_LARGE_FROM_SMALL},
    {"conv_transpose2d", "ct2d", "in, out/groups, kH, kW", 2, TC_LARGE_FROM_SMALL},
    {"conv_transpose3d", "ct3d", "in, out/groups, kD, kH, kW", 3, TC_LARGE_FROM_SMALL},
};

const struct tc_operation *tc_operation_find(const char *name)
{
    for (size_t row = 0; row < sizeof operations / sizeof operations[0]; row++) {
        if (strcmp(operations[row].name, name) == 0) {
            return &operations[row];
        }
    }
    return NULL;
}

/* ---- messages ---- */

static void say_shape(struct tc_status *status, struct tc_shape shape)
{
    tc_say(status, "(");
    for (int axis = 0; axis < shape.ndim; axis++) {
        tc_say(status, axis ? ", %td" : "%td", shape.dims[axis]);
    }
    tc_say(status, shape.ndim == 1 ? ",)" : ")");
}

/* Ends a message with what the caller gave. */
static enum tc_code say_given(const struct tc_request *request, struct tc_status *status)
{
    static const char *const axes[] = {"NCL", "NCHW", "NCDHW"};
    const int rank = request->operation->rank;
    tc_say(status, ". Got ");
    if (request->x.given) {
        const bool labelled = request->x.ndim == rank + 1 || request->x.ndim == rank + 2;
        tc_say(status, "input ");
        say_shape(status, request->x);
        if (labelled) {
            tc_say(status, " [%s]", axes[rank - 1] + (request->x.ndim == rank + 1));
        }
        tc_say(status, ", ");
    }
    tc_say(status, "weight ");
    say_shape(status, request->w);
    if (request->w.ndim == rank + 2) {
        tc_say(status, " [%s]", request->operation->weight_axes);
    }
    if (request->b.given) {
        tc_say(status, ", bias ");
        say_shape(status, request->b);
    }
    tc_say(status, ", groups=%td.", request->groups);
    return status->code;
}

/* Fails with "<operation>: <what>. Got <shapes>." */
TC_PRINTF(3, 4)
static enum tc_code refuse(const struct tc_request *request, struct tc_status *status,
                           const char *format, ...)
{
    va_list args;
    va_start(args, format);
    tc_fail(status, TC_VALUE, "%s: ", request->operation->name);
    tc_vsay(status, format, args);
    va_end(args);
    return say_given(request, status);
}

/* ---- scalars ---- */

/* Spreads a value or one value an axis over the last `rank` of the three axes. */
static enum tc_code set_axes(const struct tc_request *request, const char *name,
                             const struct tc_values *values, ptrdiff_t axes[TC_SPATIAL],
                             struct tc_status *status)
{
    const int rank = request->operation->rank;
    if (values->count != 1 && values->count != rank) {
        return refuse(request, status, "%s must be an int or a sequence of %d ints, got %td", name,
                      rank, values->count);
    }
    for (int axis = 0; axis < rank; axis++) {
        axes[TC_SPATIAL - rank + axis] = values->at[values->count == 1 ? 0 : axis];
    }
    return TC_OK;
}

static enum tc_code check_at_least(const struct tc_request *request, const char *name,
                                   const ptrdiff_t axes[TC_SPATIAL], ptrdiff_t least,
                                   struct tc_status *status)
{
    const int first = TC_SPATIAL - request->operation->rank;
    for (int axis = first; axis < TC_SPATIAL; axis++) {
        if (axes[axis] < least) {
            return refuse(request, status, "%s must be >= %td (axis %d), got %td", name, least,
                          axis - first, axes[axis]);
        }
    }
    return TC_OK;
}

static enum tc_code set_scalars(struct tc_problem *problem, const struct tc_request *request,
                                struct tc_status *status)
{
    const struct {
        const char *name;
        const struct tc_values *values;
        ptrdiff_t *axes;
        ptrdiff_t least;
    } rows[] = {
        {"stride", &request->stride, problem->s, 1},
        {"padding", &request->padding, problem->p, 0},
        {"output_padding", &request->output_padding, problem->op, 0},
        {"dilation", &request->dilation, problem->d, 1},
    };
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        for (int axis = 0; axis < TC_SPATIAL; axis++) {
            rows[row].axes[axis] = rows[row].least;
        }
        if (set_axes(request, rows[row].name, rows[row].values, rows[row].axes, status) ||
            check_at_least(request, rows[row].name, rows[row].axes, rows[row].least, status)) {
            return status->code;
        }
    }
    if (request->groups < 1) {
        return refuse(request, status, "groups must be >= 1, got %td", request->groups);
    }
    problem->g = request->groups;
    return TC_OK;
}

/* ---- ranks and channels ---- */

static enum tc_code check_ranks(const struct tc_request *request, struct tc_status *status)
{
    const int rank = request->operation->rank;
    const struct tc_shape x = request->x, w = request->w;
    if (x.given && x.ndim != rank + 1 && x.ndim != rank + 2) {
        return refuse(request, status,
                      "input must have %d dimensions, or %d without a batch, got %d", rank + 2,
                      rank + 1, x.ndim);
    }
    if (w.ndim != rank + 2) {
        return refuse(request, status, "weight must have %d dimensions (%s), got %d", rank + 2,
                      request->operation->weight_axes, w.ndim);
    }
    for (int axis = 0; axis < w.ndim; axis++) {
        if (w.dims[axis] < 1) {
            return refuse(request, status, "weight must not have an axis of length 0");
        }
    }
    if (request->b.given && request->b.ndim != 1) {
        return refuse(request, status, "bias must have 1 dimension (out channels), got %d",
                      request->b.ndim);
    }
    return TC_OK;
}

static enum tc_code set_channels(struct tc_problem *problem, const struct tc_request *request,
                                 struct tc_status *status)
{
    const int rank = request->operation->rank;
    const ptrdiff_t *const w = request->w.dims;
    const ptrdiff_t groups = request->groups;
    if (w[0] % groups != 0) {
        return refuse(request, status,
                      "input channels must be divisible by groups, got %td and %td", w[0], groups);
    }
    if (!tc_mul(w[1], groups, &problem->co)) {
        return refuse(request, status, "the number of output channels overflows");
    }
    problem->ci = w[0];
    if (request->x.given) {
        const ptrdiff_t ci = request->x.dims[request->x.ndim - rank - 1];
        if (ci != w[0]) {
            const bool swapped = w[1] * groups == ci;
            return refuse(
                request, status, "input has %td channels, but weight expects %td%s", ci, w[0],
                swapped ? " (a weight of conv has its first two axes the other way round)" : "");
        }
    }
    if (request->b.given && request->b.dims[0] != problem->co) {
        return refuse(request, status,
                      "bias must have %td elements, one an output channel, got %td", problem->co,
                      request->b.dims[0]);
    }
    problem->bias = request->b.given;
    for (int axis = 0; axis < TC_SPATIAL; axis++) {
        const int given = axis - (TC_SPATIAL - rank);
        problem->k[axis] = given < 0 ? 1 : w[2 + given];
    }
    return TC_OK;
}

/* ---- sizes ---- */

/* The length that output_padding 0 gives, which may be below 1; false if it overflows. */
static bool base_length(const struct tc_problem *problem, int axis, ptrdiff_t *length)
{
    ptrdiff_t reach, span, crop;
    return tc_mul(problem->i[axis] - 1, problem->s[axis], &reach) &&
           tc_mul(problem->k[axis] - 1, problem->d[axis], &span) &&
           tc_mul(problem->p[axis], 2, &crop) && tc_add(reach, span, &reach) &&
           tc_add(reach, 1, &reach) && tc_add(reach, -crop, length);
}

static enum tc_code set_output_padding(struct tc_problem *problem, const struct tc_request *request,
                                       struct tc_status *status)
{
    const int rank = request->operation->rank, first = TC_SPATIAL - rank;
    const struct tc_values *const size = &request->output_size;
    if (size->count != 1 && size->count != rank && size->count != request->x.ndim) {
        return refuse(request, status,
                      "output_size must be an int or a sequence of %d ints, got %td", rank,
                      size->count);
    }
    for (int axis = first; axis < TC_SPATIAL; axis++) {
        const ptrdiff_t at = size->count == 1 ? 0 : size->count - TC_SPATIAL + axis;
        const ptrdiff_t wanted = size->at[at];
        const ptrdiff_t choices = tc_max(problem->s[axis], problem->d[axis]);
        ptrdiff_t least, most;
        if (problem->op[axis] != 0) {
            return refuse(request, status, "give output_size or output_padding, not both");
        }
        if (!base_length(problem, axis, &least) || !tc_add(least, choices - 1, &most)) {
            return refuse(request, status, "output length overflows (axis %d)", axis - first);
        }
        if (wanted < least || wanted > most) {
            return refuse(request, status, "output_size must be from %td to %td (axis %d), got %td",
                          tc_max(least, 1), most, axis - first, wanted);
        }
        problem->op[axis] = wanted - least;
    }
    return TC_OK;
}

static enum tc_code set_output(struct tc_problem *problem, const struct tc_request *request,
                               struct tc_status *status)
{
    const int first = TC_SPATIAL - request->operation->rank;
    ptrdiff_t bytes = tc_dtype_bytes(problem->dtype);
    bool fits = tc_mul(bytes, tc_max(problem->n, 1), &bytes) && tc_mul(bytes, problem->co, &bytes);
    for (int axis = 0; axis < TC_SPATIAL; axis++) {
        const ptrdiff_t i = problem->i[axis], k = problem->k[axis], s = problem->s[axis];
        const ptrdiff_t p = problem->p[axis], d = problem->d[axis], op = problem->op[axis];
        ptrdiff_t *const o = &problem->o[axis];
        if (op >= tc_max(s, d)) {
            return refuse(request, status,
                          "output_padding must be smaller than stride or dilation (axis %d), got "
                          "%td with stride %td and dilation %td",
                          axis - first, op, s, d);
        }
        if (!base_length(problem, axis, o) || !tc_add(*o, op, o)) {
            return refuse(request, status, "output length overflows (axis %d)", axis - first);
        }
        if (*o < 1) {
            return refuse(
                request, status,
                "output length would be %td (axis %d): (%td - 1)*%td - 2*%td + %td*(%td - "
                "1) + %td + 1, from input length %td",
                *o, axis - first, i, s, p, d, k, op, i);
        }
        fits = fits && tc_mul(bytes, *o, &bytes);
    }
    if (!fits) {
        return refuse(request, status, "the output is too big: array is too big to be addressed");
    }
    return TC_OK;
}

static enum tc_code set_input(struct tc_problem *problem, const struct tc_request *request,
                              struct tc_status *status)
{
    const int rank = request->operation->rank, first = TC_SPATIAL - rank;
    const ptrdiff_t *const dims = request->x.dims + (request->x.ndim - rank);
    problem->batched = request->x.ndim == rank + 2;
    problem->n = problem->batched ? request->x.dims[0] : 1;
    for (int axis = 0; axis < TC_SPATIAL; axis++) {
        problem->i[axis] = axis < first ? 1 : dims[axis - first];
        if (problem->i[axis] < 1) {
            return refuse(request, status, "input must not have a spatial axis of length 0");
        }
    }
    if (request->has_output_size && set_output_padding(problem, request, status)) {
        return status->code;
    }
    return set_output(problem, request, status);
}

static enum tc_code set_weight(struct tc_problem *problem, const struct tc_request *request,
                               struct tc_status *status)
{
    memset(problem, 0, sizeof *problem);
    problem->operation = request->operation;
    problem->dtype = request->dtype;
    return set_scalars(problem, request, status) || check_ranks(request, status)
               ? status->code
               : set_channels(problem, request, status);
}

enum tc_code tc_problem_init(struct tc_problem *problem, const struct tc_request *request,
                             struct tc_status *status)
{
    return set_weight(problem, request, status) ? status->code
                                                : set_input(problem, request, status);
}

enum tc_code tc_problem_init_weight(struct tc_problem *problem, const struct tc_request *request,
                                    struct tc_status *status)
{
    if (set_weight(problem, request, status)) {
        return status->code;
    }
    problem->n = 1;
    problem->batched = true;
    for (int axis = 0; axis < TC_SPATIAL; axis++) {
        const ptrdiff_t s = problem->s[axis], p = problem->p[axis];
        if (p > PTRDIFF_MAX / 4) {
            return refuse(request, status, "padding is too big, got %td", p);
        }
        problem->i[axis] = 1 + tc_ceil_div(2 * p, s);
    }
    return set_output(problem, request, status);
}

/* ---- what a problem says of itself ---- */

int tc_problem_shape(const struct tc_problem *problem, ptrdiff_t dims[])
{
    int ndim = 0;
    if (problem->batched) {
        dims[ndim++] = problem->n;
    }
    dims[ndim++] = problem->co;
    for (int axis = TC_SPATIAL - problem->operation->rank; axis < TC_SPATIAL; axis++) {
        dims[ndim++] = problem->o[axis];
    }
    return ndim;
}

struct tc_image tc_problem_image(const struct tc_problem *problem, void *data,
                                 const ptrdiff_t strides[])
{
    const int rank = problem->operation->rank;
    const ptrdiff_t *const channels = problem->batched ? strides + 1 : strides;
    struct tc_image image = {.data = data, .c = channels[0]};
    image.n = problem->batched ? strides[0] : 0;
    for (int axis = 0; axis < rank; axis++) {
        image.axis[TC_SPATIAL - rank + axis] = channels[1 + axis];
    }
    return image;
}

struct tc_weight tc_problem_weight(const struct tc_problem *problem, const void *data,
                                   const ptrdiff_t strides[])
{
    const int rank = problem->operation->rank;
    struct tc_weight weight = {.data = data, .ci = strides[0], .co = strides[1]};
    weight.g = weight.ci * tc_group_ci(problem);
    for (int axis = 0; axis < rank; axis++) {
        weight.axis[TC_SPATIAL - rank + axis] = strides[2 + axis];
    }
    return weight;
}

/* "_k3" where all axes agree, "_k3x5" where they do not; nothing where all are `silent`. */
static void say_axes(const struct tc_problem *problem, const char *name, ptrdiff_t silent,
                     const ptrdiff_t axes[TC_SPATIAL], struct tc_status *text)
{
    const int first = TC_SPATIAL - problem->operation->rank;
    bool equal = true;
    for (int axis = first; axis < TC_SPATIAL; axis++) {
        equal = equal && axes[axis] == axes[first];
    }
    if (equal && axes[first] == silent) {
        return;
    }
    tc_say(text, "_%s%td", name, axes[first]);
    for (int axis = first + 1; axis < TC_SPATIAL && !equal; axis++) {
        tc_say(text, "x%td", axes[axis]);
    }
}

void tc_problem_string(const struct tc_problem *problem, bool input, struct tc_status *text)
{
    static const char *const lengths[] = {"_id%td", "_ih%td", "_iw%td"};
    enum { ALWAYS = -1 };
    text->text[0] = '\0';
    tc_say(text, "%s", problem->operation->code);
    if (input) {
        tc_say(text, "_n%td", problem->n);
    }
    tc_say(text, "_ci%td", problem->ci);
    for (int axis = TC_SPATIAL - problem->operation->rank; input && axis < TC_SPATIAL; axis++) {
        tc_say(text, lengths[axis], problem->i[axis]);
    }
    tc_say(text, "_co%td", problem->co);
    say_axes(problem, "k", ALWAYS, problem->k, text);
    say_axes(problem, "s", ALWAYS, problem->s, text);
    say_axes(problem, "p", ALWAYS, problem->p, text);
    say_axes(problem, "op", 0, problem->op, text);
    say_axes(problem, "d", 1, problem->d, text);
    if (problem->g > 1) {
        tc_say(text, "_g%td", problem->g);
    }
    tc_say(text, problem->dtype == TC_F32 ? "_f32" : "_f64");
}
