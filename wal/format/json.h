/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * json.h - a record as one line of JSON: what `pasted-recover dump --json` and
 * /-/records/<lane>-<from>..<to> write, byte for byte the same.
 *
 *   {"record":"0-17","time":"2026-11-21T00:38:20.123Z","method":"POST",
 *    "target":"/orders","headers":[["Host","x"],["Content-Type","text/plain"]],
 *    "body":"aGVsbG8="}
 *
 * on one line, ended by a newline.  Headers are an array of [name, value], as they
 * came and in their order, so that repeated ones survive.  The body is base64
 * (RFC 4648, padded).  Bytes of method, target and headers above 0x7e are written
 * as \u0080 .. \u00ff (\u007f too), one escape per byte (Latin-1): text.encode("latin-1") gives the
 * bytes back whatever they were.  A record whose head cannot be read (no empty
 * line, no request line) has method and target null, no headers, and all its
 * bytes in body.
 *
 * Records that should be there and are not are lines too:
 *
 *   {"gap":"0-18..19","reason":"damaged"}
 *
 * The encoder is pulled: it fills what room it is given and goes on from there,
 * so a record of any size needs no memory of its own.
 */
#ifndef FORMAT_JSON_H
#define FORMAT_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/record.h"

struct json_record {		/* an encoder under way; no field is the caller's */
	struct record_view v;
	unsigned state;
	size_t	 at;		/* in the headers */
	struct record_header h;
	unsigned mode;		/* of the token: as it is, string, base64 */
	const uint8_t *p;	/* what of it is left */
	size_t	 n;
	uint64_t rest;		/* bytes of the body that were not fed yet */
	uint8_t	 carry[3];	/* those that did not make a group of three */
	char	 lit[96];
};

/* The first `have` of the record's len bytes are at data, its head among them, and must
 * stay until the encoder is done; json_record_feed brings the rest. */
void json_record_start(struct json_record *j, unsigned lane, uint64_t seq, uint64_t time_ms,
		       const uint8_t *data, size_t have, uint64_t len);
/* Writes up to n bytes (n >= JSON_ROOM) of what is left into buf; returns how many;
 * 0: the line is complete, or json_record_hungry. */
size_t json_record_more(struct json_record *j, char *buf, size_t n);
#define JSON_ROOM 128u
/* How many more bytes of the body the encoder can write into n bytes of room, when it can
 * do nothing without them; 0: it needs none. */
size_t json_record_hungry(const struct json_record *j, size_t n);
/* Writes the n bytes at p, at most as many as json_record_hungry said, into buf. */
size_t json_record_feed(struct json_record *j, const uint8_t *p, size_t n, char *buf, size_t room);

/* The line of records from..to of the lane that are not there; to < from means
 * the one record `from`.  reason is a fixed word or sentence without quotes.
 * Returns the length (< n; n >= JSON_ROOM + strlen(reason)). */
size_t json_gap(char *buf, size_t n, unsigned lane, uint64_t from, uint64_t to,
		const char *reason);

/* ms since 1970 as 2026-11-21T00:38:20.123Z; always 24 characters and the NUL for
 * the years to 9999, later ones are clamped. */
#define JSON_TIME 25u
void json_time(char buf[JSON_TIME], uint64_t ms);

#endif
