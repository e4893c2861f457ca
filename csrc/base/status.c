/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/status.h"

#include <stdio.h>
#include <string.h>

void tc_vsay(struct tc_status *status, const char *format, va_list args)
{
    const size_t used = strlen(status->text);
    vsnprintf(status->text + used, sizeof status->text - used, format, args);
}

void tc_say(struct tc_status *status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    tc_vsay(status, format, args);
    va_end(args);
}

enum tc_code tc_fail(struct tc_status *status, enum tc_code code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    status->code = code;
    status->text[0] = '\0';
    tc_vsay(status, format, args);
    va_end(args);
    return code;
}
