/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * status.h - the statuses of replies, as one table: the reason phrase of each, what goes with it,
 * and the counters of replies by status (counters.h), which are in this order.
 *
 * A status without a row would be sent as "Error" and counted as "other": give it a row, and
 * describe it in pasted(8).
 */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#include <stdbool.h>

/*
 * X(code, reason, body, retry_s).  body: whether a reply of this status has a body, which may be
 * empty.  retry_s: how many seconds Retry-After asks the client to wait; 0: there is no such field.
 */
#define STATUS_TABLE(X) \
	X(100, "Continue", false, 0) \
	X(200, "OK", true, 0) \
	X(204, "No Content", false, 0) \
	X(400, "Bad Request", true, 0) \
	X(404, "Not Found", true, 0) \
	X(405, "Method Not Allowed", true, 0) \
	X(408, "Request Timeout", true, 0) \
	X(410, "Gone", true, 0) \
	X(411, "Length Required", true, 0) \
	X(412, "Precondition Failed", true, 0) \
	X(413, "Content Too Large", true, 0) \
	X(414, "URI Too Long", true, 0) \
	X(415, "Unsupported Media Type", true, 0) \
	X(417, "Expectation Failed", true, 0) \
	X(431, "Request Header Fields Too Large", true, 0) \
	X(500, "Internal Server Error", true, 0) \
	X(501, "Not Implemented", true, 0) \
	X(503, "Service Unavailable", true, 1) \
	X(505, "HTTP Version Not Supported", true, 0) \
	X(507, "Insufficient Storage", true, 10)

struct status {
	int code;		/* 0 in the row for statuses that have none of their own */
	bool body;
	const char *reason;
	const char *retry;	/* the whole field Retry-After with its CRLF; NULL: none */
};

/* The row of a status; for a status without one, a row with the reason "Error". */
const struct status *status_of(int code);

#endif
