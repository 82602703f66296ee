/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_ring.c - the kernel module's index arithmetic (kmod/ring.h) against a process that
 * writes what it likes into the shared page.
 *
 * The kernel's side is played as SYNC does it: look, take what is ready, produce what
 * there is room for, publish.  Beside it runs an oracle that counts with 64 bits and so
 * knows which of the user's indices are possible; arrays are of their exact size, so that
 * a sanitizer sees the first entry out of bounds.
 */
#include <stddef.h>

#include "../../kmod/ring.h"
#include "fuzz.h"

struct world {
	struct paste_shared *s;
	struct paste_event *events;
	struct paste_command *commands;
	uint32_t *releases;
	struct paste_out ev;
	struct paste_in cmd, rel;
	uint64_t ev_tail, ev_head, cmd_tail, cmd_head, rel_tail, rel_head;	/* the truth */
};

/* The number in [from, from + n] that looks like v; or -1. */
static int64_t meant(uint64_t from, uint64_t n, uint32_t v)
{
	for (uint64_t i = from; i <= from + n; i++)
		if ((uint32_t)i == v)
			return (int64_t)i;
	return -1;
}

static void agree(const struct world *w)
{
	fuzz_check(w->ev.tail == (uint32_t)w->ev_tail && w->ev.head == (uint32_t)w->ev_head, "event indices");
	fuzz_check(w->cmd.head == (uint32_t)w->cmd_head && w->cmd.tail == (uint32_t)w->cmd_tail, "command indices");
	fuzz_check(w->rel.head == (uint32_t)w->rel_head && w->rel.tail == (uint32_t)w->rel_tail, "release indices");
	fuzz_check(paste_out_room(&w->ev) == w->ev.entries - (w->ev_tail - w->ev_head), "room");
	fuzz_check(paste_out_room(&w->ev) <= w->ev.entries, "room");
	fuzz_check(paste_in_ready(&w->cmd) <= w->cmd.entries && paste_in_ready(&w->rel) <= w->rel.entries, "ready");
}

static void sync_once(struct world *w, unsigned take, unsigned make)
{
	int64_t head = meant(w->ev_head, w->ev_tail - w->ev_head, w->s->ev_head.v);
	int64_t cmd = meant(w->cmd_tail, w->cmd.entries - (w->cmd_tail - w->cmd_head), w->s->cmd_tail.v);
	int64_t rel = meant(w->rel_tail, w->rel.entries - (w->rel_tail - w->rel_head), w->s->rel_tail.v);
	bool legal = head >= 0 && cmd >= 0 && rel >= 0;
	struct paste_command c;

	fuzz_check(paste_look(&w->ev, &w->cmd, &w->rel, w->s) == legal, "%u %u %u", w->s->ev_head.v,
		   w->s->cmd_tail.v, w->s->rel_tail.v);
	if (legal) {
		w->ev_head = (uint64_t)head;
		w->cmd_tail = (uint64_t)cmd;
		w->rel_tail = (uint64_t)rel;
	}
	agree(w);
	if (!legal)
		return;
	for (; paste_in_ready(&w->rel); w->rel_head++)
		fuzz_check(w->releases[paste_in_next(&w->rel)] == 7, "release");
	for (; take && paste_in_ready(&w->cmd); take--, w->cmd_head++) {
		const struct paste_command *at = &w->commands[paste_in_peek(&w->cmd)];

		fuzz_check(at == &w->commands[paste_in_next(&w->cmd)], "peek");
		paste_copy_command(&c, at);
		fuzz_check(!memcmp(&c, at, sizeof(c)), "command");
	}
	for (; make && paste_out_room(&w->ev); make--, w->ev_tail++)
		w->events[paste_out_next(&w->ev)] = (struct paste_event){ .kind = PASTE_EV_DATA };
	paste_publish(&w->ev, &w->cmd, &w->rel, w->s);
	agree(w);
	fuzz_check(w->s->ev_tail.v == w->ev.tail && w->s->cmd_head.v == w->cmd.head &&
		   w->s->rel_head.v == w->rel.head, "published");
}

static uint32_t entries(uint8_t b)
{
	return 8u << b % 5;
}

static void init(struct world *w, struct taste *t)
{
	uint32_t from;

	memset(w, 0, sizeof(*w));
	w->s = calloc(1, sizeof(*w->s));
	w->ev.entries = entries(taste8(t));
	w->cmd.entries = entries(taste8(t));
	w->rel.entries = entries(taste8(t));
	from = taste32(t);		/* near a wrap, if the input says so */
	w->ev.tail = w->ev.head = w->cmd.tail = w->cmd.head = w->rel.tail = w->rel.head = from;
	w->ev_tail = w->ev_head = w->cmd_tail = w->cmd_head = w->rel_tail = w->rel_head = from;
	w->s->ev_head.v = w->s->cmd_tail.v = w->s->rel_tail.v = from;
	w->events = calloc(w->ev.entries, sizeof(*w->events));
	w->commands = calloc(w->cmd.entries, sizeof(*w->commands));
	w->releases = calloc(w->rel.entries, sizeof(*w->releases));
	if (!w->s || !w->events || !w->commands || !w->releases)
		abort();
	for (uint32_t i = 0; i < w->rel.entries; i++)
		w->releases[i] = 7;
	for (uint32_t i = 0; i < w->cmd.entries; i++)
		w->commands[i] = (struct paste_command){ .addr = i, .conn = i, .op = PASTE_OP_SEND };
}

/* The arrays follow each other in the mapping, aligned, without overlap. */
static void lay_out(struct taste *t)
{
	uint32_t n[3];
	struct paste_layout l;

	for (int i = 0; i < 3; i++) {
		n[i] = taste32(t);
		if (!paste_entries_ok(n[i]))
			n[i] = PASTE_ENTRIES_MIN << taste8(t) % 18;
		fuzz_check(paste_entries_ok(n[i]), "%u", n[i]);
	}
	l = paste_lay_out(n[0], n[1], n[2]);
	fuzz_check(l.ev_off == sizeof(struct paste_shared), "events");
	fuzz_check(l.cmd_off - l.ev_off == n[0] * sizeof(struct paste_event), "commands");
	fuzz_check(l.rel_off - l.cmd_off == n[1] * sizeof(struct paste_command), "releases");
	fuzz_check(l.bytes - l.rel_off == n[2] * sizeof(uint32_t), "end");
	fuzz_check(!((l.ev_off | l.cmd_off | l.rel_off) % 64), "alignment");
	fuzz_check(l.bytes < UINT32_MAX, "map_bytes has 32 bits");
}

static uint32_t *index_of(struct world *w, unsigned i)
{
	uint32_t *all[] = { &w->s->ev_head.v, &w->s->cmd_tail.v, &w->s->rel_tail.v,
			    &w->s->ev_tail.v, &w->s->cmd_head.v, &w->s->rel_head.v };

	return all[i % 6];
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t n)
{
	struct taste t = { in, n };
	struct world w;

	init(&w, &t);
	lay_out(&t);
	while (t.n) {
		uint8_t op = taste8(&t), k = taste8(&t);

		switch (op % 6) {
		case 0:		/* a good user */
			w.s->ev_head.v = (uint32_t)w.ev_head + k % ((uint32_t)(w.ev_tail - w.ev_head) + 1);
			w.s->cmd_tail.v = (uint32_t)w.cmd_tail +
				k % (w.cmd.entries - (uint32_t)(w.cmd_tail - w.cmd_head) + 1);
			w.s->rel_tail.v = (uint32_t)w.rel_tail + k % (w.rel.entries + 1);
			break;
		case 1:		/* near the truth */
			*index_of(&w, k) += (uint32_t)(int8_t)taste8(&t);
			break;
		case 2:		/* anything */
			*index_of(&w, k) = taste32(&t);
			break;
		default:
			sync_once(&w, k & 15, k >> 4 | (op & 64));
			break;
		}
	}
	free(w.s);
	free(w.events);
	free(w.commands);
	free(w.releases);
	return 0;
}
