// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * tx.c - commands.
 *
 * A command is consumed only if the EVENT ring has room for its completion, and none has
 * more than one.  Up to VECTORS SENDs of a group become one sendmsg, with one lock of the
 * socket, one push, and packets that span the pieces.
 */
#include <linux/sched/signal.h>
#include <linux/uio.h>

#include "core.h"

#define VECTORS 16

static void tx_take(struct paste_ring *r, struct paste_command *cmd)
{
	paste_copy_command(cmd, &r->commands[paste_in_next(&r->cmd)]);
	r->stats.commands++;
}

/* Whether the next command, which is not taken, belongs to the same group. */
static bool tx_goes_on(struct paste_ring *r, const struct paste_command *cmd)
{
	struct paste_command next;

	if (!(cmd->flags & PASTE_F_MORE) || !paste_in_ready(&r->cmd))
		return false;
	paste_copy_command(&next, &r->commands[paste_in_peek(&r->cmd)]);
	return next.op == PASTE_OP_SEND && next.conn == cmd->conn;
}

/* ---- SEND ---- */

struct group {
	struct iovec v[VECTORS];
	unsigned int n;
	size_t bytes;
};

static int tx_add(struct group *g, const struct paste_command *cmd)
{
	void __user *at = u64_to_user_ptr(cmd->addr);

	if (cmd->addr != (unsigned long)cmd->addr || !access_ok(at, cmd->len))
		return -EFAULT;
	if (cmd->len > MAX_RW_COUNT - g->bytes)
		return -EMSGSIZE;
	if (!cmd->len)
		return 0;
	g->v[g->n++] = (struct iovec){ .iov_base = at, .iov_len = cmd->len };
	g->bytes += cmd->len;
	return 0;
}

static int tx_send(struct paste_conn *c, const struct group *g, bool more)
{
	struct msghdr msg = { .msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL | (more ? MSG_MORE : 0) };
	int rc;

	if (!g->bytes)
		return 0;
	iov_iter_init(&msg.msg_iter, ITER_SOURCE, g->v, g->n, g->bytes);
	rc = sock_sendmsg(c->sock, &msg);
	return rc == -EAGAIN || rc == -EINTR || rc == -ERESTARTSYS ? 0 : rc;
}

/* Makes a WRITABLE event due.  Room may have come before the flag was set, so the socket is looked
 * at once; after that the hook is called. */
static void tx_owe_writable(struct paste_conn *c)
{
	WRITE_ONCE(c->want_write, true);
	smp_mb();	/* against the reader of want_write in the callback */
	if (vfs_poll(c->file, NULL) & EPOLLOUT)
		paste_conn_look(c);
}

struct sending {
	size_t asked, sent;
	int err;
};

/* Sends up to VECTORS commands of the group; cmd is the first of them, and then the last.
 * True: the group goes on. */
static bool tx_send_some(struct paste_ring *r, struct paste_conn *c, struct paste_command *cmd,
			 struct sending *s)
{
	struct group g = { .n = 0 };
	bool more;
	int rc;

	rc = tx_add(&g, cmd);
	while ((more = tx_goes_on(r, cmd)) && g.n < VECTORS) {
		tx_take(r, cmd);
		rc = rc ?: tx_add(&g, cmd);
	}
	if (s->err || s->sent < s->asked)
		return more;	/* the rest of a group that was cut short is dropped */
	rc = rc ?: tx_send(c, &g, more);
	s->asked += g.bytes;
	if (rc < 0)
		s->err = rc;
	else
		s->sent += rc;
	return more;
}

static void tx_send_group(struct paste_ring *r, struct paste_conn *c, struct paste_command *cmd)
{
	struct sending s = { .asked = 0 };

	while (tx_send_some(r, c, cmd, &s))
		tx_take(r, cmd);
	r->stats.sends++;
	r->stats.sent_bytes += s.sent;
	if (s.err && !s.sent) {
		paste_event_res(r, c->handle, PASTE_EV_SENT, s.err);
		return;
	}
	/* An error after some bytes is reported when the process tries to send the rest. */
	paste_event_res(r, c->handle, PASTE_EV_SENT, s.sent);
	if (s.sent < s.asked || s.err) {
		r->stats.short_sends++;
		tx_owe_writable(c);
	}
}

/* ---- the others ---- */

static int tx_detach(struct paste_ring *r, struct paste_conn *c)
{
	u32 handle = c->handle;

	paste_conn_detach(c);
	paste_event_res(r, handle, PASTE_EV_DETACHED, 0);
	return 0;
}

static int tx_pause(struct paste_conn *c, bool on)
{
	c->paused = on;
	if (!on)
		paste_conn_look(c);
	return 0;
}

static int tx_run_one(struct paste_ring *r, struct paste_command *cmd)
{
	struct paste_conn *c = paste_conn_of(r, cmd->conn);

	if (cmd->op == PASTE_OP_ATTACH) {
		if (cmd->flags & ~PASTE_F_LISTEN)
			return -EINVAL;
		return paste_conn_attach(r, cmd->conn, cmd->arg, cmd->len, cmd->flags & PASTE_F_LISTEN);
	}
	if (!c)
		return -ENOENT;
	switch (cmd->op) {
	case PASTE_OP_DETACH:
		return tx_detach(r, c);
	case PASTE_OP_PAUSE:
		return tx_pause(c, true);
	case PASTE_OP_RESUME:
		return tx_pause(c, false);
	case PASTE_OP_SHUTDOWN:
		return kernel_sock_shutdown(c->sock, SHUT_WR);
	}
	return -EINVAL;
}

static void tx_refuse(struct paste_ring *r, const struct paste_command *cmd, int err)
{
	r->stats.refused++;
	paste_event_push(r, &(struct paste_event){
		.conn = cmd->conn, .kind = PASTE_EV_REFUSED, .len = cmd->op, .res = err });
}

void paste_commands(struct paste_ring *r)
{
	while (paste_in_ready(&r->cmd) && paste_event_room(r) && !fatal_signal_pending(current)) {
		struct paste_command cmd;
		struct paste_conn *c;
		int err;

		cond_resched();
		tx_take(r, &cmd);
		c = paste_conn_of(r, cmd.conn);
		if (cmd.op == PASTE_OP_SEND && c) {
			tx_send_group(r, c, &cmd);
			continue;
		}
		while (cmd.op == PASTE_OP_SEND && tx_goes_on(r, &cmd))
			tx_take(r, &cmd);
		err = tx_run_one(r, &cmd);
		if (err)
			tx_refuse(r, &cmd, err);
	}
}
