/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * config.h - the command line and the file, as one struct that never changes.
 *
 * Every setting is one row of the table in config.c; --help is printed from it and
 * tests/tidy compares pasted.conf(5) with it.  The command line wins over the file, and
 * any --listen replaces all of the file's.  A wrong value is refused with its place
 * (option, or file and line), the reason, and what would be accepted.
 */
#ifndef CONFIG_H
#define CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "format/class.h"
#include "ring/listen.h"

#define CONFIG_SETTINGS_MAX 64u
#define CONFIG_CLASS_AUTO 0		/* else an enum durability_class */
enum config_ring { CONFIG_RING_AUTO, CONFIG_RING_URING, CONFIG_RING_SOCKET, CONFIG_RING_PASTE };

struct config {
	struct listen_addr listen[LISTEN_MAX];
	unsigned nlisten;
	unsigned unix_mode;		/* of a Unix socket's file */
	char	*store;
	char	*nvmm;			/* directory or device-dax; NULL: none given */
	unsigned class;			/* CONFIG_CLASS_AUTO or a class; nvmm allows nvmm-eadr */
	unsigned ring;			/* enum config_ring */
	char	*nic;			/* network device for ring paste, without "vnet:"; NULL: none */
	char	*pid_file;		/* NULL: none */
	unsigned busy_poll_us;		/* ring paste: poll so long before sleeping */
	unsigned workers;		/* 1 .. LANES_MAX, "auto" resolved */
	uint64_t pool_bytes;		/* all workers together, "auto" resolved */
	uint64_t memory_bytes;		/* of the machine, or what the control group allows */
	unsigned buf_size;		/* 2048 or 4096 */

	uint64_t segment_bytes;
	uint64_t retain_bytes;		/* 0: no limit */
	uint64_t retain_ms;		/* 0: no limit */
	uint64_t head_bytes_max;	/* request line and fields: 431 beyond */
	uint64_t target_bytes_max;	/* 414 beyond */
	unsigned headers_max;		/* fields: 431 beyond */
	uint64_t body_bytes_max;	/* 413 beyond; "auto" resolved */
	unsigned conns_max;		/* per worker */
	unsigned header_timeout_ms;	/* a whole head has so long from its first byte, then 408 */
	unsigned body_timeout_ms;	/* for the next body_rate * timeout bytes of a body: 408 */
	uint64_t body_rate;		/* bytes a second; 0: one byte at least */
	unsigned idle_timeout_ms;	/* a connection without a request is closed then */
	unsigned write_timeout_ms;	/* a client that does not take a reply is cut off then */
	unsigned pushback_ms;		/* a record waits so long for room before 503 */
	unsigned checkpoint_ms;		/* longest time between two checkpoints */
	unsigned checkpoint_bufs;	/* held buffers from which a worker asks for a checkpoint */
	unsigned drain_delay_ms;	/* after SIGTERM: all is served, readyz says draining */
	unsigned drain_ms;		/* after that: requests in flight have so long to end */

	bool	 doctor;
	bool	 adopt;

	const char *file;		/* --config, as in argv; NULL: none */
	unsigned line[CONFIG_SETTINGS_MAX];	/* where the file sets it, 0: not there */
};

enum config_verdict {
	CONFIG_RUN,		/* start (or --doctor) */
	CONFIG_DONE,		/* --help or --version was printed to out: exit 0 */
	CONFIG_WRONG,		/* the reason was printed to err: exit 64 */
};
/* With CONFIG_RUN *c is complete, and the caller frees it with config_free(). */
enum config_verdict config_load(struct config *c, int argc, char *const *argv,
				FILE *out, FILE *err);
void config_free(struct config *c);

/* Where the setting was given, for messages: "--class", or "/etc/pasted.conf:3: class".  Returns
 * buf. */
const char *config_place(const struct config *c, const char *name, char *buf, size_t n);

/* The value of the setting ring in words: "auto", "uring", .. */
const char *config_ring_name(unsigned ring);

#endif
