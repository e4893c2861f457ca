/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TC_ENGINE_CASE_H
#define TC_ENGINE_CASE_H

/* One case of the engines, made of bytes: an operation with its numbers, arrays of whole numbers in
 * some order of memory, perhaps one infinity or NaN among them, an engine, an instruction set. What
 * the engine computes must be what `reference` computes, and nothing else may be written.
 * check_engines.c draws the bytes, fuzz_engines.c is given them by a fuzzer. */

#include "check.h"

#include "base/size.h"
#include "plan.h"

#include <math.h>
#include <string.h>

/* Multiply-adds and elements of a case, at most: it is done in a millisecond. */
static const double MOST_MACS = 200e3;
enum { MOST_ELEMENTS = 100000 };

/* ---- bytes ---- */

struct bytes {
    const unsigned char *at;
    size_t left;
};

/* A number below `limit` <= 256; 0 if no bytes are left. */
static inline int take(struct bytes *bytes, int limit)
{
    if (bytes->left == 0) {
        return 0;
    }
    bytes->left--;
    return *bytes->at++ % limit;
}

/* A length: small, or about that of some vectors. */
static inline ptrdiff_t take_length(struct bytes *bytes)
{
    static const unsigned char lengths[] = {1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 33, 70};
    return lengths[take(bytes, sizeof lengths)];
}

static inline struct tc_values take_values(struct bytes *bytes, int rank, int least, int limit)
{
    struct tc_values values = {.count = take(bytes, 2) ? rank : 1};
    for (ptrdiff_t i = 0; i < values.count; i++) {
        values.at[i] = least + take(bytes, limit);
    }
    return values;
}

/* ---- requests ---- */

struct case_dims {
    ptrdiff_t x[TC_MAX_VALUES], w[TC_MAX_VALUES], y[TC_MAX_VALUES], b[1];
};

/* The axes of an image in the order of its layout; returns how many. */
static inline int set_image_dims(ptrdiff_t dims[TC_MAX_VALUES], int rank, bool batched, bool last,
                                 ptrdiff_t n, ptrdiff_t channels, const ptrdiff_t *lengths)
{
    int ndim = 0;
    if (batched) {
        dims[ndim++] = n;
    }
    if (!last) {
        dims[ndim++] = channels;
    }
    for (int axis = 0; axis < rank; axis++) {
        dims[ndim++] = lengths[axis];
    }
    if (last) {
        dims[ndim++] = channels;
    }
    return ndim;
}

/* Of a forward operation, which may turn out to be refused. */
static inline struct tc_request take_request(struct bytes *bytes, int rank, bool transposed,
                                             struct case_dims *dims)
{
    static const char *const names[][TC_SPATIAL] = {
        {"conv1d", "conv2d", "conv3d"},
        {"conv_transpose1d", "conv_transpose2d", "conv_transpose3d"}};
    const int how = take(bytes, 16);
    struct tc_request request = {
        .operation = tc_operation_find(names[transposed][rank - 1]),
        .dtype = how & 1 ? TC_F64 : TC_F32,
        .layout = {true, true, how & 2, how & 4},
        .groups = take(bytes, 2) ? take_length(bytes) : 1,
        .padding_rule = how == 15   ? TC_PAD_SAME
                        : how == 14 ? TC_PAD_SAME_LOWER
                                    : TC_PAD_GIVEN,
        .padding_sides = how & 8,
    };
    const bool batched = request.layout.batched = take(bytes, 3) > 0;
    const bool depthwise = request.groups > 1 && take(bytes, 3);
    const ptrdiff_t g = request.groups;
    const ptrdiff_t ci = depthwise ? 1 : take_length(bytes);
    const ptrdiff_t co = depthwise ? 1 + take(bytes, 4) / 3 : take_length(bytes);
    ptrdiff_t lengths[TC_SPATIAL];
    bool even = true; /* kernels that are multiples of the stride, or as long, as engines want */
    for (int axis = 0; axis < rank; axis++) {
        lengths[axis] = take_length(bytes);
        const int kind = take(bytes, 24);
        dims->w[2 + axis] = 1 + take(bytes, kind % 8 ? 7 : 20);
        even = even && (axis > 0 || kind < (transposed ? 8 : 3));
    }
    dims->w[0] = (transposed ? ci : co) * g;
    dims->w[1] = transposed ? co : ci;
    dims->b[0] = co * g;
    const int ndim = set_image_dims(dims->x, rank, batched, request.layout.input_last,
                                    1 + take(bytes, 3), ci * g, lengths);
    request.x = (struct tc_shape){true, ndim, dims->x};
    request.w = (struct tc_shape){true, rank + 2, dims->w};
    request.b = (struct tc_shape){take(bytes, 2), 1, dims->b};
    request.stride = take_values(bytes, rank, 1, 5);
    request.dilation = take_values(bytes, rank, 1, 3);
    for (int axis = 0; axis < rank && even; axis++) {
        const ptrdiff_t stride = request.stride.at[request.stride.count > 1 ? axis : 0];
        dims->w[2 + axis] = transposed ? tc_round_up(dims->w[2 + axis], stride) : stride;
        request.dilation = (struct tc_values){1, {1}};
    }
    request.padding = take_values(bytes, rank, 0, 6);
    request.padding_end = request.padding;
    if (request.padding_sides) {
        request.padding = take_values(bytes, rank, -2, 8);
        request.padding_end = take_values(bytes, rank, -2, 8);
    }
    if (even && !transposed) { /* no zeros, but perhaps inputs that are left out */
        for (int axis = 0; axis < TC_MAX_VALUES; axis++) {
            request.padding.at[axis] = tc_min(request.padding.at[axis], 0);
            request.padding_end.at[axis] = tc_min(request.padding_end.at[axis], 0);
        }
    }
    request.output_padding = take_values(bytes, rank, 0, transposed ? 3 : 1);
    return request;
}

/* The request of the forward operation's gradient with respect to its input or its weight. */
static inline void make_gradient(struct tc_request *request, bool of_weight,
                                 const struct tc_problem *forward, struct case_dims *dims)
{
    const int rank = request->operation->rank;
    char name[40];
    snprintf(name, sizeof name, "%s_%s", request->operation->name, of_weight ? "weight" : "input");
    request->operation = tc_operation_find(name);
    request->y = (struct tc_shape){true,
                                   set_image_dims(dims->y, rank, forward->batched,
                                                  request->layout.output_last, forward->n,
                                                  forward->co, forward->o + TC_SPATIAL - rank),
                                   dims->y};
    request->b.given = false;
}

/* ---- arrays ---- */

struct array {
    struct tc_shape shape;
    ptrdiff_t strides[TC_MAX_VALUES], bytes, elements; /* of its memory, gaps included */
    void *memory, *data;
};

/* Strides for axes in any order, with gaps between them, some of them negative; contiguous if the
 * bytes say so or are at their end. */
static inline struct array take_array(struct bytes *bytes, struct tc_shape shape, ptrdiff_t size)
{
    const bool contiguous = take(bytes, 2) == 0;
    struct array array = {.shape = shape, .bytes = size};
    ptrdiff_t step = 1, first = 0, turn = contiguous ? 0 : take(bytes, shape.ndim);
    for (int i = shape.ndim - 1; i >= 0; i--) {
        const ptrdiff_t axis = (i + turn) % shape.ndim;
        const int how = contiguous ? 0 : take(bytes, 12);
        step = how == 11 ? tc_round_up(step, 16) : step + how / 4;
        array.strides[axis] = how % 4 == 3 ? -step : step;
        first += how % 4 == 3 ? (shape.dims[axis] - 1) * step : 0;
        step *= shape.dims[axis];
    }
    array.elements = step;
    array.memory = malloc((size_t)(step * size));
    array.data = tc_at(array.memory, first, size);
    return array;
}

static inline void fill_numbers(const struct array *array)
{
    for (ptrdiff_t i = 0; i < array->elements; i++) {
        put(array->bytes, array->memory, i, random_below(9) - 4);
    }
}

static inline void fill_canaries(const struct array *array)
{
    for (ptrdiff_t i = 0; i < array->elements; i++) {
        put(array->bytes, array->memory, i, CANARY);
    }
}

/* Where element number `number` of the array lies. */
static inline ptrdiff_t place_of(const struct array *array, ptrdiff_t number)
{
    ptrdiff_t at = 0;
    for (int axis = array->shape.ndim - 1; axis >= 0; axis--) {
        at += number % array->shape.dims[axis] * array->strides[axis];
        number /= array->shape.dims[axis];
    }
    return at;
}

static inline ptrdiff_t count_of(struct tc_shape shape)
{
    ptrdiff_t count = 1;
    for (int axis = 0; axis < shape.ndim; axis++) {
        count *= shape.dims[axis];
    }
    return count;
}

/* Puts an infinity or a NaN somewhere, or nothing. */
static inline void poison(struct bytes *bytes, const struct array *array)
{
    static const float values[] = {INFINITY, -INFINITY, NAN};
    const int which = take(bytes, 12);
    if (which < 3 && bytes->left > 0) {
        const ptrdiff_t number =
            (take(bytes, 256) * 256 + take(bytes, 256)) % count_of(array->shape);
        put(array->bytes, array->data, place_of(array, number), (double)values[which]);
    }
}

/* ---- running ---- */

/* How often each engine of tc_engines ran. */
static long engine_runs[TC_MAX_ENGINES];

static inline void *new_block(ptrdiff_t bytes)
{
    const size_t size = (size_t)tc_round_up(bytes + 1, TC_ALIGN);
    void *const block = aligned_alloc(TC_ALIGN, size);
    return memset(block, 0xff, size); /* NaNs: what is read before it is written shows */
}

static inline void run_plan(struct tc_plan *plan, bool ahead)
{
    struct tc_status text = {.text = ""};
    void *const packed = ahead ? new_block(plan->job.packed_bytes) : NULL;
    void *const scratch = new_block(plan->scratch_bytes);
    if (ahead && plan->job.packed_bytes > 0) {
        tc_plan_pack(plan, packed);
        plan->job.packed = packed;
    }
    plan->engine->describe(&plan->job, &text);
    check(text.text[0] != 0, "describes itself", plan->engine->name);
    tc_plan_run(plan, scratch);
    free(scratch), free(packed);
    for (int i = 0; tc_engines[i]; i++) {
        engine_runs[i] += plan->engine == tc_engines[i];
    }
}

/* The arrays of a case in their roles; `result` is one of them. */
struct case_arrays {
    struct array x, w, y, b;
};

static inline void set_views(struct tc_order *order, const struct case_arrays *arrays)
{
    const struct tc_problem *const p = order->problem;
    const struct tc_problem forward = tc_problem_forward(p);
    const bool swapped = forward.x_last != p->x_last || p->operation->computes == TC_INPUT ||
                         (p->operation->computes == TC_WEIGHT && !p->operation->transposed);
    const struct array *const from = swapped ? &arrays->y : &arrays->x;
    const struct array *const to = swapped ? &arrays->x : &arrays->y;
    order->x = tc_problem_image(p, from->data, from->strides, p->x_last);
    order->y = tc_problem_image(p, to->data, to->strides, p->y_last);
    order->w = tc_problem_weight(p, arrays->w.data, arrays->w.strides);
    order->b = (struct tc_bias){p->bias ? arrays->b.data : NULL, arrays->b.strides[0]};
}

static inline void compare(const struct tc_plan *plan, const struct array *result,
                           const struct array *wanted)
{
    const ptrdiff_t count = count_of(result->shape), bytes = result->bytes;
    bool equal = true, clean = true;
    for (ptrdiff_t i = 0; i < count; i++) {
        const ptrdiff_t at = place_of(result, i);
        const double got = get(bytes, result->data, at);
        const double sum = get(bytes, wanted->data, place_of(wanted, i));
        equal = equal && (got == sum || (isnan(got) && isnan(sum)));
        put(bytes, result->data, at, CANARY);
    }
    for (ptrdiff_t i = 0; i < result->elements; i++) {
        clean = clean && get(bytes, result->memory, i) == CANARY;
    }
    struct tc_status name;
    tc_problem_string(plan->job.problem, true, &name);
    tc_say(&name, " %s %s", plan->engine->name, plan->job.kernels->isa);
    check(equal, "result", name.text);
    check(clean, "wrote elsewhere", name.text);
}

/* One of the engines that can carry out the order, or NULL for the best, by any number: every
 * fourth time the most special one. */
static inline const char *pick_engine(const struct tc_order *order, int number)
{
    const char *able[TC_MAX_ENGINES + 1] = {NULL};
    struct tc_order asked = *order;
    struct tc_status status;
    struct tc_plan plan;
    int count = 1;
    for (int i = 0; tc_engines[i + 1]; i++) { /* but for the last, reference */
        asked.engine = tc_engines[i]->name;
        if (tc_plan_make(&plan, &asked, &status) == TC_OK) {
            able[count++] = asked.engine;
        }
    }
    return able[number % 4 == 1 && count > 1 ? 1 : number / 4 % count];
}

/* Computes `result` of the arrays by the order and some engine, and by `reference`. */
static inline void run_order(struct tc_order *order, int engine, struct case_arrays *arrays,
                             struct array *result)
{
    struct bytes contiguous = {NULL, 0};
    struct tc_status status;
    struct tc_plan plan, reference;
    set_views(order, arrays);
    order->engine = pick_engine(order, engine);
    check(tc_plan_make(&plan, order, &status) == TC_OK, status.text, "no engine");
    fill_canaries(result);
    run_plan(&plan, order->ahead);
    const struct array given = *result;
    *result = take_array(&contiguous, given.shape, given.bytes);
    order->engine = "reference", order->ahead = false;
    set_views(order, arrays);
    check(tc_plan_make(&reference, order, &status) == TC_OK, status.text, "reference");
    run_plan(&reference, false);
    compare(&plan, &given, result);
    free(result->memory);
    *result = given;
}

/* This processor, or as if its caches were small: what engines do for what does not fit in them. */
static inline struct tc_cpu take_cpu(struct bytes *bytes)
{
    static struct tc_cpu here; /* detected once: virtual machines take long to answer */
    here = here.l1_bytes ? here : tc_cpu_detect();
    struct tc_cpu cpu = here;
    if (take(bytes, 2)) {
        cpu.l1_bytes = 1 << 10, cpu.l2_bytes = 1 << 12, cpu.l3_bytes = 1 << 14;
    }
    return cpu;
}

static inline struct tc_order take_order(struct bytes *bytes, const struct tc_problem *problem,
                                         const struct tc_cpu *cpu)
{
    struct tc_order order = {.problem = problem, .cpu = cpu, .threads = 1 + take(bytes, 3)};
    const char *isas[TC_MAX_ISAS];
    int isa_count = 0;
    tc_kernels_list(cpu, isas);
    while (isas[isa_count]) {
        isa_count++;
    }
    order.isa = isas[take(bytes, isa_count)];
    order.ahead = take(bytes, 4) == 1 && problem->operation->computes != TC_WEIGHT;
    if (problem->operation->computes == TC_OUTPUT) {
        order.activation = (struct tc_activation){take(bytes, TC_SIGMOID + 1), 0.5};
    }
    return order;
}

static inline void run_problem(struct bytes *bytes, const struct tc_problem *problem,
                               const struct tc_request *request)
{
    const enum tc_array computes = problem->operation->computes;
    const ptrdiff_t size = tc_dtype_bytes(problem->dtype);
    const struct tc_cpu cpu = take_cpu(bytes);
    ptrdiff_t dims[TC_MAX_VALUES];
    const struct tc_shape shape = {true, tc_problem_shape(problem, dims), dims};
    const int engine = take(bytes, 256);
    struct tc_order order = take_order(bytes, problem, &cpu);
    struct case_arrays arrays;
    struct array *const all[] = {&arrays.x, &arrays.w, &arrays.y};
    arrays.x = take_array(bytes, computes == TC_INPUT ? shape : request->x, size);
    arrays.w = take_array(bytes, computes == TC_WEIGHT ? shape : request->w, size);
    arrays.y = take_array(bytes, computes == TC_OUTPUT ? shape : request->y, size);
    arrays.b = take_array(bytes, request->b, size);
    for (int i = 0; i < 3; i++) {
        fill_numbers(all[i]);
        poison(bytes, all[i]);
    }
    fill_numbers(&arrays.b);
    run_order(&order, engine, &arrays, all[computes]);
    free(arrays.x.memory), free(arrays.w.memory), free(arrays.y.memory), free(arrays.b.memory);
}

/* Whether the case is one: neither refused nor too big. */
static inline bool run_case(const unsigned char *data, size_t size)
{
    struct bytes bytes = {data, size};
    struct case_dims dims;
    struct tc_problem problem;
    struct tc_status status;
    const int what = take(&bytes, 18), rank = 1 + what % 3, computes = what / 3 % 3;
    struct tc_request request = take_request(&bytes, rank, what / 9, &dims);
    if (tc_problem_init(&problem, &request, &status)) {
        return false;
    }
    double macs = (double)problem.n * (double)problem.co * (double)tc_group_ci(&problem);
    for (int axis = 0; axis < TC_SPATIAL; axis++) {
        macs *= (double)(request.operation->transposed ? problem.i : problem.o)[axis] *
                (double)problem.k[axis];
    }
    const struct tc_image y = tc_contiguous_image(problem.co, problem.o, false);
    if (macs > MOST_MACS || count_of(request.x) > MOST_ELEMENTS ||
        count_of(request.w) > MOST_ELEMENTS || y.n * problem.n > MOST_ELEMENTS) {
        return false;
    }
    if (computes > 0) {
        make_gradient(&request, computes == 2, &problem, &dims);
        const bool fits = tc_problem_init(&problem, &request, &status) == TC_OK;
        check(fits, status.text, "gradient");
        if (!fits) {
            return false;
        }
    }
    state = (unsigned)size;
    for (size_t i = 0; i < size; i++) {
        state = state * 31 + data[i];
    }
    run_problem(&bytes, &problem, &request);
    return true;
}

#endif
