/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * json.c - a stored record written as one line of JSON (json.h).
 *
 * The encoder is a list of tokens, made one after the other by token(): bytes to
 * be copied, bytes to be escaped, bytes to be written in base64.  json_record_more
 * writes what of the current token fits and asks for the next; nothing is ever
 * measured beforehand, so it can stop and go on after any output character group.
 */
#include "format/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- time ---- */

void json_time(char buf[JSON_TIME], uint64_t ms)
{
	uint64_t days, y, doy, mp, z;
	unsigned d, m, sec;

	if (ms > 253402300799999u)	/* 9999-12-31T23:59:59.999Z */
		ms = 253402300799999u;
	days = ms / 86400000;
	sec = (unsigned)(ms / 1000 % 86400);
	/* The date from the days, with years that are counted from March 0000. */
	z = days + 719468;
	y = (z % 146097 - z % 146097 / 1460 + z % 146097 / 36524 - z % 146097 / 146096) / 365;
	doy = z % 146097 - (365 * y + y / 4 - y / 100);
	mp = (5 * doy + 2) / 153;
	d = (unsigned)(doy - (153 * mp + 2) / 5 + 1);
	m = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
	y += z / 146097 * 400 + (m <= 2);
	snprintf(buf, JSON_TIME, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", (unsigned)y % 10000,
		 m % 100, d % 100, sec / 3600 % 100, sec / 60 % 60, sec % 60, (unsigned)(ms % 1000));
}

/* ---- the encoder ---- */

enum { PLAIN, STRING, BASE64 };

enum {				/* the token that comes next */
	S_METHOD, S_METHOD_END, S_TARGET, S_TARGET_END,
	S_HEADER, S_NAME, S_NAME_END, S_VALUE, S_BODY, S_TAIL, S_DONE
};

static void bytes(struct json_record *j, unsigned mode, const void *p, size_t n, unsigned next)
{
	j->mode = mode;
	j->p = p;
	j->n = n;
	j->state = next;
}

static void literal(struct json_record *j, const char *text, unsigned next)
{
	bytes(j, PLAIN, text, strlen(text), next);
}

void json_record_start(struct json_record *j, unsigned lane, uint64_t seq, uint64_t time_ms,
		       const uint8_t *data, size_t have, uint64_t len)
{
	char t[JSON_TIME];

	memset(j, 0, sizeof *j);
	record_view(&j->v, data, have);
	j->rest = len - have;
	json_time(t, time_ms);
	snprintf(j->lit, sizeof j->lit, "{\"record\":\"%u-%" PRIu64 "\",\"time\":\"%s\",\"method\":",
		 lane, seq, t);
	literal(j, j->lit, S_METHOD);
}

/* Makes the next token; false: there is none any more. */
static bool token(struct json_record *j)
{
	const struct record_view *v = &j->v;
	bool first;

	switch (j->state) {
	case S_METHOD:
		if (!v->method)
			literal(j, "null,\"target\":null,\"headers\":[", S_HEADER);
		else
			literal(j, "\"", S_METHOD_END);
		return true;
	case S_METHOD_END:
		bytes(j, STRING, v->method, v->method_len, S_TARGET);
		return true;
	case S_TARGET:
		literal(j, "\",\"target\":\"", S_TARGET_END);
		return true;
	case S_TARGET_END:
		bytes(j, STRING, v->target, v->target_len, S_HEADER);
		return true;
	case S_HEADER:
		first = j->at == 0;
		if (record_header_next(v, &j->at, &j->h))
			literal(j, first ? "\",\"headers\":[[\"" : "\"],[\"", S_NAME);
		else if (!first)
			literal(j, "\"]],\"body\":\"", S_BODY);
		else
			literal(j, v->method ? "\",\"headers\":[],\"body\":\"" : "],\"body\":\"", S_BODY);
		return true;
	case S_NAME:
		bytes(j, STRING, j->h.name, j->h.name_len, S_NAME_END);
		return true;
	case S_NAME_END:
		literal(j, "\",\"", S_VALUE);
		return true;
	case S_VALUE:
		bytes(j, STRING, j->h.value, j->h.value_len, S_HEADER);
		return true;
	case S_BODY:
		bytes(j, BASE64, v->body, v->body_len, S_TAIL);
		return true;
	case S_TAIL:
		literal(j, "\"}\n", S_DONE);
		return true;
	}
	return false;
}

static char *plain(struct json_record *j, char *o, const char *end)
{
	size_t n = (size_t)(end - o);

	if (n > j->n)
		n = j->n;
	memcpy(o, j->p, n);
	j->p += n;
	j->n -= n;
	return o + n;
}

static char *string(struct json_record *j, char *o, const char *end)
{
	static const char hex[] = "0123456789abcdef";

	for (; j->n && end - o >= 6; j->p++, j->n--) {
		uint8_t c = *j->p;

		if (c == '"' || c == '\\') {
			*o++ = '\\';
			*o++ = (char)c;
		} else if (c < 0x20 || c > 0x7e) {
			memcpy(o, "\\u00", 4);
			o[4] = hex[c >> 4];
			o[5] = hex[c & 15];
			o += 6;
		} else {
			*o++ = (char)c;
		}
	}
	return o;
}

static char *base64(struct json_record *j, char *o, const char *end)
{
	static const char set[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const uint8_t *p = j->p;
	uint32_t w;

	for (; j->n >= 3 && end - o >= 4; p += 3, j->n -= 3, o += 4) {
		w = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
		o[0] = set[w >> 18];
		o[1] = set[w >> 12 & 63];
		o[2] = set[w >> 6 & 63];
		o[3] = set[w & 63];
	}
	if (j->n && j->n < 3 && j->rest) {
		memmove(j->carry, p, j->n);
		p = j->carry;
	} else if (j->n && j->n < 3 && end - o >= 4) {
		w = (uint32_t)p[0] << 16 | (j->n == 2 ? (uint32_t)p[1] << 8 : 0);
		o[0] = set[w >> 18];
		o[1] = set[w >> 12 & 63];
		o[2] = j->n == 2 ? set[w >> 6 & 63] : '=';
		o[3] = '=';
		o += 4;
		j->n = 0;
	}
	j->p = p;
	return o;
}

size_t json_record_more(struct json_record *j, char *buf, size_t n)
{
	char *o = buf, *end = buf + n;

	for (;;) {
		if (j->mode == PLAIN)
			o = plain(j, o, end);
		else if (j->mode == STRING)
			o = string(j, o, end);
		else
			o = base64(j, o, end);
		if (j->n || (j->mode == BASE64 && j->rest) || !token(j))
			return (size_t)(o - buf);
	}
}

size_t json_record_hungry(const struct json_record *j, size_t n)
{
	size_t most = n / 4 * 3;

	if (j->mode != BASE64 || j->n >= 3 || most <= j->n)
		return 0;
	return most - j->n < j->rest ? most - j->n : (size_t)j->rest;
}

size_t json_record_feed(struct json_record *j, const uint8_t *p, size_t n, char *buf, size_t room)
{
	char *o = buf, *end = buf + room;

	j->rest -= n;
	if (j->n) {			/* fill up the group of three that was begun */
		while (j->n < 3 && n) {
			j->carry[j->n++] = *p++;
			n--;
		}
		j->p = j->carry;
		o = base64(j, o, end);
	}
	if (n) {
		j->p = p;
		j->n = n;
		o = base64(j, o, end);
	}
	return (size_t)(o - buf);
}

size_t json_gap(char *buf, size_t n, unsigned lane, uint64_t from, uint64_t to,
		const char *reason)
{
	int r;

	if (to <= from)
		r = snprintf(buf, n, "{\"gap\":\"%u-%" PRIu64 "\",\"reason\":\"%s\"}\n",
			     lane, from, reason);
	else
		r = snprintf(buf, n, "{\"gap\":\"%u-%" PRIu64 "..%" PRIu64 "\",\"reason\":\"%s\"}\n",
			     lane, from, to, reason);
	return (size_t)r < n ? (size_t)r : n - 1;
}
