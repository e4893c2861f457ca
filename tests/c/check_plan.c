/* SPDX-License-Identifier: BSD-3-Clause */
/* What a plan says no to, and its words for what it chose. */
#include "check.h"

#include "plan.h"

#include <string.h>

static const struct tc_cpu NO_VECTORS = {.l1_bytes = 32 << 10, .l2_bytes = 1 << 20};

static struct tc_problem small_problem(void)
{
    return (struct tc_problem){
        .operation = tc_operation_find("conv_transpose2d"),
        .batched = true,
        .n = 1,
        .g = 1,
        .ci = 2,
        .co = 3,
        .i = {1, 4, 5},
        .o = {1, 6, 7},
        .k = {1, 3, 3},
        .s = {1, 1, 1},
        .d = {1, 1, 1},
    };
}

static struct tc_order order_of(const struct tc_problem *problem)
{
    return (struct tc_order){
        .problem = problem,
        .cpu = &NO_VECTORS,
        .x = tc_contiguous_image(problem->ci, problem->i, false),
        .y = tc_contiguous_image(problem->co, problem->o, false),
        .w = {.ci = 27, .co = 9, .axis = {9, 3, 1}},
        .threads = 1,
    };
}

static void is_refused(const struct tc_order *order, const char *text)
{
    struct tc_plan plan;
    struct tc_status status = {.text = ""};
    check(tc_plan_make(&plan, order, &status) == TC_VALUE, "is refused", text);
    check(strstr(status.text, text) != NULL, status.text, text);
}

int main(void)
{
    const struct tc_problem problem = small_problem();
    struct tc_order order = order_of(&problem);
    struct tc_plan plan;
    struct tc_status status, text = {.text = ""};
    order.isa = "mmx";
    is_refused(&order, "isa must be one of");
    is_refused(&order, "'portable' on this machine, got 'mmx'");
    order.isa = NULL, order.engine = "steam";
    is_refused(&order, "engine must be one of 'taps', 'places', ");
    is_refused(&order, "'reference', got 'steam'");
    order.engine = "wgrad";
    is_refused(&order, "engine 'wgrad' cannot do this: it is for other operations");
    order.engine = NULL;
    check(tc_plan_make(&plan, &order, &status) == TC_OK, status.text, "plan");
    order.kept = "gather", order.ahead = true;
    check(tc_plan_make(&plan, &order, &status) == TC_OK, status.text, "kept");
    check(strcmp(plan.engine->name, "planes") == 0 && !plan.job.ahead, "as they lie", "kept");
    order.engine = "gather";
    check(tc_plan_make(&plan, &order, &status) == TC_OK, status.text, "asked for");
    check(strcmp(plan.engine->name, "gather") == 0 && plan.job.ahead, "packed ahead", "asked for");
    order.engine = order.kept = "channels";
    check(tc_plan_make(&plan, &order, &status) == TC_OK, status.text, "refused");
    check(strcmp(plan.engine->name, "planes") == 0 && !plan.job.ahead, "another one", "refused");
    plan.engine->describe(&plan.job, &text);
    check(strlen(text.text) > 0, "describes itself", plan.engine->name);
    return report();
}
