/* SPDX-License-Identifier: BSD-3-Clause */
/* Validation, in the order scalars, ranks, channels, sizes. Every message names the argument, the
 * rule and the value, then shows the shapes:
 *
 *   conv_transpose2d: stride must be >= 1 (axis 0), got 0. Got input (1, 4, 5, 5) [NCHW],
 *   weight (4, 2, 3, 3) [in, out/groups, kH, kW], groups=1.
 *
 * The size of a convolution and of a transposed convolution, per axis:
 *
 *   o = floor((i + p + pe - d*(k - 1) - 1)/s) + 1
 *   o = (i - 1)*s - p - pe + d*(k - 1) + op + 1
 *
 * where op < max(s, d): output_padding picks one of the sizes that a convolution with the same
 * parameters would shrink to i.
 *
 * A gradient is checked as its forward operation, with the gradient of the output in the place of
 * the output; only then the arrays get their roles in the contraction. */
#include "problem.h"

#include "base/size.h"

#include <string.h>

static const struct tc_operation operations[] = {
    {"conv1d", "c1d", 1, false, TC_OUTPUT, TC_SMALL_FROM_LARGE},
    {"conv1d_input", "c1dgx", 1, false, TC_INPUT, TC_LARGE_FROM_SMALL},
    {"conv1d_weight", "c1dgw", 1, false, TC_WEIGHT, TC_WEIGHT_FROM_BOTH},
    {"conv2d", "c2d", 2, false, TC_OUTPUT, TC_SMALL_FROM_LARGE},
    {"conv2d_input", "c2dgx", 2, false, TC_INPUT, TC_LARGE_FROM_SMALL},
    {"conv2d_weight", "c2dgw", 2, false, TC_WEIGHT, TC_WEIGHT_FROM_BOTH},
    {"conv3d", "c3d", 3, false, TC_OUTPUT, TC_SMALL_FROM_LARGE},
    {"conv3d_input", "c3dgx", 3, false, TC_INPUT, TC_LARGE_FROM_SMALL},
    {"conv3d_weight", "c3dgw", 3, false, TC_WEIGHT, TC_WEIGHT_FROM_BOTH},
    {"conv_transpose1d", "ct1d", 1, true, TC_OUTPUT, TC_LARGE_FROM_SMALL},
    {"conv_transpose1d_input", "ct1dgx", 1, true, TC_INPUT, TC_SMALL_FROM_LARGE},
    {"conv_transpose1d_weight", "ct1dgw", 1, true, TC_WEIGHT, TC_WEIGHT_FROM_BOTH},
    {"conv_transpose2d", "ct2d", 2, true, TC_OUTPUT, TC_LARGE_FROM_SMALL},
    {"conv_transpose2d_input", "ct2dgx", 2, true, TC_INPUT, TC_SMALL_FROM_LARGE},
    {"conv_transpose2d_weight", "ct2dgw", 2, true, TC_WEIGHT, TC_WEIGHT_FROM_BOTH},
    {"conv_transpose3d", "ct3d", 3, true, TC_OUTPUT, TC_LARGE_FROM_SMALL},
    {"conv_transpose3d_input", "ct3dgx", 3, true, TC_INPUT, TC_SMALL_FROM_LARGE},
    {"conv_transpose3d_weight", "ct3dgw", 3, true, TC_WEIGHT, TC_WEIGHT_FROM_BOTH},
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

const char *const tc_padding_modes[] = {"zeros", "reflect", "replicate", "circular", NULL};

/* ---- messages ---- */

static void say_shape(struct tc_status *status, struct tc_shape shape)
{
    tc_say(status, "(");
    for (int axis = 0; axis < shape.ndim; axis++) {
        tc_say(status, axis ? ", %td" : "%td", shape.dims[axis]);
    }
    tc_say(status, shape.ndim == 1 ? ",)" : ")");
}

/* The caller's names of the arguments that have the shapes. */
static const char *input_name(const struct tc_request *request)
{
    return request->operation->computes == TC_INPUT ? "input_size" : "input";
}

static const char *weight_name(const struct tc_request *request)
{
    return request->operation->computes == TC_WEIGHT ? "weight_size" : "weight";
}

static const char *weight_axes(const struct tc_request *request)
{
    static const char *const axes[][TC_SPATIAL] = {
        {"out, in/groups, k", "out, in/groups, kH, kW", "out, in/groups, kD, kH, kW"},
        {"in, out/groups, k", "in, out/groups, kH, kW", "in, out/groups, kD, kH, kW"},
    };
    return axes[request->operation->transposed][request->operation->rank - 1];
}

/* Whether a shape has as many axes as an image, and as many as the layout says, if there is one. */
static bool is_image(const struct tc_request *request, struct tc_shape shape)
{
    const int batch = shape.ndim - request->operation->rank - 1;
    return batch == 0 || batch == 1 ? !request->layout.given || request->layout.batched == batch
                                    : false;
}

/* Moves the axis of the channels from behind the spatial ones to before them, or back. */
static void move_channels(int rank, struct tc_shape *shape, ptrdiff_t dims[TC_MAX_VALUES],
                          bool back)
{
    const int first = shape->ndim - rank - 1, last = shape->ndim - 1;
    const size_t spatial = (size_t)rank * sizeof dims[0];
    memcpy(dims, shape->dims, (size_t)first * sizeof dims[0]);
    memcpy(dims + first + !back, shape->dims + first + back, spatial);
    dims[back ? last : first] = shape->dims[back ? first : last];
    shape->dims = dims;
}

static void say_image(const struct tc_request *request, const char *name, struct tc_shape shape,
                      bool last, struct tc_status *status)
{
    const int rank = request->operation->rank;
    ptrdiff_t dims[TC_MAX_VALUES];
    if (!shape.given) {
        return;
    }
    tc_say(status, "%s ", name);
    if (last && is_image(request, shape)) {
        move_channels(rank, &shape, dims, true);
    }
    say_shape(status, shape);
    if (is_image(request, shape)) {
        tc_say(status, " [%s]", tc_layout_letters(rank, shape.ndim == rank + 2, last));
    }
    tc_say(status, ", ");
}

/* Ends a message with what the caller gave. */
static enum tc_code say_given(const struct tc_request *request, struct tc_status *status)
{
    tc_say(status, ". Got ");
    say_image(request, input_name(request), request->x, request->layout.input_last, status);
    tc_say(status, "%s ", weight_name(request));
    say_shape(status, request->w);
    if (request->w.ndim == request->operation->rank + 2) {
        tc_say(status, " [%s]", weight_axes(request));
    }
    tc_say(status, ", ");
    if (request->b.given) {
        tc_say(status, "bias ");
        say_shape(status, request->b);
        tc_say(status, ", ");
    }
    say_image(request, "grad_output", request->y, request->layout.output_last, status);
    tc_say(status, "groups=%td.", request->groups);
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
    const ptrdiff_t least_padding = request->padding_sides ? -PTRDIFF_MAX / 4 : 0;
    const struct {
        const char *name;
        const struct tc_values *values;
        ptrdiff_t *axes;
        ptrdiff_t least;
    } rows[] = {
        {"stride", &request->stride, problem->s, 1},
        {"padding", &request->padding, problem->p, least_padding},
        {"padding", &request->padding_end, problem->pe, least_padding},
        {"output_padding", &request->output_padding, problem->op, 0},
        {"dilation", &request->dilation, problem->d, 1},
    };
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        for (int axis = 0; axis < TC_SPATIAL; axis++) {
            rows[row].axes[axis] = tc_max(rows[row].least, 0);
        }
        if (set_axes(request, rows[row].name, rows[row].values, rows[row].axes, status) ||
            check_at_least(request, rows[row].name, rows[row].axes, rows[row].least, status)) {
            return status->code;
        }
    }
    problem->mode = request->padding_mode;
    if (request->operation->transposed && problem->mode != TC_PAD_ZEROS &&
        problem->mode != TC_PAD_CIRCULAR) {
        return refuse(request, status,
                      "padding_mode of a transposed convolution must be 'zeros' or 'circular', got "
                      "'%s'",
                      tc_padding_modes[problem->mode]);
    }
    for (int axis = 0; axis < TC_SPATIAL; axis++) {
        if (!request->operation->transposed &&
            (problem->op[axis] != 0 || request->has_output_size)) {
            return refuse(request, status, "a convolution's output has one size: there is no %s",
                          request->has_output_size ? "output_size" : "output_padding");
        }
    }
    if (request->groups < 1) {
        return refuse(request, status, "groups must be >= 1, got %td", request->groups);
    }
    problem->g = request->groups;
    return TC_OK;
}

/* ---- ranks and channels ---- */

static enum tc_code check_image_rank(const struct tc_request *request, const char *name,
                                     struct tc_shape shape, bool last, struct tc_status *status)
{
    const int rank = request->operation->rank;
    const struct tc_layout *const layout = &request->layout;
    if (!shape.given || is_image(request, shape)) {
        return TC_OK;
    }
    if (layout->given) {
        return refuse(request, status, "%s must have the %d dimensions of layout '%s', got %d",
                      name, rank + 1 + layout->batched,
                      tc_layout_letters(rank, layout->batched, last), shape.ndim);
    }
    return refuse(request, status, "%s must have %d dimensions, or %d without a batch, got %d",
                  name, rank + 2, rank + 1, shape.ndim);
}

static enum tc_code check_ranks(const struct tc_request *request, struct tc_status *status)
{
    const int rank = request->operation->rank;
    const struct tc_shape w = request->w;
    if (check_image_rank(request, input_name(request), request->x, request->layout.input_last,
                         status) ||
        check_image_rank(request, "grad_output", request->y, request->layout.output_last, status)) {
        return status->code;
    }
    if (w.ndim != rank + 2) {
        return refuse(request, status, "%s must have %d dimensions (%s), got %d",
                      weight_name(request), rank + 2, weight_axes(request), w.ndim);
    }
    for (int axis = 0; axis < w.ndim; axis++) {
        if (w.dims[axis] < 1) {
            return refuse(request, status, "%s must not have an axis of length 0",
                          weight_name(request));
        }
    }
    if (request->b.given && request->b.ndim != 1) {
        return refuse(request, status, "bias must have 1 dimension (out channels), got %d",
                      request->b.ndim);
    }
    return TC_OK;
}

/* The weight's first axis counts the small side's channels, all groups', the second the large
 * side's in one group. */
static enum tc_code set_channels(struct tc_problem *problem, const struct tc_request *request,
                                 struct tc_status *status)
{
    const ptrdiff_t *const w = request->w.dims;
    const bool transposed = request->operation->transposed;
    ptrdiff_t large;
    if (w[0] % request->groups != 0) {
        return refuse(request, status, "%s channels must be divisible by groups, got %td and %td",
                      transposed ? "input" : "output", w[0], request->groups);
    }
    if (!tc_mul(w[1], request->groups, &large)) {
        return refuse(request, status, "the number of %s channels overflows",
                      transposed ? "output" : "input");
    }
    problem->ci = transposed ? w[0] : large;
    problem->co = transposed ? large : w[0];
    for (int axis = 0; axis < TC_SPATIAL; axis++) {
        const int given = axis - (TC_SPATIAL - request->operation->rank);
        problem->k[axis] = given < 0 ? 1 : w[2 + given];
    }
    return TC_OK;
}

/* What may be behind an input of other channels than the weight's. */
static const char *guess(const struct tc_problem *problem, const struct tc_request *request)
{
    const struct tc_shape x = request->x;
    if (x.dims[x.ndim - request->operation->rank - 1] == problem->co) {
        return request->operation->transposed
                   ? " (a weight of conv has its first two axes the other way round)"
                   : " (a weight of conv_transpose has its first two axes the other way round)";
    }
    if (!request->layout.given && x.dims[x.ndim - 1] == problem->ci) {
        return " (as many as its last axis has: if channels come last, pass their layout, such as "
               "layout='NHWC')";
    }
    return "";
}

static enum tc_code check_channels(struct tc_problem *problem, const struct tc_request *request,
                                   struct tc_status *status)
{
    const int rank = request->operation->rank;
    if (request->x.given) {
        const ptrdiff_t ci = request->x.dims[request->x.ndim - rank - 1];
        if (ci != problem->ci) {
            return refuse(request, status, "%s has %td channels, but %s expects %td%s",
                          input_name(request), ci, weight_name(request), problem->ci,
                          guess(problem, request));
        }
    }
    if (request->y.given) {
        const ptrdiff_t co = request->y.dims[request->y.ndim - rank - 1];
        if (co != problem->co) {
            return refuse(request, status, "grad_output has %td channels, but %s expects %td", co,
                          weight_name(request), problem->co);
        }
    }
    if (request->b.given && request->b.dims[0] != problem->co) {
        return refuse(request, status,
                      "bias must have %td elements, one an output channel, got %td", problem->co,
                      request->b.dims[0]);
    }
    problem->bias = request->b.given;
    return TC_OK;
}

/* ---- sizes ---- */

/* The first axis that the caller has; messages count from it. */
static int first_axis(const struct tc_request *request)
{
    return TC_SPATIAL - request->operation->rank;
}

/* What a kernel covers, d*(k - 1) + 1; false if it overflows. */
static bool kernel_span(const struct tc_problem *problem, int axis, ptrdiff_t *span)
{
    return tc_mul(problem->k[axis] - 1, problem->d[axis], span) && tc_add(*span, 1, span);
}

/* The length that output_padding 0 gives, which may be below 1; false if it overflows. */
static bool base_length(const struct tc_problem *problem, int axis, ptrdiff_t *length)
{
    ptrdiff_t reach, span, crop;
    return tc_mul(problem->i[axis] - 1, problem->s[axis], &reach) &&
           kernel_span(problem, axis, &span) &&
           tc_add(problem->p[axis], problem->pe[axis], &crop) && tc_add(reach, span, &reach) &&
           tc_add(reach, -crop, length);
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
        const bool whole = size->count == request->x.ndim && request->layout.output_last;
        const ptrdiff_t at = size->count == 1 ? 0 : size->count - TC_SPATIAL + axis - whole;
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

/* The output length of a transposed convolution. */
static enum tc_code set_large(struct tc_problem *problem, const struct tc_request *request,
                              int axis, struct tc_status *status)
{
    const ptrdiff_t i = problem->i[axis], k = problem->k[axis], s = problem->s[axis];
    const ptrdiff_t p = problem->p[axis], pe = problem->pe[axis];
    const ptrdiff_t d = problem->d[axis], op = problem->op[axis];
    const int number = axis - first_axis(request);
    ptrdiff_t *const o = &problem->o[axis];
    if (op >= tc_max(s, d)) {
        return refuse(request, status,
                      "output_padding must be smaller than stride or dilation (axis %d), got "
                      "%td with stride %td and dilation %td",
                      number, op, s, d);
    }
    if (!base_length(problem, axis, o) || !tc_add(*o, op, o)) {
        return refuse(request, status, "output length overflows (axis %d)", number);
    }
    if (*o < 1) {
        return refuse(request, status,
                      "output length would be %td (axis %d): (%td - 1)*%td - %td - %td + %td*(%td "
                      "- 1) + %td + 1, from input length %td",
                      *o, number, i, s, p, pe, d, k, op, i);
    }
    return TC_OK;
}

/* Splits what is padded, or cropped, between the two ends. */
static void split_padding(struct tc_problem *problem, const struct tc_request *request, int axis,
                          ptrdiff_t total)
{
    const ptrdiff_t less = total / 2, more = total - less;
    const bool lower = request->padding_rule == TC_PAD_SAME_LOWER;
    problem->p[axis] = lower ? more : less;
    problem->pe[axis] = lower ? less : more;
}

/* The padding of a convolution that is to give ceil(i/s) outputs; false if it overflows. */
static bool set_same_small(struct tc_problem *problem, const struct tc_request *request, int axis,
                           ptrdiff_t span)
{
    const ptrdiff_t i = problem->i[axis], s = problem->s[axis];
    ptrdiff_t padded;
    if (request->padding_rule == TC_PAD_GIVEN) {
        return true;
    }
    if (!tc_mul(tc_ceil_div(i, s) - 1, s, &padded) || !tc_add(padded, span, &padded)) {
        return false;
    }
    split_padding(problem, request, axis, tc_max(padded - i, 0));
    return true;
}

/* What a transposed convolution crops of its kernel's reach beyond the stride, so that i*s outputs
 * are left, or adds where it reaches less. */
static enum tc_code set_same_large(struct tc_problem *problem, const struct tc_request *request,
                                   struct tc_status *status)
{
    for (int axis = 0; axis < TC_SPATIAL; axis++) {
        ptrdiff_t span;
        if (problem->op[axis] != 0 || request->has_output_size) {
            return refuse(request, status, "padding 'same' gives one size: there is no %s",
                          request->has_output_size ? "output_size" : "output_padding");
        }
        if (!kernel_span(problem, axis, &span)) {
            return refuse(request, status, "output length overflows (axis %d)",
                          axis - first_axis(request));
        }
        const ptrdiff_t beyond = span - problem->s[axis];
        split_padding(problem, request, axis, tc_max(beyond, 0));
        problem->op[axis] = tc_max(-beyond, 0);
    }
    return TC_OK;
}

/* The output length of a convolution. */
static enum tc_code set_small(struct tc_problem *problem, const struct tc_request *request,
                              int axis, struct tc_status *status)
{
    const ptrdiff_t i = problem->i[axis];
    const int number = axis - first_axis(request);
    ptrdiff_t span, padded;
    if (!kernel_span(problem, axis, &span) || !set_same_small(problem, request, axis, span) ||
        !tc_add(problem->p[axis], problem->pe[axis], &padded) || !tc_add(padded, i, &padded)) {
        return refuse(request, status, "output length overflows (axis %d)", number);
    }
    if (padded < span) {
        return refuse(request, status,
                      "the kernel does not fit in the padded input (axis %d): it covers %td*(%td - "
                      "1) + 1 = %td of %td + %td + %td",
                      number, problem->d[axis], problem->k[axis], span, i, problem->p[axis],
                      problem->pe[axis]);
    }
    problem->o[axis] = (padded - span) / problem->s[axis] + 1;
    return TC_OK;
}

/* Whether what stands in the padding is found in one image, not further away. */
static enum tc_code check_mode(const struct tc_problem *problem, const struct tc_request *request,
                               struct tc_status *status)
{
    const ptrdiff_t *const lengths = request->operation->transposed ? problem->o : problem->i;
    const bool mirrors = problem->mode == TC_PAD_REFLECT;
    for (int axis = first_axis(request); axis < TC_SPATIAL; axis++) {
        const ptrdiff_t most = lengths[axis] - mirrors;
        const ptrdiff_t padding = tc_max(problem->p[axis], problem->pe[axis]);
        if ((mirrors || problem->mode == TC_PAD_CIRCULAR) && padding > most) {
            return refuse(request, status,
                          "padding must be at most %td with padding_mode '%s' (axis %d), got %td",
                          most, tc_padding_modes[problem->mode], axis - first_axis(request),
                          padding);
        }
    }
    return TC_OK;
}

static enum tc_code set_output(struct tc_problem *problem, const struct tc_request *request,
                               struct tc_status *status)
{
    for (int axis = 0; axis < TC_SPATIAL; axis++) {
        const enum tc_code code = request->operation->transposed
                                      ? set_large(problem, request, axis, status)
                                      : set_small(problem, request, axis, status);
        if (code) {
            return code;
        }
    }
    return TC_OK;
}

/* The input length that leads to an output of grad_output's length. */
static enum tc_code infer_input(struct tc_problem *problem, const struct tc_request *request,
                                int axis, ptrdiff_t output, struct tc_status *status)
{
    ptrdiff_t base;
    problem->i[axis] = 1;
    if (!base_length(problem, axis, &base) || !tc_add(base, problem->op[axis], &base)) {
        return refuse(request, status, "output length overflows (axis %d)",
                      axis - first_axis(request));
    }
    if (output < base || (output - base) % problem->s[axis] != 0) {
        return refuse(
            request, status,
            "grad_output length %td (axis %d) is none of %td + %td*m, m = 0, 1, 2 ..., "
            "which input lengths m + 1 lead to; is output_padding as in the forward call?",
            output, axis - first_axis(request), base, problem->s[axis]);
    }
    problem->i[axis] += (output - base) / problem->s[axis];
    return TC_OK;
}

static enum tc_code set_input(struct tc_problem *problem, const struct tc_request *request,
                              struct tc_status *status)
{
    const int rank = request->operation->rank, first = first_axis(request);
    const struct tc_shape *const image = request->x.given ? &request->x : &request->y;
    const ptrdiff_t *const dims = image->dims + (image->ndim - rank);
    problem->batched = image->ndim == rank + 2;
    problem->n = problem->batched ? image->dims[0] : 1;
    for (int axis = 0; axis < TC_SPATIAL; axis++) {
        const ptrdiff_t length = axis < first ? 1 : dims[axis - first];
        if (length < 1) {
            return refuse(request, status, "%s must not have a spatial axis of length 0",
                          request->x.given ? input_name(request) : "grad_output");
        }
        problem->i[axis] = length;
        if (!request->x.given && infer_input(problem, request, axis, length, status)) {
            return status->code;
        }
    }
    return TC_OK;
}

/* Whether grad_output has the forward operation's output shape. */
static enum tc_code check_grad_output(const struct tc_problem *forward,
                                      const struct tc_request *request, struct tc_status *status)
{
    ptrdiff_t dims[TC_MAX_VALUES];
    int ndim = 0;
    if (forward->batched) {
        dims[ndim++] = forward->n;
    }
    dims[ndim++] = forward->co;
    for (int axis = first_axis(request); axis < TC_SPATIAL; axis++) {
        dims[ndim++] = forward->o[axis];
    }
    if (request->y.ndim == ndim &&
        memcmp(request->y.dims, dims, (size_t)ndim * sizeof dims[0]) == 0) {
        return TC_OK;
    }
    struct tc_shape wanted = {true, ndim, dims};
    ptrdiff_t moved[TC_MAX_VALUES];
    if (forward->y_last) {
        move_channels(request->operation->rank, &wanted, moved, true);
    }
    tc_fail(status, TC_VALUE, "%s: grad_output must have the shape of the output, ",
            request->operation->name);
    say_shape(status, wanted);
    return say_given(request, status);
}

/* From the forward operation's arrays to those of the contraction. */
static bool is_reversed(const struct tc_operation *operation)
{
    return operation->computes == TC_INPUT ||
           (operation->computes == TC_WEIGHT && !operation->transposed);
}

static struct tc_problem reverse(const struct tc_problem *problem)
{
    struct tc_problem reversed = *problem;
    reversed.ci = problem->co;
    reversed.co = problem->ci;
    reversed.x_last = problem->y_last;
    reversed.y_last = problem->x_last;
    memcpy(reversed.i, problem->o, sizeof reversed.i);
    memcpy(reversed.o, problem->i, sizeof reversed.o);
    return reversed;
}

static enum tc_code check_result_size(const struct tc_problem *problem,
                                      const struct tc_request *request, struct tc_status *status)
{
    ptrdiff_t dims[TC_MAX_VALUES], bytes = tc_dtype_bytes(problem->dtype);
    const int ndim = tc_problem_shape(problem, dims);
    bool fits = true;
    for (int axis = 0; axis < ndim; axis++) {
        fits = fits && tc_mul(bytes, tc_max(dims[axis], 1), &bytes);
    }
    if (!fits) {
        return refuse(request, status, "the output is too big: array is too big to be addressed");
    }
    return TC_OK;
}

/* Everything that follows from the input's lengths. */
static enum tc_code finish(struct tc_problem *problem, const struct tc_request *request,
                           struct tc_status *status)
{
    if (set_output(problem, request, status) ||
        (request->y.given && check_grad_output(problem, request, status))) {
        return status->code;
    }
    if (is_reversed(request->operation)) {
        *problem = reverse(problem);
    }
    return check_result_size(problem, request, status);
}

static enum tc_code set_weight(struct tc_problem *problem, const struct tc_request *request,
                               struct tc_status *status)
{
    memset(problem, 0, sizeof *problem);
    problem->operation = request->operation;
    problem->dtype = request->dtype;
    problem->x_last = request->layout.input_last;
    problem->y_last = request->layout.output_last;
    if (set_scalars(problem, request, status) || check_ranks(request, status) ||
        set_channels(problem, request, status) || check_channels(problem, request, status)) {
        return status->code;
    }
    return request->padding_rule != TC_PAD_GIVEN && request->operation->transposed
               ? set_same_large(problem, request, status)
               : TC_OK;
}

/* A request whose images have their channels first, as all that is above takes them. */
struct ordered {
    struct tc_request request;
    ptrdiff_t x[TC_MAX_VALUES], y[TC_MAX_VALUES];
};

static void put_in_order(struct ordered *ordered, const struct tc_request *given)
{
    struct tc_request *const request = &ordered->request;
    const int rank = given->operation->rank;
    *request = *given;
    if (given->layout.input_last && given->x.given && is_image(given, given->x)) {
        move_channels(rank, &request->x, ordered->x, false);
    }
    if (given->layout.output_last && given->y.given && is_image(given, given->y)) {
        move_channels(rank, &request->y, ordered->y, false);
    }
}

enum tc_code tc_problem_init(struct tc_problem *problem, const struct tc_request *given,
                             struct tc_status *status)
{
    struct ordered ordered;
    put_in_order(&ordered, given);
    const struct tc_request *const request = &ordered.request;
    if (set_weight(problem, request, status) || set_input(problem, request, status) ||
        (request->has_output_size && set_output_padding(problem, request, status))) {
        return status->code;
    }
    if (finish(problem, request, status)) {
        return status->code;
    }
    const struct tc_problem forward = tc_problem_forward(problem);
    return check_mode(&forward, request, status);
}

enum tc_code tc_problem_init_weight(struct tc_problem *problem, const struct tc_request *request,
                                    struct tc_status *status)
{
    if (set_weight(problem, request, status)) {
        return status->code;
    }
    problem->n = 1;
    problem->batched = !request->layout.given || request->layout.batched;
    for (int axis = 0; axis < TC_SPATIAL; axis++) {
        const ptrdiff_t s = problem->s[axis], p = tc_max(problem->p[axis], problem->pe[axis]);
        ptrdiff_t span;
        if (p > PTRDIFF_MAX / 4) {
            return refuse(request, status, "padding is too big, got %td", p);
        }
        const ptrdiff_t padded = problem->p[axis] + problem->pe[axis];
        if (request->operation->transposed) {
            problem->i[axis] = 1 + tc_max(tc_ceil_div(padded, s), 0);
        } else {
            const bool fits = kernel_span(problem, axis, &span) && tc_add(span, -padded, &span);
            problem->i[axis] = fits ? tc_max(span, 1) : 1;
        }
    }
    return finish(problem, request, status);
}

/* ---- what a problem says of itself ---- */

struct tc_problem tc_problem_forward(const struct tc_problem *problem)
{
    return is_reversed(problem->operation) ? reverse(problem) : *problem;
}

int tc_problem_shape(const struct tc_problem *problem, ptrdiff_t dims[])
{
    const bool weight = problem->operation->computes == TC_WEIGHT;
    const bool last = !weight && problem->y_last;
    int ndim = 0;
    if (weight || problem->batched) {
        dims[ndim++] = weight ? problem->ci : problem->n;
    }
    if (!last) {
        dims[ndim++] = weight ? tc_group_co(problem) : problem->co;
    }
    for (int axis = TC_SPATIAL - problem->operation->rank; axis < TC_SPATIAL; axis++) {
        dims[ndim++] = weight ? problem->k[axis] : problem->o[axis];
    }
    if (last) {
        dims[ndim++] = problem->co;
    }
    return ndim;
}

struct tc_image tc_problem_image(const struct tc_problem *problem, void *data,
                                 const ptrdiff_t strides[], bool last)
{
    const int rank = problem->operation->rank;
    const ptrdiff_t *const of_sample = problem->batched ? strides + 1 : strides;
    struct tc_image image = {.data = data, .c = of_sample[last ? rank : 0]};
    image.n = problem->batched ? strides[0] : 0;
    for (int axis = 0; axis < rank; axis++) {
        image.axis[TC_SPATIAL - rank + axis] = of_sample[!last + axis];
    }
    return image;
}

struct tc_weight tc_problem_weight(const struct tc_problem *problem, void *data,
                                   const ptrdiff_t strides[])
{
    const int rank = problem->operation->rank;
    const bool small = problem->operation->contraction == TC_SMALL_FROM_LARGE;
    struct tc_weight weight = {.data = data, .ci = strides[small], .co = strides[!small]};
    weight.g = strides[0] * (small ? tc_group_co(problem) : tc_group_ci(problem));
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

/* "_nhwc", or "_nhwc_nchw" where input and output differ; nothing where channels come first. */
static void say_layout(const struct tc_problem *problem, struct tc_status *text)
{
    static const char *const words[][2] = {
        {"_ncl", "_nlc"}, {"_nchw", "_nhwc"}, {"_ncdhw", "_ndhwc"}};
    const char *const *const word = words[problem->operation->rank - 1];
    if (problem->x_last || problem->y_last) {
        tc_say(text, "%s", word[problem->x_last]);
        tc_say(text, "%s", problem->x_last != problem->y_last ? word[problem->y_last] : "");
    }
}

void tc_problem_string(const struct tc_problem *given, bool input, struct tc_status *text)
{
    static const char *const lengths[] = {"_id%td", "_ih%td", "_iw%td"};
    static const ptrdiff_t ALWAYS = PTRDIFF_MIN;
    const struct tc_problem forward = tc_problem_forward(given), *const problem = &forward;
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
    if (memcmp(problem->p, problem->pe, sizeof problem->p) != 0) {
        say_axes(problem, "pe", ALWAYS, problem->pe, text);
    }
    say_axes(problem, "op", 0, problem->op, text);
    say_axes(problem, "d", 1, problem->d, text);
    if (problem->g > 1) {
        tc_say(text, "_g%td", problem->g);
    }
    if (problem->mode != TC_PAD_ZEROS) {
        tc_say(text, "_%s", tc_padding_modes[problem->mode]);
    }
    say_layout(problem, text);
    tc_say(text, "_%s", tc_dtype_rows[problem->dtype].code);
}
