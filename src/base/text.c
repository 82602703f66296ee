/* SPDX-License-Identifier: BSD-2-Clause */
/* text.c - see text.h. */
#include "base/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool text_room(struct text *t, size_t n)
{
	size_t cap = t->cap ? t->cap : 1024;
	char *p;

	if (t->failed)
		return false;
	if (t->cap - t->n >= n)
		return true;
	while (cap - t->n < n)
		cap *= 2;
	p = realloc(t->p, cap);
	if (!p) {
		t->failed = true;
		return false;
	}
	t->p = p;
	t->cap = cap;
	return true;
}

void text_add(struct text *t, const void *p, size_t n)
{
	if (!n || !text_room(t, n))
		return;
	memcpy(t->p + t->n, p, n);
	t->n += n;
}

void text_str(struct text *t, const char *s)
{
	text_add(t, s, strlen(s));
}

void text_u64(struct text *t, uint64_t v)
{
	text_f(t, "%" PRIu64, v);
}

void text_f(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 || !text_room(t, (size_t)n + 1))
		return;
	va_start(ap, fmt);
	vsnprintf(t->p + t->n, (size_t)n + 1, fmt, ap);
	va_end(ap);
	t->n += (size_t)n;
}

/* The number of bytes of the UTF-8 character at s; 0: there is none. */
static size_t utf8(const unsigned char *s)
{
	static const struct { unsigned char lead, mask, low, high; } len[] = {
		{ 0xc0, 0xe0, 0x80, 0xbf }, { 0xe0, 0xf0, 0x80, 0xbf }, { 0xf0, 0xf8, 0x80, 0xbf },
	};
	size_t i, k;

	if (*s < 0x80)
		return 1;
	if (*s < 0xc2 || *s > 0xf4)
		return 0;
	for (i = 0; i < 3 && (*s & len[i].mask) != len[i].lead; i++)
		;
	if (i == 3 || (*s == 0xe0 && s[1] < 0xa0) || (*s == 0xed && s[1] > 0x9f) ||
	    (*s == 0xf0 && s[1] < 0x90) || (*s == 0xf4 && s[1] > 0x8f))
		return 0;
	for (k = 1; k <= i + 1; k++)
		if ((s[k] & 0xc0) != 0x80)
			return 0;
	return i + 2;
}

void text_json(struct text *t, const char *s)
{
	size_t n;

	text_str(t, "\"");
	for (; *s; s += n ? n : 1) {
		n = utf8((const unsigned char *)s);
		if (!n || (unsigned char)*s < 0x20)
			text_str(t, "?");
		else if (*s == '"' || *s == '\\')
			text_f(t, "\\%c", *s);
		else
			text_add(t, s, n);
	}
	text_str(t, "\"");
}

void text_free(struct text *t)
{
	free(t->p);
	memset(t, 0, sizeof *t);
}
