/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * http_check.c - the grammar of HTTP/1 requests (RFC 9112), byte by byte.
 *
 * One state per place in the grammar, so that the bytes may come cut anywhere.  Each
 * function check_.. takes bytes while its state lasts and returns how many were right; it
 * changes the state with the last of them.
 */
#include "http/http_check.h"

#include <string.h>

#define METHOD_PRI HTTP_METHODS	/* of the preface of HTTP/2, whose version then is refused: 505 */
#define NO_PROXY "the PROXY protocol is not spoken here"

enum form { FORM_NONE, FORM_STAR, FORM_SCHEME, FORM_HOST, FORM_PATH };

/* ---- classes of bytes ---- */
enum { C_TOKEN = 1, C_VALUE = 2, C_TARGET = 4, C_HOST = 8, C_HEX = 16, C_DIGIT = 32, C_QUOTED = 64 };

#define IS(c, a, b)	((c) >= (a) && (c) <= (b))
#define ALPHA(c)	(IS(c, 'a', 'z') || IS(c, 'A', 'Z'))
#define DIGIT(c)	IS(c, '0', '9')
#define SUB_TOKEN(c)	((c) == '!' || (c) == '#' || (c) == '$' || (c) == '%' || (c) == '&' || \
			 (c) == '\'' || (c) == '*' || (c) == '+' || (c) == '-' || (c) == '.' || \
			 (c) == '^' || (c) == '_' || (c) == '`' || (c) == '|' || (c) == '~')
#define SUB_HOST(c)	((c) == '-' || (c) == '.' || (c) == '_' || (c) == '~' || (c) == '!' || \
			 (c) == '$' || (c) == '&' || (c) == '\'' || (c) == '(' || (c) == ')' || \
			 (c) == '*' || (c) == '+' || (c) == ';' || (c) == '=')
#define NO_TARGET(c)	((c) == '"' || (c) == '<' || (c) == '>' || (c) == '#' || (c) == '%')
#define CLASS(c)	((ALPHA(c) || DIGIT(c) || SUB_TOKEN(c) ? C_TOKEN : 0) | \
			 (IS(c, ' ', '~') || (c) >= 0x80 ? C_VALUE : 0) | \
			 (IS(c, '!', '~') && !NO_TARGET(c) ? C_TARGET : 0) | \
			 (ALPHA(c) || DIGIT(c) || SUB_HOST(c) ? C_HOST : 0) | \
			 (DIGIT(c) || IS(c, 'a', 'f') || IS(c, 'A', 'F') ? C_HEX : 0) | \
			 (DIGIT(c) ? C_DIGIT : 0) | \
			 ((IS(c, ' ', '~') || (c) == '\t' || (c) >= 0x80) && \
			  (c) != '"' && (c) != '\\' ? C_QUOTED : 0))
#define CLASS4(c)	CLASS(c), CLASS((c) + 1), CLASS((c) + 2), CLASS((c) + 3)
#define CLASS16(c)	CLASS4(c), CLASS4((c) + 4), CLASS4((c) + 8), CLASS4((c) + 12)
#define CLASS64(c)	CLASS16(c), CLASS16((c) + 16), CLASS16((c) + 32), CLASS16((c) + 48)

static const uint8_t class_of[256] = { CLASS64(0), CLASS64(64), CLASS64(128), CLASS64(192) };

static bool is(uint8_t c, unsigned class)
{
	return class_of[c] & class;
}

/* How many bytes from p on are of a class.  Four a round, for most bytes of a head pass here. */
static size_t run_of(const uint8_t *p, size_t n, unsigned class)
{
	size_t i = 0;

	for (; n - i >= 4; i += 4) {
		if (!is(p[i], class))
			return i;
		if (!is(p[i + 1], class))
			return i + 1;
		if (!is(p[i + 2], class))
			return i + 2;
		if (!is(p[i + 3], class))
			return i + 3;
	}
	while (i < n && is(p[i], class))
		i++;
	return i;
}

/* Whether eight bytes are all of C_VALUE. */
static bool eight_of_value(const uint8_t *p)
{
	const uint64_t one = 0x0101010101010101u;
	uint64_t v, del;

	memcpy(&v, p, 8);
	del = v ^ 0x7f * one;
	return !((((v - ' ' * one) & ~v) | ((del - one) & ~del)) & 0x80 * one);
}

static size_t run_of_value(const uint8_t *p, size_t n)
{
	size_t i = 0;

	while (n - i >= 8 && eight_of_value(p + i))
		i += 8;
	return i + run_of(p + i, n - i, C_VALUE);
}

/* The byte p[i] is refused: i bytes were right. */
static size_t http_check_refuse(struct http *h, size_t i, unsigned status, const char *reason)
{
	http_fail(h, status, reason);
	return i;
}

static const struct {
	const char *name;
	uint8_t len, method;
} methods[] = {
	{ "GET", 3, HTTP_GET }, { "POST", 4, HTTP_POST }, { "PUT", 3, HTTP_PUT },
	{ "PATCH", 5, HTTP_PATCH }, { "DELETE", 6, HTTP_DELETE }, { "HEAD", 4, HTTP_HEAD_METHOD },
	{ "OPTIONS", 7, HTTP_OPTIONS }, { "PRI", 3, METHOD_PRI },
};

static unsigned find_method(const char *name, size_t len)
{
	for (size_t m = 0; m < sizeof(methods) / sizeof(methods[0]); m++)
		if (methods[m].len == len && memcmp(methods[m].name, name, len) == 0)
			return methods[m].method;
	return HTTP_NONE;
}

/* Whether the bytes begin as the first version of the PROXY protocol does, and no method. */
static bool is_prox(const struct http *h)
{
	return h->name_len >= 4 && !memcmp(h->name, "PROX", 4);
}

/* Whether bytes that follow can make a method of these, or "PROX". */
static bool begins_method(const char *name, size_t len)
{
	if (len == 3 && !memcmp(name, "PRO", 3))
		return true;
	for (size_t m = 0; m < sizeof(methods) / sizeof(methods[0]); m++)
		if (methods[m].len >= len && memcmp(methods[m].name, name, len) == 0)
			return true;
	return false;
}

size_t http_check_blanks(struct http *h, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (h->state == ST_BLANK_LF) {
			if (p[i] != '\n')
				return http_check_refuse(h, i, 400, "CR without LF");
			h->state = ST_BLANK;
		} else if (p[i] != '\r') {
			if (p[i] == '\0' && h->blanks == 2)	/* PROXY protocol, second version */
				return http_check_refuse(h, i, 400, NO_PROXY);
			if (p[i] == 0x16 && !h->blanks)
				return http_check_refuse(h, i, 400, "this is TLS, and the port speaks plain HTTP");
			h->state = ST_METHOD;
			return i;
		} else if (++h->blanks > HTTP_BLANKS_MAX) {
			return http_check_refuse(h, i, 400, "too many empty lines");
		} else {
			h->state = ST_BLANK_LF;
		}
	}
	return n;
}

static size_t check_method(struct http *h, const uint8_t *p, size_t n)
{
	size_t i = run_of(p, n, C_TOKEN), before = h->name_len, room = sizeof(h->name) - before;

	memcpy(h->name + before, p, i < room ? i : room);
	h->name_len += i < room ? i : room;
	if (i == n) {
		if (is_prox(h))
			return http_check_refuse(h, 3 - before, 501, NO_PROXY);
		if (!begins_method(h->name, h->name_len))
			return http_check_refuse(h, n, 501, "method not supported");
		return n;
	}
	if (!h->name_len || (p[i] != ' ' && begins_method(h->name, h->name_len) && !is_prox(h)))
		return http_check_refuse(h, i, 400, "malformed request line");
	h->req.method = find_method(h->name, h->name_len);
	if (h->req.method == HTTP_NONE)
		return is_prox(h) ? http_check_refuse(h, 3 - before, 501, NO_PROXY) :
		       http_check_refuse(h, i, 501, "method not supported");
	h->req.recorded = h->req.method >= HTTP_POST && h->req.method <= HTTP_DELETE;
	h->name_len = 0;
	h->state = ST_TARGET;
	return i + 1;
}

static void keep_target(struct http *h, const uint8_t *p, size_t n)
{
	if (h->req.target_len < HTTP_TARGET_KEEP) {
		size_t room = HTTP_TARGET_KEEP - h->req.target_len;

		memcpy(h->req.target + h->req.target_len, p, n < room ? n : room);
	}
	h->req.target_len += n;
}

/* Take one byte of host[:port]; in a field's value also of the blanks behind it.  false: the byte is
 * wrong. */
static bool check_host(struct http *h, uint8_t c)
{
	switch (h->host_state) {
	case HOST_START:
		if (c == '[') {
			h->host_state = HOST_IP6;
			return true;
		}
		if (c == ':')
			return false;
		h->host_state = HOST_NAME;
		/* fall through */
	case HOST_NAME:
		if (is(c, C_HOST))
			return true;
		if (c == '%') {
			h->host_state = HOST_PCT1;
			return true;
		}
		break;
	case HOST_PCT1:
	case HOST_PCT2:
		h->host_state = h->host_state == HOST_PCT1 ? HOST_PCT2 : HOST_NAME;
		return is(c, C_HEX);
	case HOST_IP6:
		if (c == ']') {
			h->host_state = HOST_IP6_END;
			return h->host_count >= 2;
		}
		if (c == ':')
			return ++h->host_count <= 8;
		return is(c, C_HEX) || c == '.';
	case HOST_IP6_END:
		break;
	case HOST_PORT:
		if (is(c, C_DIGIT))
			return ++h->host_count <= 5;
		break;
	case HOST_TAIL:
		return c == ' ' || c == '\t';
	}
	if (c == ':' && h->host_state != HOST_PORT) {
		h->host_state = HOST_PORT;
		h->host_count = 0;
		return true;
	}
	h->host_state = HOST_TAIL;
	return c == ' ' || c == '\t';
}

bool http_check_host(struct http *h, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (h->host_state == HOST_NAME)
			i += run_of(p + i, n - i, C_HOST);
		if (i < n && !check_host(h, p[i]))
			return false;
	}
	return true;
}

bool http_host_ends(const struct http *h)
{
	return h->host_state != HOST_PCT1 && h->host_state != HOST_PCT2 && h->host_state != HOST_IP6;
}

/* "http://" or "https://", any case. */
static bool check_scheme(struct http *h, uint8_t c)
{
	static const char word[] = "http";

	if (h->word_pos < 4) {
		if ((c | 0x20) != word[h->word_pos])
			return false;
	} else if (h->word_pos == 4 && (c | 0x20) == 's') {
		/* 5: a colon */
	} else if (h->word_pos <= 5) {
		if (c != ':')
			return false;
		h->word_pos = 5;
	} else if (c != '/') {
		return false;
	}
	if (++h->word_pos == 8) {
		h->form = FORM_HOST;
		h->host_state = HOST_START;
		h->host_count = 0;
		h->word_pos = 0;
	}
	return true;
}

static bool host_done(struct http *h)
{
	return h->host_state != HOST_START && http_host_ends(h);
}

/* Path and query.  word_pos: hex digits that a '%' still needs. */
static size_t check_path(struct http *h, const uint8_t *p, size_t n)
{
	size_t i = 0;

	for (; i < n; i++) {
		if (h->word_pos) {
			if (!is(p[i], C_HEX))
				break;
			h->word_pos--;
			continue;
		}
		i += run_of(p + i, n - i, C_TARGET);
		if (i == n || p[i] != '%')
			break;
		h->word_pos = 2;
	}
	keep_target(h, p, i);
	return i;
}

/* How many bytes of the target are right; 0: p[0] is wrong. */
static size_t check_form(struct http *h, const uint8_t *p, size_t n)
{
	switch (h->form) {
	case FORM_NONE:
		if (p[0] == '/') {
			h->form = FORM_PATH;
			return check_path(h, p, n);
		}
		if (p[0] == '*' && (h->req.method == HTTP_OPTIONS || h->req.method == METHOD_PRI)) {
			h->form = FORM_STAR;
			keep_target(h, p, 1);
			return 1;
		}
		h->form = FORM_SCHEME;
		/* fall through */
	case FORM_SCHEME:
		return check_scheme(h, p[0]);
	case FORM_HOST:
		if (p[0] != '/' && p[0] != '?')
			return p[0] != '\t' && check_host(h, p[0]);
		if (!host_done(h))
			return 0;
		h->form = FORM_PATH;
		if (p[0] == '?')
			keep_target(h, (const uint8_t *)"/", 1);
		return check_path(h, p, n);
	case FORM_PATH:
		return check_path(h, p, n);
	}
	return 0;	/* FORM_STAR: nothing follows */
}

static bool target_done(struct http *h)
{
	const char *t = h->req.target;

	if (h->form == FORM_HOST) {
		keep_target(h, (const uint8_t *)(h->req.method == HTTP_OPTIONS ? "*" : "/"), 1);
		return host_done(h);
	}
	h->req.own = h->req.target_len >= 2 && t[0] == '/' && t[1] == '-' &&
		     (h->req.target_len == 2 || t[2] == '/' || t[2] == '?');
	return h->form == FORM_STAR || (h->form == FORM_PATH && !h->word_pos);
}

static size_t check_target(struct http *h, const uint8_t *p, size_t n)
{
	size_t room = h->lim->target_bytes - h->raw_target_len;
	size_t i = 0;

	while (i < n && p[i] != ' ') {
		size_t took;

		if (i == room)
			return http_check_refuse(h, i, 414, "target too long");
		took = check_form(h, p + i, (n < room ? n : room) - i);
		if (!took && h->form == FORM_PATH && !h->word_pos && (p[i] == '\r' || p[i] == '\n'))
			return http_check_refuse(h, i, 400, "no version: HTTP/0.9 is not spoken");
		if (!took)
			return http_check_refuse(h, i, 400, "malformed target");
		i += took;
	}
	h->raw_target_len += i;
	if (i == n)
		return n;
	if (!target_done(h))
		return http_check_refuse(h, i, 400, "malformed target");
	h->word_pos = 0;
	h->state = ST_VERSION;
	return i + 1;
}

static size_t check_version(struct http *h, const uint8_t *p, size_t n)
{
	static const char word[] = "HTTP/1.x\r\n", usual[] = "HTTP/1.1\r\n";
	enum { MAJOR = 5, MINOR = 7, END = 10 };

	if (!h->word_pos && n >= END && h->req.method != METHOD_PRI && !memcmp(p, usual, END)) {
		h->req.minor = 1;
		h->state = ST_LINE;
		return END;
	}
	for (size_t i = 0; i < n; i++) {
		if (h->word_pos == MINOR && is(p[i], C_DIGIT)) {
			h->req.minor = p[i] != '0';
		} else if (h->word_pos == MAJOR && is(p[i], C_DIGIT) && p[i] != '1') {
			return http_check_refuse(h, i, 505, "version not supported");
		} else if (h->word_pos == MINOR || p[i] != word[h->word_pos]) {
			return http_check_refuse(h, i, 400, "malformed request line");
		} else if (h->word_pos == MAJOR && h->req.method == METHOD_PRI) {
			return http_check_refuse(h, i, 501, "method not supported");
		}
		if (++h->word_pos == END) {
			h->state = ST_LINE;
			return i + 1;
		}
	}
	return n;
}

/* Take field lines up to the empty line, of a head or of trailers. */
static size_t check_fields(struct http *h, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		switch (h->state) {
		case ST_LINE:
			if (p[i] == '\r') {
				h->state = ST_END_LF;
				break;
			}
			if (!is(p[i], C_TOKEN))
				return http_check_refuse(h, i, 400, "malformed field name or folded line");
			if (h->headers == h->lim->headers)
				return http_check_refuse(h, i, 431, "too many fields");
			h->headers++;
			h->state = ST_NAME;
			/* fall through */
		case ST_NAME:
			i += run_of(p + i, n - i, C_TOKEN);
			if (i == n)
				return n;
			if (p[i] != ':')
				return http_check_refuse(h, i, 400, "malformed field name");
			h->state = ST_VALUE;
			break;
		case ST_VALUE:
			i += run_of_value(p + i, n - i);
			if (i == n)
				return n;
			if (p[i] != '\r') {
				if (p[i] != '\t')
					return http_check_refuse(h, i, 400, "malformed field value");
				h->tabs = true;
				break;
			}
			h->state = ST_VALUE_LF;
			break;
		default:
			if (p[i] != '\n')
				return http_check_refuse(h, i, 400, "CR without LF");
			if (h->state == ST_END_LF) {
				h->state = ST_HEAD_END;
				return i + 1;
			}
			h->state = ST_LINE;
		}
	}
	return n;
}

/* A head, from the method to the empty line, at most `room` bytes. */
size_t http_check_head(struct http *h, const uint8_t *p, size_t n, size_t room)
{
	size_t i = 0, max = n < room ? n : room;

	while (i < max && !h->err.status && h->state != ST_HEAD_END) {
		if (h->state >= ST_LINE)
			i += check_fields(h, p + i, max - i);
		else if (h->state == ST_METHOD)
			i += check_method(h, p + i, max - i);
		else if (h->state == ST_TARGET)
			i += check_target(h, p + i, max - i);
		else
			i += check_version(h, p + i, max - i);
	}
	if (i == room && i < n && !h->err.status && h->state != ST_HEAD_END)
		http_fail(h, 431, h->trailing ? "trailers too long" : "head too long");
	return i;
}

static bool http_check_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

/* Take one byte of chunk framing.  Extensions are checked here and nowhere else. */
void http_check_framing(struct http *h, uint8_t c)
{
	switch (h->state) {
	case ST_CHUNK_CR:
		if (c == '\r') {
			h->state = ST_CHUNK_LF;
			return;
		}
		break;
	case ST_CHUNK_LF:
		if (c == '\n') {
			h->state = ST_SIZE;
			return;
		}
		break;
	case ST_SIZE:
		h->word_pos = 0;
		if (!is(c, C_HEX))
			break;
		h->state = ST_SIZE_MORE;
		/* fall through */
	case ST_SIZE_MORE:
		if (is(c, C_HEX) && ++h->word_pos <= 16)
			return;
		if (c == '\r' || c == ';' || http_check_blank(c)) {
			h->state = c == ';' ? ST_EXT : c == '\r' ? ST_SIZE_LF : ST_EXT_GAP;
			return;
		}
		break;
	case ST_EXT_GAP:		/* blanks before an extension, of which there must be one */
	case ST_EXT_NAME_GAP:		/* .. or before the '=' of a value */
		if (c == '=' && h->state == ST_EXT_NAME_GAP)
			h->state = ST_EXT_VALUE;
		else if (c == ';')
			h->state = ST_EXT;
		else if (!http_check_blank(c))
			break;
		return;
	case ST_SIZE_LF:
		if (c == '\n') {
			h->state = ST_CHUNK;
			return;
		}
		break;
	case ST_EXT:
	case ST_EXT_NAME:
		if (is(c, C_TOKEN)) {
			h->state = ST_EXT_NAME;
			return;
		}
		if (h->state == ST_EXT && http_check_blank(c))
			return;
		if (h->state == ST_EXT)
			break;
		if (c == '=' || http_check_blank(c)) {
			h->state = c == '=' ? ST_EXT_VALUE : ST_EXT_NAME_GAP;
			return;
		}
		goto ext_end;
	case ST_EXT_VALUE:
		if (c == '"' || is(c, C_TOKEN)) {
			h->state = c == '"' ? ST_EXT_QUOTED : ST_EXT_TOKEN;
			return;
		}
		if (http_check_blank(c))
			return;
		break;
	case ST_EXT_TOKEN:
		if (is(c, C_TOKEN))
			return;
		goto ext_end;
	case ST_EXT_QUOTED:
		if (c == '"')
			h->state = ST_EXT_QUOTED_END;
		else if (c == '\\')
			h->state = ST_EXT_PAIR;
		else if (!is(c, C_QUOTED))
			break;
		return;
	case ST_EXT_PAIR:
		if (!is(c, C_VALUE) && c != '\t')
			break;
		h->state = ST_EXT_QUOTED;
		return;
	case ST_EXT_QUOTED_END:
	ext_end:
		if (c == '\r' || c == ';' || http_check_blank(c)) {
			h->state = c == ';' ? ST_EXT : c == '\r' ? ST_SIZE_LF : ST_EXT_GAP;
			return;
		}
		break;
	}
	http_fail(h, 400, "malformed chunk");
}

const char *http_method_name(unsigned method)
{
	for (size_t m = 0; m < sizeof(methods) / sizeof(methods[0]); m++)
		if (methods[m].method == method && method < HTTP_METHODS)
			return methods[m].name;
	return "-";
}
