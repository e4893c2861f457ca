/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TC_STATUS_H
#define TC_STATUS_H

/* How the core reports a bad call: a class of error and a sentence for the user. The core never
 * logs and never aborts; the caller turns the class into an exception and shows the sentence. */

#include <stdarg.h>

#if defined(__GNUC__)
#define TC_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define TC_PRINTF(text, first)
#endif

enum tc_code { TC_OK = 0, TC_VALUE, TC_TYPE, TC_OVERFLOW, TC_MEMORY };

struct tc_status {
    enum tc_code code;
    char text[640];
};

/* Adds formatted text to status->text; what does not fit is cut off. */
TC_PRINTF(2, 3)
void tc_say(struct tc_status *status, const char *format, ...);
TC_PRINTF(2, 0)
void tc_vsay(struct tc_status *status, const char *format, va_list args);

/* Sets the code and the text, and returns the code. */
TC_PRINTF(3, 4)
enum tc_code tc_fail(struct tc_status *status, enum tc_code code, const char *format, ...);

#endif
