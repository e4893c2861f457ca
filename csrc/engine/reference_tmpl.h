/* SPDX-License-Identifier: BSD-3-Clause */
/* The reference engine for one dtype: REAL, and T(name) for names with its suffix. */

/* One output: its bias, then tap by tap and channel by channel. */
static REAL T(output)(const struct tc_job *job, const struct point *at)
{
    const struct tc_axis *const axis = job->lattice.axis;
    const struct tc_run *const run = at->run;
    const REAL *const x = job->x.data, *const w = job->w.data;
    const ptrdiff_t ci = tc_group_ci(job->problem);
    REAL sum = job->b.data ? ((const REAL *)job->b.data)[at->channel * job->b.c] : 0;
    for (ptrdiff_t d = run[TC_D].first; d < run[TC_D].last; d++) {
        for (ptrdiff_t h = run[TC_H].first; h < run[TC_H].last; h++) {
            for (ptrdiff_t k = run[TC_W].first; k < run[TC_W].last; k++) {
                const ptrdiff_t from = at->x + d * axis[TC_D].offset_step * job->x.axis[TC_D] +
                                       h * axis[TC_H].offset_step * job->x.axis[TC_H] +
                                       k * axis[TC_W].offset_step * job->x.axis[TC_W];
                const ptrdiff_t by = at->w + d * axis[TC_D].k_step * job->w.axis[TC_D] +
                                     h * axis[TC_H].k_step * job->w.axis[TC_H] +
                                     k * axis[TC_W].k_step * job->w.axis[TC_W];
                for (ptrdiff_t c = 0; c < ci; c++) {
                    sum += x[from + c * job->x.c] * w[by + c * job->w.ci];
                }
            }
        }
    }
    return sum;
}

static void T(store)(const struct tc_job *job, const struct point *at)
{
    ((REAL *)job->y.data)[at->y] = T(output)(job, at);
}

/* The gradient of one weight: all that its kernel element joined, position by position. */
static void T(store_weight)(const struct tc_job *job, const struct element *at)
{
    const REAL *const x = job->x.data, *const y = job->y.data;
    const struct tc_range *const v = at->joined;
    REAL sum = 0;
    for (ptrdiff_t n = 0; n < job->problem->n && !tc_is_stopped(job->watch); n++) {
        for (ptrdiff_t d = v[TC_D].begin; d < v[TC_D].end; d++) {
            for (ptrdiff_t h = v[TC_H].begin; h < v[TC_H].end; h++) {
                const ptrdiff_t from =
                    at->x + n * job->x.n + d * at->x_step[TC_D] + h * at->x_step[TC_H];
                const ptrdiff_t with =
                    at->y + n * job->y.n + d * at->y_step[TC_D] + h * at->y_step[TC_H];
                for (ptrdiff_t w = v[TC_W].begin; w < v[TC_W].end; w++) {
                    sum += x[from + w * at->x_step[TC_W]] * y[with + w * at->y_step[TC_W]];
                }
            }
        }
    }
    ((REAL *)job->w.data)[at->w] = sum;
}

#undef REAL
#undef T
