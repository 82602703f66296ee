/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * head.h - writes the heads of all replies: those of the workers (reply.h), of the admin threads
 * (admin_reply.h) and of the start-up thread (startup.h).
 *
 * A head is written to plain memory; the caller makes room for head_room() bytes first.  A field
 * that every reply is to have goes into struct head_common, and nowhere else.
 */
#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the fields that are in each head, with a NUL.  The buffers for heads grow with it. */
#define HEAD_FIELDS	64u

/* The fields that every reply has, whatever its status and whichever thread makes it.  They are
 * made once, at the start. */
struct head_common {
	const char *class;	/* the class's name; outlives this */
	char	 fields[HEAD_FIELDS];	/* Pasted-Class with its CRLF: no client shall take a weak
					 * class for a strong one */
	char	 keep[80];	/* Connection and Keep-Alive where the connection stays open; empty:
				 * the idle timeout is too short to be told */
	unsigned fields_len, keep_len;
};
/* idle_ms: how long a connection may be idle.  Clients are told a second less, so that none sends
 * a request just when the server closes. */
void head_common_init(struct head_common *c, const char *class, unsigned idle_ms);

/* "Sat, 21 Nov 2026 00:38:20 GMT". */
#define HEAD_DATE 40u
void head_date_text(char buf[HEAD_DATE], uint64_t ms);

struct head_date {		/* the field Date of one second */
	uint64_t second;
	unsigned len;
	char	 line[HEAD_DATE + 8];
};
#define HEAD_DATE_NONE ((struct head_date){ .second = UINT64_MAX })
/* Sets d to the second of wall_ms.  True: it is another second than before. */
bool head_date_set(struct head_date *d, uint64_t wall_ms);

struct head {
	int	    status;
	const char *type;	/* Content-Type; NULL: there is no such field */
	uint64_t    len;	/* bytes of the body (also where HEAD leaves it out), or one of these: */
#define HEAD_CHUNKS	UINT64_MAX		/* it comes in chunks */
#define HEAD_UNTOLD	(UINT64_MAX - 1)	/* no field tells its length */
	bool	    close;	/* the connection ends after this reply */
	bool	    old;	/* for a client of HTTP/1.0 */
	const char *front[2];	/* more fields, each with its CRLF, before Connection; NULL: none */
	const char *back[2];	/* the same, after Connection */
};
/* How many bytes head_write() may need for h. */
size_t head_room(const struct head *h, const struct head_common *c);
/* Writes h with its empty line; returns its end. */
char *head_write(char *o, const struct head *h, const struct head_common *c, const struct head_date *d);

/* Writes the interim reply 100; returns its end. */
char *head_continue_write(char *o);

/*
 * The 200 of a recorded request, head and body.  Only the record's name and its length differ
 * from one reply to the next: all else is put together once a second.
 */
struct head_recorded {
	bool	 named;		/* records have names (all classes but none) */
	unsigned start_len, lane_len, tail_len;
	unsigned end_len[3];
	unsigned body_len;	/* without the record's number */
	char	 start[160];	/* the head up to "Content-Length: " */
	char	 lane[16];	/* "3-", with which the name begins */
	char	 end[3][128 + HEAD_FIELDS];	/* behind the name: the rest of the head, and the body
						 * up to the name */
	char	 tail[48];	/* what follows the name in the body */
};
/* lane: the lane of the records.  named: records have names. */
void head_recorded_init(struct head_recorded *r, const struct head_common *c, unsigned lane, bool named);
void head_recorded_clock(struct head_recorded *r, const struct head_date *d);	/* once a second */
/* Writes at most HEAD_RECORDED bytes; returns their end. */
#define HEAD_RECORDED (456u + HEAD_FIELDS)
char *head_recorded_write(char *o, const struct head_recorded *r, uint64_t seq, bool close, bool old);

#endif
