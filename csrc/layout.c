/* SPDX-License-Identifier: BSD-3-Clause */
#include "layout.h"

#include <string.h>

static const char *const letters[][2] = {
    {"NCL", "NLC"},
    {"NCHW", "NHWC"},
    {"NCDHW", "NDHWC"},
};

const char *tc_layout_letters(int rank, bool batched, bool last)
{
    return letters[rank - 1][last] + !batched;
}

/* Whether `text` begins with a name; then where it ends. */
static bool read_name(int rank, const char **text, bool *batched, bool *last)
{
    for (int choice = 0; choice < 4; choice++) {
        const char *const name = tc_layout_letters(rank, choice & 1, choice & 2);
        const size_t length = strlen(name);
        const char after = strncmp(*text, name, length) == 0 ? (*text)[length] : 'x';
        if (after == '\0' || after == '-') {
            *batched = choice & 1;
            *last = choice & 2;
            *text += length;
            return true;
        }
    }
    return false;
}

/* One name, or two with an arrow between them that agree on the batch. */
static bool read_layout(struct tc_layout *layout, int rank, const char *text)
{
    bool batched;
    if (!read_name(rank, &text, &layout->batched, &layout->input_last)) {
        return false;
    }
    layout->output_last = layout->input_last;
    if (*text == '\0') {
        return true;
    }
    if (strncmp(text, "->", 2) != 0) {
        return false;
    }
    text += 2;
    return read_name(rank, &text, &batched, &layout->output_last) && *text == '\0' &&
           batched == layout->batched;
}

enum tc_code tc_layout_parse(struct tc_layout *layout, int rank, const char *text,
                             struct tc_status *status)
{
    *layout = (struct tc_layout){.given = text != NULL};
    if (text == NULL || read_layout(layout, rank, text)) {
        return TC_OK;
    }
    tc_fail(status, TC_VALUE, "layout must be one of");
    for (int choice = 0; choice < 4; choice++) {
        tc_say(status, "%s '%s'", choice ? "," : "",
               tc_layout_letters(rank, choice < 2, choice & 1));
    }
    tc_say(status, ", or two of them as in '%s->%s', got '%.40s'",
           tc_layout_letters(rank, true, true), tc_layout_letters(rank, true, false), text);
    return TC_VALUE;
}
