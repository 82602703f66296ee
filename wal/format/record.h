/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * record.h - the parts of a stored record: request line, headers, body (format.h says what a
 * record is).  Nothing is copied or changed: every part points into the record's bytes, and
 * is valid as long as they are.
 */
#ifndef FORMAT_RECORD_H
#define FORMAT_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A record whose head cannot be parsed (no empty line, no request line) is all body. */
struct record_view {
	const char *method, *target;	/* NULL: no request line */
	size_t	 method_len, target_len;
	const char *headers;		/* the first header line, or NULL */
	size_t	 headers_len;		/* up to and with the last header's CRLF */
	const uint8_t *body;
	size_t	 body_len;
};
void record_view(struct record_view *v, const uint8_t *data, size_t len);

struct record_header {
	const char *name, *value;
	size_t	 name_len, value_len;	/* value without the white space around it */
};
/* Goes to v's next header; *at is 0 before the first one.  false: there are no more. */
bool record_header_next(const struct record_view *v, size_t *at, struct record_header *h);
/* Finds the first header of that name, in upper or lower case.  false: there is none. */
bool record_header_find(const struct record_view *v, const char *name, struct record_header *h);

#endif
