/* SPDX-License-Identifier: BSD-2-Clause */
/* record.c - finds the parts of a stored record (record.h). */
#include "format/record.h"

#include <string.h>
#include <strings.h>

static const char *record_find(const char *p, const char *end, const char *what, size_t n)
{
	return p < end ? memmem(p, (size_t)(end - p), what, n) : NULL;
}

/* Parses METHOD SP TARGET SP VERSION; false: the line is something else. */
static bool request_line(struct record_view *v, const char *p, const char *end)
{
	const char *a = memchr(p, ' ', (size_t)(end - p)), *b;

	if (!a || a == p)
		return false;
	b = memchr(a + 1, ' ', (size_t)(end - a - 1));
	if (!b || b == a + 1 || end - b < 6 || memcmp(b + 1, "HTTP/", 5))
		return false;
	v->method = p;
	v->method_len = (size_t)(a - p);
	v->target = a + 1;
	v->target_len = (size_t)(b - a - 1);
	return true;
}

void record_view(struct record_view *v, const uint8_t *data, size_t len)
{
	const char *p = (const char *)data, *end = p + len;
	const char *line = record_find(p, end, "\r\n", 2);
	const char *empty = line ? record_find(line, end, "\r\n\r\n", 4) : NULL;

	memset(v, 0, sizeof *v);
	v->body = data;
	v->body_len = len;
	if (!empty || !request_line(v, p, line))
		return;
	v->headers = line + 2;
	v->headers_len = (size_t)(empty + 2 - v->headers);
	v->body = (const uint8_t *)empty + 4;
	v->body_len = (size_t)(end - empty - 4);
}

static bool record_blank(char c)
{
	return c == ' ' || c == '\t';
}

bool record_header_next(const struct record_view *v, size_t *at, struct record_header *h)
{
	const char *p, *end, *eol, *colon;

	while (v->headers && *at < v->headers_len) {
		p = v->headers + *at;
		end = v->headers + v->headers_len;
		eol = record_find(p, end, "\r\n", 2);
		if (!eol)
			return false;
		*at = (size_t)(eol + 2 - v->headers);
		if (eol == p)
			continue;
		colon = memchr(p, ':', (size_t)(eol - p));
		h->name = p;
		h->name_len = (size_t)((colon ? colon : eol) - p);
		h->value = colon ? colon + 1 : eol;
		while (h->value < eol && record_blank(*h->value))
			h->value++;
		while (eol > h->value && record_blank(eol[-1]))
			eol--;
		h->value_len = (size_t)(eol - h->value);
		return true;
	}
	return false;
}

bool record_header_find(const struct record_view *v, const char *name, struct record_header *h)
{
	size_t at = 0, n = strlen(name);

	while (record_header_next(v, &at, h))
		if (h->name_len == n && !strncasecmp(h->name, name, n))
			return true;
	return false;
}
