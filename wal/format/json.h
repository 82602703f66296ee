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
 * The caller asks the encoder for the next bytes again and again, as many as it has room
 * for, so a record of any size needs no memory of its own.
 */
#ifndef FORMAT_JSON_H
#define FORMAT_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/record.h"

struct json_record {		/* an encoder's state; the caller uses no field of it */
	struct record_view v;
	unsigned state;
	size_t	 at;		/* offset in the headers */
	struct record_header h;
	unsigned mode;		/* how the token is written: as it is, as a string, in base64 */
	const uint8_t *p;	/* the n bytes of the token that are left */
	size_t	 n;
	uint64_t rest;		/* bytes of the body that were not fed yet */
	uint8_t	 carry[3];	/* bytes of the body that do not make a group of three yet */
	char	 lit[96];
};

/* The first `have` of the record's len bytes, at least its head, are at data and must stay
 * there until the encoder is done; the others come by json_record_feed. */
void json_record_start(struct json_record *j, unsigned lane, uint64_t seq, uint64_t time_ms,
		       const uint8_t *data, size_t have, uint64_t len);
/* Writes up to n bytes (n >= JSON_ROOM) of what is left into buf; returns how many.
 * 0: the line is complete, or the encoder needs more of the body (json_record_hungry). */
size_t json_record_more(struct json_record *j, char *buf, size_t n);
#define JSON_ROOM 128u
/* How many bytes of the body must be fed next, so that their JSON fits into n bytes of room;
 * 0: the encoder needs none now. */
size_t json_record_hungry(const struct json_record *j, size_t n);
/* Feeds the n bytes at p, at most as many as json_record_hungry said; their JSON goes to buf. */
size_t json_record_feed(struct json_record *j, const uint8_t *p, size_t n, char *buf, size_t room);

/* Writes the line that says that the lane has no records from..to; to < from means the
 * one record `from`.  reason is a word or sentence without quotes.
 * Returns the length (< n; n >= JSON_ROOM + strlen(reason)). */
size_t json_gap(char *buf, size_t n, unsigned lane, uint64_t from, uint64_t to,
		const char *reason);

/* Writes ms since 1970 as 2026-11-21T00:38:20.123Z: always 24 characters and the NUL.  Times
 * behind the year 9999 are written as its end. */
#define JSON_TIME 25u
void json_time(char buf[JSON_TIME], uint64_t ms);

#endif
