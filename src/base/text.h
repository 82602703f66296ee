/* SPDX-License-Identifier: BSD-2-Clause */
/* text.h - text that grows: the bodies and heads that the admin threads make. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A text that is all zero is empty.  After a failed allocation `failed` is set and nothing is
 * added any more. */
struct text {
	char  *p;
	size_t n, cap;
	bool   failed;
};
void text_add(struct text *t, const void *p, size_t n);
void text_str(struct text *t, const char *s);
void text_u64(struct text *t, uint64_t v);
void text_f(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* s in quotes; controls and bytes that are not UTF-8 become '?'. */
void text_json(struct text *t, const char *s);
bool text_room(struct text *t, size_t n);	/* makes room for n bytes behind the text */
void text_free(struct text *t);

#endif
