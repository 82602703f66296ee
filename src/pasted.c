/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pasted.c - main(): starts the parts of the server, and stops them in the opposite order.
 *
 * steps[] below is the program.  A step that fails says itself what went wrong and returns
 * the exit status; then the steps before it are stopped in the opposite order, which is
 * also what SIGTERM does.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "admin/admin.h"
#include "admin/health.h"
#include "admin/parting.h"
#include "admin/startup.h"
#include "admin/watch.h"
#include "base/daemon.h"
#include "base/diag.h"
#include "base/disk.h"
#include "base/fault.h"
#include "base/now.h"
#include "choose.h"
#include "config.h"
#include "doctor.h"
#include "http/head.h"
#include "recovery/recover.h"
#include "ring/listen.h"
#include "server/checkpoint.h"
#include "server/worker.h"
#include "store/store.h"
#include "util/std.h"

/* Descriptors besides connections: of the process; of a worker besides its listeners (ring, lane,
 * the two segments that are written, each twice); of read-backs, each of which may hold a
 * segment open: these get as many as can be spared. */
#define FILES_PROCESS 40
#define FILES_WORKER 10
#define FILES_READERS 256
/* Memory besides the buffers: connections, replies, pieces that are read back, the program. */
#define MEMORY_BESIDES (32u << 20)
/* Fewer connections per worker than this are worth a warning. */
#define CONNS_FEW 4096
/* Bytes that a checkpoint moves before it looks whether there is something else to do. */
#define CHECKPOINT_SLICE (256u << 10)
/* How often a recovery looks for a signal.  It is a time because a slow disk may move few bytes. */
#define LOOK_MS 20u
/* Between two tries of a recovery that finds no room on the disk. */
#define ROOM_RETRY_MS 1000

struct server {
	struct config config;
	struct daemon daemon;
	struct choice choice;
	const struct ring_ops *ring;
	unsigned conns_max;			/* the setting, or fewer if files are limited */
	struct health health;
	struct listeners listeners;
	char	 addresses[LISTEN_MAX * LISTEN_TEXT_MAX];
	struct startup *door;
	struct store *store;
	struct checkpoint *checkpoint;
	struct counters *counters;		/* [workers] */
	uint64_t absent[ABSENT_REASONS];	/* records that read-back could not give */
	const struct counters *counters_of[LANES_MAX];
	struct admin *records, *pages;
	struct head_common common;		/* the fields of every reply */
	struct worker_env env;
	atomic_uint serving;			/* lanes that have not failed */
	struct worker *workers[LANES_MAX];
	unsigned started, joined;		/* how many workers are */
	uint64_t looked_ns;			/* the recovery's last look for a signal */
	bool	 draining;			/* the workers were told to stop */
	int	 status;			/* the exit status */
};

/* ---- the pid file ---- */

static int start_pid(struct server *s)
{
	const char *path = s->config.pid_file;
	int err, other = 0;

	if (!path)
		return 0;
	err = daemon_pid_open(&s->daemon, path, &other);
	if (err == -EEXIST)
		diag(DIAG_ERR, "%s: process %d has it: stop that first, or give another pid-file", path, other);
	else if (err == -EBADMSG)
		diag(DIAG_ERR, "%s: is no pid file (but a link, a pipe, or a file with something else in it): "
		     "it is left alone; give another pid-file", path);
	else if (err)
		diag(DIAG_ERR, "%s: the pid file cannot be written: %s", path, strerror(-err));
	return err ? EXIT_FAILURE : 0;
}

static void stop_pid(struct server *s)
{
	daemon_pid_remove(&s->daemon);
}

/* ---- the class, the ring and the limits ---- */

static int start_choice(struct server *s)
{
	struct findings found;
	char why[CHOOSE_WHY];

	watch_opening(s->config.drain_ms, false);	/* probing may have to wait for the disk */
	choose_probe(&s->config, &found);
	if (choose_class(&s->config, &found, &s->choice)) {
		diag(DIAG_ERR, "%s", s->choice.why);
		return EX_CONFIG;
	}
	s->ring = choose_ring(&s->config, why, sizeof(why));
	if (!s->ring) {
		diag(DIAG_ERR, "%s", why);
		return EX_CONFIG;
	}
	if (*why)
		diag(DIAG_NOTE, "ring %s, because: %s", s->ring->name, why);
	return 0;
}

/* Reduces the connections to what the limit of open files allows. */
static int start_limits(struct server *s)
{
	struct config *c = &s->config;
	unsigned long needs = FILES_PROCESS + (FILES_WORKER + c->nlisten) * c->workers;
	unsigned long have = daemon_raise_files((unsigned long)c->conns_max * c->workers + needs + FILES_READERS);
	unsigned long rest = have > needs ? have - needs : 0;
	unsigned long share = (rest - (rest / 4 < FILES_READERS ? rest / 4 : FILES_READERS)) / c->workers;

	if (!share) {
		diag(DIAG_ERR, "only %lu files may be open at once: %lu at least are needed with %u workers: "
		     "raise the limit (ulimit -n, LimitNOFILE=), or take fewer workers", have,
		     needs + 2 * c->workers, c->workers);
		return EX_CONFIG;
	}
	s->conns_max = share < c->conns_max ? (unsigned)share : c->conns_max;
	if (s->conns_max < c->conns_max && s->conns_max < CONNS_FEW)
		diag(DIAG_WARN, "only %lu files may be open at once, so only %u connections per "
		     "worker: raise the limit (ulimit -n, LimitNOFILE=)", have, s->conns_max);
	if (c->pool_bytes + MEMORY_BESIDES > c->memory_bytes)
		diag(DIAG_WARN, "pool-size %lluM, and about %uM that are needed besides, are more than the "
		     "%lluM of memory that there are for this process: when all buffers are in use the "
		     "kernel may end it; set a smaller pool-size, or allow more memory",
		     (unsigned long long)(c->pool_bytes >> 20), MEMORY_BESIDES >> 20,
		     (unsigned long long)(c->memory_bytes >> 20));
	return 0;
}

/* ---- the listeners, and the start-up thread ---- */

static int start_listeners(struct server *s)
{
	char why[512];

	if (listeners_open(&s->listeners, s->config.listen, s->config.nlisten, s->config.workers,
			   s->config.unix_mode, why, sizeof(why))) {
		diag(DIAG_ERR, "%s", why);
		return EXIT_FAILURE;
	}
	listeners_print(&s->listeners, s->addresses, sizeof(s->addresses));
	watch_opening(s->config.drain_ms, s->listeners.given);	/* now `given` is known */
	return 0;
}

static void stop_listeners(struct server *s)
{
	listeners_close(&s->listeners);
}

static void end_door(struct server *s)
{
	if (s->door)
		startup_stop(s->door);
	s->door = NULL;
}

static struct http_limits limits_of(const struct config *c)
{
	return (struct http_limits){
		.head_bytes = (uint32_t)c->head_bytes_max,
		.target_bytes = (uint32_t)c->target_bytes_max,
		.headers = c->headers_max,
		.trailer_bytes = (uint32_t)c->head_bytes_max,
		.body_bytes = c->body_bytes_max,
	};
}

static int start_door(struct server *s)
{
	const struct startup_env env = {
		.listeners = &s->listeners, .health = &s->health,
		.common = &s->common, .limits = limits_of(&s->config),
		.header_timeout_ms = s->config.header_timeout_ms,
	};
	int err;

	head_common_init(&s->common, class_name(s->choice.class), s->config.idle_timeout_ms);
	err = startup_start(&s->door, &env);
	if (err)
		diag(DIAG_ERR, "cannot start a thread: %s", strerror(-err));
	return err ? EXIT_FAILURE : 0;
}

/* ---- the store ---- */

/* A signal has come before the store is open.  The process ends as if it had been killed: the next
 * start does the same work again. */
static void give_up_starting(struct server *s)
{
	diag(DIAG_NOTE, "stopped before the store was open; the next start goes on with it");
	end_door(s);
	stop_listeners(s);
	stop_pid(s);
	exit(EXIT_SUCCESS);
}

static void progress(void *arg, const char *what, uint64_t done, uint64_t total)
{
	struct server *s = arg;
	uint64_t now = now_ns();

	(void)what;
	health_progress(&s->health, done, total);
	/* This is called for each record, but signals are looked for every LOOK_MS only. */
	if (now - s->looked_ns < LOOK_MS * 1000000ull)
		return;
	s->looked_ns = now;
	if (daemon_wait(&s->daemon, 0) == DAEMON_STOP)
		give_up_starting(s);
}

/* Reports what the last run left behind, if it left anything. */
static void tell_recovery(const struct report *r)
{
	unsigned long long records = 0, replayed = 0;
	uint64_t all = report_damaged(r), unread = report_unread(r), damaged = all - unread;
	char more[64] = "";

	if (unread)
		snprintf(more, sizeof(more), ", %llu cannot be read now", (unsigned long long)unread);
	if (!r->unclean && !all)
		return;
	for (unsigned i = 0; i < r->lanes; i++) {
		records += r->lane[i].records;
		replayed += r->lane[i].replay_records;
	}
	diag(all ? DIAG_WARN : DIAG_NOTE, "%s: %llu records were looked at, at the end of each "
	     "lane, and %llu in the write-ahead log; %llu place%s damaged%s%s", r->unclean ?
	     "recovered after a crash" : "opened after a clean stop", records, replayed,
	     (unsigned long long)damaged, damaged == 1 ? "" : "s", more,
	     all ? ": pasted-recover check lists them" : "");
	for (unsigned i = 0; i < r->lanes; i++)
		if (r->lane[i].unread_segno)
			diag(DIAG_WARN, "log/%03u/%08llx.seg, the last of its lane, cannot be read now: %s; no worker "
			     "writes there, so the lane is left as it is, and who asks for what may be in it gets 503",
			     i, (unsigned long long)r->lane[i].unread_segno, store_strerror(r->lane[i].unread_err));
}

/* A full disk is no reason to give up: the store is opened again and again until there is room. */
static int pasted_open_store(struct server *s, const struct store_options *o, char *why, size_t why_len)
{
	int err = store_open(&s->store, o, why, why_len);

	if (err != STORE_ENOROOM)
		return err;
	health_set(&s->health, HEALTH_NOSPACE, err);
	diag(DIAG_ERR, "%s; recovery goes on by itself when there is room", why);
	do {
		if (daemon_wait(&s->daemon, ROOM_RETRY_MS) == DAEMON_STOP)
			give_up_starting(s);
		err = store_open(&s->store, o, why, why_len);
	} while (err == STORE_ENOROOM);
	health_clear(&s->health, HEALTH_NOSPACE);
	return err;
}

static int start_store(struct server *s)
{
	const struct config *c = &s->config;
	const struct store_options o = {
		.blk = disk_ops(),
		.store_dir = c->store, .class = s->choice.class, .adopt = c->adopt,
		/* In the class fsync only an earlier write-ahead log is looked for there. */
		.nvmm_path = s->choice.nvmm ? s->choice.nvmm : c->nvmm,
		.lanes = c->workers, .pool_bytes = c->pool_bytes, .buf_size = c->buf_size,
		.segment_bytes = c->segment_bytes, .retain_bytes = c->retain_bytes,
		.retain_ms = c->retain_ms,
		.record_bytes_max = c->head_bytes_max + c->body_bytes_max,
		.progress = progress, .progress_arg = s,
	};
	char why[512] = "";
	int err;

	health_set(&s->health, HEALTH_RECOVERING, 0);
	err = pasted_open_store(s, &o, why, sizeof(why));
	watch_opened();
	health_clear(&s->health, HEALTH_RECOVERING);
	if (err) {
		diag(DIAG_ERR, "cannot open the store: %s", *why ? why : store_strerror(err));
		return EXIT_FAILURE;
	}
	if (class_stores(s->choice.class))
		tell_recovery(store_open_report(s->store));
	fault_watch(s->store);
	return 0;
}

static void stop_store(struct server *s)
{
	struct parting p;
	char words[600];
	int err;

	parting_note(&p, s->store);
	err = store_close(s->store);
	fault_forget();
	if (!err)
		return;
	parting_words(&p, s->config.store, s->choice.nvmm, health_is(&s->health, HEALTH_STORE_MOVED),
		      words, sizeof(words));
	diag(DIAG_ERR, "the store was not closed in order: %s; %s", store_strerror(err), words);
	s->status = EXIT_FAILURE;
}

/* ---- the threads beside the workers ---- */

/* The interval of passes: at most an eighth of retain-age, so that records expire in time however
 * long checkpoint-interval is. */
static unsigned background_ms(const struct config *c)
{
	uint64_t ms = c->retain_ms / 8 < 100 ? 100 : c->retain_ms / 8;

	return c->retain_ms && ms < c->checkpoint_ms ? (unsigned)ms : c->checkpoint_ms;
}

static int start_checkpoint(struct server *s)
{
	int err;

	if (!class_stores(s->choice.class))
		return 0;
	err = checkpoint_start(&s->checkpoint, s->store, &s->health, background_ms(&s->config),
			       CHECKPOINT_SLICE);
	if (err)
		diag(DIAG_ERR, "cannot start the checkpointer: %s", strerror(-err));
	return err ? EXIT_FAILURE : 0;
}

static void stop_checkpoint(struct server *s)
{
	if (s->checkpoint)
		checkpoint_stop(s->checkpoint);
}

static void wake_worker(void *arg, unsigned worker)
{
	struct server *s = arg;

	worker_wake(s->workers[worker]);
}

static void kick_checkpoint(void *arg)
{
	struct server *s = arg;

	if (s->checkpoint)
		checkpoint_kick(s->checkpoint);
}

static int start_admin(struct server *s)
{
	bool stores = class_stores(s->choice.class);
	const struct admin_env env = {
		.store = stores ? s->store : NULL, .class = s->choice.class,
		.nworkers = s->config.workers, .counters = s->counters_of, .health = &s->health,
		.version = PACKAGE_VERSION, .class_why = s->choice.why, .ring = s->ring->name,
		.store_dir = stores ? s->config.store : NULL, .nvmm = s->choice.nvmm,
		.listen = s->addresses, .common = &s->common,
		.buf_size = s->config.buf_size, .absent = s->absent,
		.wake = wake_worker, .kick_checkpoint = kick_checkpoint, .arg = s,
	};
	size_t bytes = s->config.workers * sizeof(*s->counters);
	int err;

	s->counters = aligned_alloc(_Alignof(struct counters), bytes);
	if (!s->counters) {
		diag(DIAG_ERR, "no memory for the counters");
		return EXIT_FAILURE;
	}
	memset(s->counters, 0, bytes);
	for (unsigned i = 0; i < s->config.workers; i++)
		s->counters_of[i] = &s->counters[i];
	err = admin_start(&s->records, &env);
	if (!err) {
		err = admin_start(&s->pages, &env);
		if (err)
			admin_stop(s->records);
	}
	if (err) {
		diag(DIAG_ERR, "cannot start the admin thread: %s", strerror(-err));
		free(s->counters);
	}
	return err ? EXIT_FAILURE : 0;
}

static void stop_admin(struct server *s)
{
	admin_stop(s->records);
	admin_stop(s->pages);
	/* Freed only now: until here the admin threads could wake a worker that has ended. */
	while (s->started)
		worker_free(s->workers[--s->started]);
	free(s->counters);
}

/* ---- the workers ---- */

static void worker_gone(void *arg)
{
	struct server *s = arg;

	daemon_wake(&s->daemon);
}

static void fill_env(struct server *s)
{
	const struct config *c = &s->config;
	uint64_t body_step = c->body_rate * c->body_timeout_ms / 1000;

	s->env = (struct worker_env){
		.ring = s->ring, .store = s->store, .common = &s->common,
		.records = s->records, .pages = s->pages, .health = &s->health,
		.checkpoint = s->checkpoint, .counters = s->counters,
		.limits = limits_of(c),
		.conns_max = s->conns_max, .header_timeout_ms = c->header_timeout_ms,
		.body_timeout_ms = c->body_timeout_ms,
		.body_step = body_step ? body_step : 1, .idle_timeout_ms = c->idle_timeout_ms,
		.write_timeout_ms = c->write_timeout_ms, .pushback_ms = c->pushback_ms,
		.given = s->listeners.given, .serving = &s->serving, .drain_ms = c->drain_ms, .held_max = c->checkpoint_bufs, .gone = worker_gone, .arg = s,
		.nic = c->nic, .spin_us = c->busy_poll_us,
	};
}

/* The CPUs that this process may run on.  False: workers are not pinned.  With fewer workers than
 * CPUs, the scheduler knows better which CPUs are free. */
static bool cpu_list(unsigned workers, int *cpu)
{
	cpu_set_t set;
	unsigned n = 0;

	if (sched_getaffinity(0, sizeof(set), &set))
		return false;
	for (int i = 0; i < CPU_SETSIZE && n < workers; i++)
		if (CPU_ISSET(i, &set))
			cpu[n++] = i;
	return n == workers && CPU_COUNT(&set) == (int)workers;
}

static void stop_workers(struct server *s)
{
	for (unsigned i = s->joined; i < s->started && !s->draining; i++)
		worker_stop(s->workers[i], false);
	for (; s->joined < s->started; s->joined++)
		worker_join(s->workers[s->joined]);
}

static int start_workers(struct server *s)
{
	int cpu[LANES_MAX], err;
	char why[256] = "";

	startup_leave(s->door);
	fill_env(s);
	atomic_init(&s->serving, s->config.workers);
	s->env.pin = cpu_list(s->config.workers, cpu);
	for (unsigned i = 0; i < s->config.workers; i++) {
		err = worker_start(&s->workers[i], &s->env, i, s->env.pin ? cpu[i] : -1,
				   listeners_of(&s->listeners, i), s->listeners.n,
				   why, sizeof(why));
		if (err) {
			diag(DIAG_ERR, "cannot start worker %u: %s", i, *why ? why : strerror(-err));
			stop_workers(s);
			return EXIT_FAILURE;
		}
		s->started++;
	}
	return 0;
}

/* ---- run and stop ---- */

static void tell_ready(struct server *s)
{
	const char *nvmm = s->choice.nvmm;

	diag(DIAG_NOTE, "class=%s (%s) ring=%s workers=%u store=%s%s%s listening on %s",
	     class_name(s->choice.class), s->choice.why, s->ring->name, s->config.workers,
	     class_stores(s->choice.class) ? s->config.store : "none",
	     nvmm ? " nvmm=" : "", nvmm ? nvmm : "", s->addresses);
	daemon_notify("READY=1\nSTATUS=ready");
}

/* Runs on a thread of its own, so that the main thread can take a second signal meanwhile. */
static void *join_workers(void *arg)
{
	struct server *s = arg;

	for (; s->joined < s->started; s->joined++)
		worker_join(s->workers[s->joined]);
	daemon_wake(&s->daemon);
	return NULL;
}

/* Waits for drain-delay, in which all is served and readyz says no.  False: a second signal has
 * ended the wait. */
static bool delay(struct server *s)
{
	health_set(&s->health, HEALTH_DRAINING, 0);
	daemon_notify("STOPPING=1\nSTATUS=finishing what is in flight");
	return s->status || !s->config.drain_delay_ms ||
	       daemon_wait(&s->daemon, (int)s->config.drain_delay_ms) != DAEMON_STOP;
}

static void pasted_drain(struct server *s)
{
	pthread_t joiner;
	bool now = !delay(s);

	s->draining = true;
	watch_stopping(s->config.drain_ms, s->listeners.given);
	for (unsigned i = 0; i < s->started; i++)
		worker_stop(s->workers[i], now);
	if (pthread_create(&joiner, NULL, join_workers, s))
		return;			/* stop_workers() joins; no second signal is taken */
	if (daemon_wait(&s->daemon, -1) == DAEMON_STOP) {
		diag(DIAG_NOTE, "second signal: not waiting for requests in flight");
		/* This includes workers that have ended, which are freed later. */
		for (unsigned i = 0; i < s->started; i++)
			worker_stop(s->workers[i], true);
	}
	pthread_join(joiner, NULL);
}

static int serve(struct server *s)
{
	health_clear(&s->health, HEALTH_STARTING);
	tell_ready(s);
	/* A worker that ends by itself has said why.  The server ends too, because nobody would
	 * serve the connections of that worker. */
	if (daemon_wait(&s->daemon, -1) == DAEMON_WOKEN)
		s->status = EXIT_FAILURE;
	pasted_drain(s);
	return 0;
}

static const struct step {
	int  (*start)(struct server *s);	/* 0, or the exit status */
	void (*stop)(struct server *s);
} steps[] = {
	{ start_pid,		stop_pid },
	{ start_choice,		NULL },
	{ start_limits,		NULL },
	{ start_listeners,	stop_listeners },
	{ start_door,	end_door },
	{ start_store,		stop_store },
	{ start_checkpoint,	stop_checkpoint },
	{ start_admin,	stop_admin },
	{ start_workers,	stop_workers },
	{ serve,		NULL },
};

static int pasted_run(struct server *s)
{
	const int n = sizeof(steps) / sizeof(steps[0]);
	int i, err = 0;

	health_set(&s->health, HEALTH_STARTING, 0);
	err = daemon_signals(&s->daemon);
	if (!err)
		err = watch_start(&s->health);
	if (err) {
		diag(DIAG_ERR, "cannot start: %s", strerror(-err));
		return EXIT_FAILURE;
	}
	for (i = 0; i < n && !err; i++)
		err = steps[i].start(s);
	if (err)
		i--;				/* a step that fails cleans up itself */
	while (i-- > 0)
		if (steps[i].stop)
			steps[i].stop(s);
	return err ? err : s->status;
}

/* Errors in the settings go through std_say() like all messages, so that a reader that does not
 * read cannot block the start. */
static enum config_verdict pasted_load(struct config *c, int argc, char **argv)
{
	enum config_verdict v;
	char *text = NULL;
	size_t n = 0;
	FILE *err = open_memstream(&text, &n);

	v = config_load(c, argc, argv, stdout, err ? err : stderr);
	if (err && !fclose(err))
		std_say(text, n);
	free(text);
	return v;
}

/* Collects the whole report before printing it, so that a slow reader keeps no ring or device in
 * use. */
static int doctor(const struct config *c)
{
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);
	int status = out ? doctor_run(c, out) : EXIT_FAILURE;

	if (out && (fclose(out) || fwrite(text, 1, n, stdout) != n || fflush(stdout)))
		status = EXIT_FAILURE;
	free(text);
	return status;
}

int main(int argc, char **argv)
{
	static struct server s;
	int status;

	std_open();
	std_start("pasted");
	switch (pasted_load(&s.config, argc, argv)) {
	case CONFIG_RUN:
		break;
	case CONFIG_DONE:
		return fflush(stdout) ? EXIT_FAILURE : 0;
	case CONFIG_WRONG:
		return EX_USAGE;
	}
	if (s.config.doctor)
		status = doctor(&s.config);
	else
		status = pasted_run(&s);
	config_free(&s.config);
	return status;
}
