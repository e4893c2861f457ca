/* SPDX-License-Identifier: BSD-3-Clause */
/* What the core refuses and what it says, and how it describes what it takes. */
#include "check.h"

#include "problem.h"

#include <string.h>

static const ptrdiff_t HUGE_LENGTH = PTRDIFF_MAX / 2;

static struct tc_values one(ptrdiff_t value)
{
    return (struct tc_values){1, {value}};
}

static struct tc_values two(ptrdiff_t first, ptrdiff_t second)
{
    return (struct tc_values){2, {first, second}};
}

static struct tc_shape shape(int ndim, const ptrdiff_t *dims)
{
    return (struct tc_shape){true, ndim, dims};
}

static const ptrdiff_t X[] = {2, 4, 5, 6}, X_LAST[] = {2, 5, 6, 4};
static const ptrdiff_t W[] = {4, 3, 3, 3}, W_CONV[] = {3, 4, 3, 3}, W_SMALL[] = {4, 3, 1, 1};

/* A request that nothing is wrong with. */
static struct tc_request good(const char *operation)
{
    const struct tc_operation *const found = tc_operation_find(operation);
    return (struct tc_request){
        .operation = found,
        .dtype = TC_F32,
        .x = shape(4, X),
        .w = shape(4, found->transposed ? W : W_CONV),
        .stride = one(1),
        .padding = one(0),
        .padding_end = one(0),
        .output_padding = one(0),
        .dilation = one(1),
        .groups = 1,
    };
}

static void is_refused(const struct tc_request *request, const char *text)
{
    struct tc_problem problem;
    struct tc_status status;
    const enum tc_code code = tc_problem_init(&problem, request, &status);
    check(code == TC_VALUE && status.code == TC_VALUE, "is refused", text);
    check(strstr(status.text, text) != NULL, status.text, text);
    check(strstr(status.text, ". Got ") != NULL, "shows the shapes", text);
}

static struct tc_problem accepted(const struct tc_request *request)
{
    struct tc_problem problem;
    struct tc_status status = {.text = ""};
    check(tc_problem_init(&problem, request, &status) == TC_OK, status.text, "is accepted");
    return problem;
}

/* ---- refusals ---- */

static void check_scalars(void)
{
    struct tc_request r = good("conv_transpose2d");
    r.stride = (struct tc_values){3, {1, 1, 1}};
    is_refused(&r, "stride must be an int or a sequence of 2 ints, got 3");
    r.stride = two(1, 0);
    is_refused(&r, "stride must be >= 1 (axis 1), got 0");
    r = good("conv_transpose2d"), r.padding = r.padding_end = one(-1);
    is_refused(&r, "padding must be >= 0 (axis 0), got -1");
    r = good("conv_transpose2d"), r.dilation = one(0);
    is_refused(&r, "dilation must be >= 1");
    r = good("conv_transpose2d"), r.output_padding = one(-1);
    is_refused(&r, "output_padding must be >= 0");
    r = good("conv_transpose2d"), r.padding_mode = TC_PAD_REFLECT;
    is_refused(&r, "must be 'zeros' or 'circular', got 'reflect'");
    r = good("conv_transpose2d"), r.groups = 0;
    is_refused(&r, "groups must be >= 1, got 0");
    r = good("conv2d"), r.output_padding = one(1);
    is_refused(&r, "there is no output_padding");
    r = good("conv2d"), r.has_output_size = true, r.output_size = one(5);
    is_refused(&r, "there is no output_size");
}

static void check_ranks(void)
{
    static const ptrdiff_t empty[] = {4, 3, 0, 3}, many[] = {1, 2, 3, 4, 5};
    struct tc_request r = good("conv_transpose2d");
    r.x = shape(5, many);
    is_refused(&r, "input must have 4 dimensions, or 3 without a batch, got 5");
    r.layout = (struct tc_layout){true, true, true, true};
    is_refused(&r, "input must have the 4 dimensions of layout 'NHWC', got 5");
    r = good("conv_transpose2d"), r.w = shape(3, W);
    is_refused(&r, "weight must have 4 dimensions (in, out/groups, kH, kW), got 3");
    r = good("conv_transpose2d"), r.w = shape(4, empty);
    is_refused(&r, "weight must not have an axis of length 0");
    r = good("conv_transpose2d"), r.b = shape(2, W);
    is_refused(&r, "bias must have 1 dimension (out channels), got 2");
    r = good("conv_transpose2d_weight"), r.y = shape(5, many);
    is_refused(&r, "grad_output must have 4 dimensions");
}

static void check_channels(void)
{
    static const ptrdiff_t huge[] = {4, PTRDIFF_MAX / 2, 3, 3}, b[] = {2};
    static const ptrdiff_t y[] = {2, 5, 7, 8};
    struct tc_request r = good("conv_transpose2d");
    r.groups = 3;
    is_refused(&r, "input channels must be divisible by groups, got 4 and 3");
    r = good("conv_transpose2d"), r.w = shape(4, huge), r.groups = 4;
    is_refused(&r, "the number of output channels overflows");
    r = good("conv_transpose2d"), r.w = shape(4, W_CONV);
    is_refused(&r, "(a weight of conv has its first two axes the other way round)");
    r = good("conv2d"), r.w = shape(4, W);
    is_refused(&r, "(a weight of conv_transpose has its first two axes the other way round)");
    r = good("conv2d"), r.x = shape(4, X_LAST);
    is_refused(&r, "if channels come last, pass their layout");
    r = good("conv2d"), r.groups = 3;
    is_refused(&r, "input has 4 channels, but weight expects 12");
    r = good("conv2d"), r.b = shape(1, b);
    is_refused(&r, "bias must have 3 elements, one an output channel, got 2");
    r = good("conv_transpose2d_input"), r.x.given = false, r.y = shape(4, y);
    is_refused(&r, "grad_output has 5 channels, but weight expects 3");
}

static void check_sizes(void)
{
    static const ptrdiff_t empty[] = {2, 4, 0, 6}, y[] = {2, 3, 7, 9}, short_y[] = {2, 3, 2, 8};
    static const ptrdiff_t y_last[] = {2, 7, 9, 3};
    struct tc_request r = good("conv_transpose2d");
    r.output_padding = one(1);
    is_refused(&r, "output_padding must be smaller than stride or dilation (axis 0), got 1");
    r = good("conv_transpose2d"), r.stride = one(HUGE_LENGTH);
    is_refused(&r, "output length overflows (axis 0)");
    r = good("conv_transpose2d"), r.padding = r.padding_end = one(4);
    is_refused(&r, "output length would be -1 (axis 0): (5 - 1)*1 - 4 - 4 + 1*(3 - 1) + 0 + 1");
    r = good("conv2d"), r.dilation = one(PTRDIFF_MAX);
    is_refused(&r, "output length overflows (axis 0)");
    r = good("conv2d"), r.dilation = one(3);
    is_refused(&r, "the kernel does not fit in the padded input (axis 0): it covers 3*(3 - 1) + 1");
    r = good("conv2d"), r.x = shape(4, empty);
    is_refused(&r, "input must not have a spatial axis of length 0");
    r = good("conv2d_weight"), r.x.given = true, r.y = shape(4, y);
    is_refused(&r, "grad_output must have the shape of the output, (2, 3, 3, 4)");
    r.layout = (struct tc_layout){true, true, false, true}, r.y = shape(4, y_last);
    is_refused(&r, "grad_output must have the shape of the output, (2, 3, 4, 3)");
    r = good("conv_transpose2d_input"), r.x.given = false, r.y = shape(4, y), r.stride = one(3);
    is_refused(&r, "grad_output length 7 (axis 0) is none of 3 + 3*m");
    r.y = shape(4, short_y);
    is_refused(&r, "grad_output length 2 (axis 0) is none of 3 + 3*m");
    r.stride = one(PTRDIFF_MAX);
    is_refused(&r, "grad_output length 2 (axis 0) is none of 3 + 9223372036854775807*m");
    r.dilation = one(PTRDIFF_MAX);
    is_refused(&r, "output length overflows (axis 0)");
}

static void check_output_size(void)
{
    struct tc_request r = good("conv_transpose2d");
    r.has_output_size = true, r.stride = one(2), r.output_size = (struct tc_values){.count = 3};
    is_refused(&r, "output_size must be an int or a sequence of 2 ints, got 3");
    r.output_size = two(13, 13);
    is_refused(&r, "output_size must be from 11 to 12 (axis 0), got 13");
    r.output_size = two(12, 12);
    is_refused(&r, "output_size must be from 13 to 14 (axis 1), got 12");
    r.output_padding = one(1);
    is_refused(&r, "give output_size or output_padding, not both");
    r.output_padding = one(0), r.stride = one(HUGE_LENGTH);
    is_refused(&r, "output length overflows (axis 0)");
    r.stride = one(2), r.output_size = two(12, 14);
    struct tc_problem problem = accepted(&r);
    check(problem.o[TC_H] == 12 && problem.o[TC_W] == 14, "lengths", "output_size");
    r.output_size = (struct tc_values){4, {2, 3, 11, 13}};
    problem = accepted(&r);
    check(problem.o[TC_H] == 11 && problem.o[TC_W] == 13, "lengths", "output_size");
    r.layout = (struct tc_layout){true, true, false, true};
    r.output_size = (struct tc_values){4, {2, 11, 14, 3}};
    problem = accepted(&r);
    check(problem.o[TC_H] == 11 && problem.o[TC_W] == 14, "lengths", "output_size");
}

static void check_padding(void)
{
    static const ptrdiff_t wide[] = {2, 4, HUGE_LENGTH + HUGE_LENGTH, 6};
    struct tc_request r = good("conv2d");
    r.padding_mode = TC_PAD_REFLECT, r.padding = r.padding_end = one(5);
    is_refused(&r, "padding must be at most 4 with padding_mode 'reflect' (axis 0), got 5");
    r.padding_mode = TC_PAD_CIRCULAR, r.padding = one(6), r.padding_end = one(0);
    is_refused(&r, "padding must be at most 5 with padding_mode 'circular' (axis 0), got 6");
    r = good("conv2d"), r.padding_rule = TC_PAD_SAME, r.x = shape(4, wide);
    is_refused(&r, "output length overflows");
    for (int lower = 0; lower < 2; lower++) {
        r = good("conv2d"), r.padding_rule = TC_PAD_SAME + lower, r.stride = one(2);
        const struct tc_problem same = accepted(&r);
        check(same.o[TC_H] == 3 && same.o[TC_W] == 3, "lengths", "same");
        check(same.p[TC_W] == lower && same.pe[TC_W] == 1 - lower, "padding", "same");
    }
    r = good("conv_transpose2d"), r.padding_rule = TC_PAD_SAME, r.output_padding = one(1);
    is_refused(&r, "padding 'same' gives one size: there is no output_padding");
    r.output_padding = one(0), r.has_output_size = true, r.output_size = one(1);
    is_refused(&r, "padding 'same' gives one size: there is no output_size");
    r.has_output_size = false, r.dilation = one(PTRDIFF_MAX);
    is_refused(&r, "output length overflows");
    r.dilation = one(1), r.stride = one(4);
    const struct tc_problem same = accepted(&r);
    check(same.o[TC_H] == 20 && same.o[TC_W] == 24 && same.op[TC_W] == 1, "lengths", "same");
}

static void check_too_big(void)
{
    static const ptrdiff_t x[] = {PTRDIFF_MAX / 256, 4, 5, 6};
    struct tc_request r = good("conv_transpose2d");
    r.x = shape(4, x);
    is_refused(&r, "the output is too big");
}

/* ---- weights alone ---- */

static void check_weight_alone(void)
{
    struct tc_problem problem;
    struct tc_status status;
    struct tc_request r = good("conv_transpose2d");
    r.x.given = false, r.stride = one(2), r.padding = r.padding_end = one(3);
    check(tc_problem_init_weight(&problem, &r, &status) == TC_OK, "weight", "conv_transpose2d");
    check(problem.i[TC_H] == 4 && problem.o[TC_H] == 3, "smallest image", "conv_transpose2d");
    r.padding = one(PTRDIFF_MAX / 2);
    check(tc_problem_init_weight(&problem, &r, &status) == TC_VALUE, "is refused", "padding");
    check(strstr(status.text, "padding is too big") != NULL, status.text, "padding");
    r.groups = 0;
    check(tc_problem_init_weight(&problem, &r, &status) == TC_VALUE, "is refused", "groups");
    r = good("conv2d"), r.x.given = false, r.padding = r.padding_end = one(1);
    check(tc_problem_init_weight(&problem, &r, &status) == TC_OK, "weight", "conv2d");
    check(problem.i[TC_H] == 1 && problem.o[TC_H] == 1, "smallest image", "conv2d");
    r.dilation = one(PTRDIFF_MAX / 2), r.padding_sides = true, r.padding = r.padding_end = one(-1);
    check(tc_problem_init_weight(&problem, &r, &status) == TC_VALUE, "is refused", "dilation");
}

/* ---- names ---- */

static void is_called(const struct tc_request *request, const char *name)
{
    struct tc_status text;
    const struct tc_problem problem = accepted(request);
    tc_problem_string(&problem, true, &text);
    check(strcmp(text.text, name) == 0, text.text, name);
}

static void check_names(void)
{
    struct tc_request r = good("conv_transpose2d");
    is_called(&r, "ct2d_n2_ci4_ih5_iw6_co3_k3_s1_p0_f32");
    r.stride = two(2, 3), r.dilation = one(2), r.output_padding = one(1);
    is_called(&r, "ct2d_n2_ci4_ih5_iw6_co3_k3_s2x3_p0_op1_d2_f32");
    r = good("conv2d"), r.x = shape(4, X_LAST),
    r.layout = (struct tc_layout){true, true, true, false};
    is_called(&r, "c2d_n2_ci4_ih5_iw6_co3_k3_s1_p0_nhwc_nchw_f32");
    r = good("conv2d"), r.padding_end = one(2), r.padding_mode = TC_PAD_REPLICATE;
    is_called(&r, "c2d_n2_ci4_ih5_iw6_co3_k3_s1_p0_pe2_replicate_f32");
    r = good("conv_transpose2d"), r.groups = 2, r.dtype = TC_F64, r.w = shape(4, W_SMALL);
    is_called(&r, "ct2d_n2_ci4_ih5_iw6_co6_k1_s1_p0_g2_f64");
    check(tc_operation_find("conv4d") == NULL, "there is none", "conv4d");
}

/* ---- layouts ---- */

static void check_layouts(void)
{
    struct tc_layout layout;
    struct tc_status status;
    check(tc_layout_parse(&layout, 2, NULL, &status) == TC_OK && !layout.given, "none", "layout");
    check(tc_layout_parse(&layout, 2, "NHWC->NCHW", &status) == TC_OK && layout.given &&
              layout.batched && layout.input_last && !layout.output_last,
          "two", "layout");
    check(tc_layout_parse(&layout, 3, "DHWC", &status) == TC_OK && !layout.batched &&
              layout.input_last && layout.output_last,
          "one", "layout");
    for (const char *const *bad = (const char *const[]){"", "NCL", "NHWC->CHW", "NHWC->",
                                                        "NHWC-NCHW", "NHWC->NCHW ", NULL};
         *bad; bad++) {
        check(tc_layout_parse(&layout, 2, *bad, &status) == TC_VALUE &&
                  strstr(status.text, "layout must be one of 'NCHW', 'NHWC', 'CHW', 'HWC'"),
              status.text, *bad);
    }
}

/* What does not fit in a message is cut off. */
static void check_long_text(void)
{
    struct tc_status status;
    tc_fail(&status, TC_TYPE, "%600s", "x");
    tc_say(&status, "%600s", "y");
    tc_say(&status, "z");
    check(status.code == TC_TYPE && strlen(status.text) == sizeof status.text - 1, "cut", "status");
}

int main(void)
{
    check_scalars();
    check_ranks();
    check_channels();
    check_sizes();
    check_output_size();
    check_padding();
    check_too_big();
    check_weight_alone();
    check_names();
    check_layouts();
    check_long_text();
    return report();
}
