/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_main.c - pasted.c: what is started in which order, and stopped in the mirror's; what each
 * step does when it cannot; what a signal ends, and when.
 *
 * The whole of main() runs in a child, with everything that it starts written down in a trace
 * instead of done.
 */
#define main pasted_main
#include "pasted.c"
#undef main

#include <fcntl.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <cmocka.h>

#define WAITS 8

static struct script {
	enum config_verdict verdict;
	struct config config;
	/* 0, or what these return */
	int signals, watch, pid, class, listen, waiting, checkpoint, doctor;
	bool no_ring;
	const char *ring_why;
	unsigned long files;		/* that may be open */
	int store[WAITS];		/* store_open, one after the other */
	int close;			/* store_close */
	unsigned admin_fails, worker_fails;	/* which, from 1 */
	struct { enum daemon_event got; bool woken; } wait[WAITS];	/* woken: not before daemon_wake() */
	bool hang;			/* workers end only when they are told: now */
	unsigned progress;		/* calls, 7 ms apart */
	bool unclean, given;
	uint64_t damaged, unread;	/* the second: how many of the first */
} script;

/* ---- the trace, that the child leaves ---- */

static struct shared {
	pthread_mutex_t lock;
	char text[32768];
} *shared;

__attribute__((format(printf, 1, 2)))
static void t(const char *fmt, ...)
{
	size_t n;
	va_list ap;

	pthread_mutex_lock(&shared->lock);
	n = strlen(shared->text);
	va_start(ap, fmt);
	vsnprintf(shared->text + n, sizeof(shared->text) - n, fmt, ap);
	va_end(ap);
	pthread_mutex_unlock(&shared->lock);
}

/* In the child: cmocka's assertions are the parent's. */
#define CHECK(e) do { if (!(e)) { t("<<< %s:%d: not so: %s >>>", __FILE__, __LINE__, #e); _exit(98); } } while (0)

/* ---- what is not done ---- */

static uint64_t clock_ns = 1000000000;

uint64_t now_ns(void)
{
	return clock_ns;
}

void std_open(void)
{
	t("std ");
}

void std_start(const char *name)
{
	t("std(%s) ", name);
}

void std_say(const char *text, size_t n)
{
	if (n)
		t("say[%.*s] ", (int)n, text);
}

void must_fail(const char *expr, const char *file, int line, const char *func)
{
	fprintf(stderr, "%s:%d: %s: %s\n", file, line, func, expr);
	abort();
}

void diag(enum diag_level level, const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	t("%s[%s] ", level == DIAG_ERR ? "ERR" : level == DIAG_WARN ? "WARN" : "NOTE", text);
}

enum config_verdict config_load(struct config *c, int argc, char *const *argv, FILE *out, FILE *err)
{
	CHECK(argc == 2 && !strcmp(argv[1], "arg") && out == stdout);
	*c = script.config;
	if (script.verdict == CONFIG_WRONG)
		fputs("it is wrong\n", err);
	return script.verdict;
}

void config_free(struct config *c)
{
	(void)c;
	t("free");
}

int doctor_run(const struct config *c, FILE *out)
{
	CHECK(c->workers == script.config.workers);
	fputs("so it is\n", out);
	return script.doctor;
}

int daemon_signals(struct daemon *d)
{
	d->signals = 77;
	return script.signals;
}

static sem_t woken;

enum daemon_event daemon_wait(const struct daemon *d, int timeout_ms)
{
	static unsigned n;

	CHECK(d->signals == 77 && n < WAITS);
	if (script.wait[n].woken)
		while (sem_wait(&woken))
			;
	t("wait(%d) ", timeout_ms);
	return script.wait[n++].got;
}

void daemon_wake(struct daemon *d)
{
	CHECK(d->signals == 77);
	sem_post(&woken);
}

unsigned long daemon_raise_files(unsigned long want)
{
	t("files(%lu) ", want);
	return script.files ? script.files : want;
}

int daemon_pid_open(struct daemon *d, const char *path, int *other)
{
	CHECK(d->signals == 77);
	*other = 4711;
	t("pid(%s) ", path);
	return script.pid;
}

void daemon_pid_remove(struct daemon *d)
{
	CHECK(d->signals == 77);
	t("-pid ");
}

void daemon_notify(const char *state)
{
	t("notify[%.9s] ", state);
}

static struct health *health;

int watch_start(struct health *h)
{
	health = h;
	t("watch(%s) ", health_word(h));
	return script.watch;
}

static bool opening, opening_given;		/* a stop is heard though the disk is silent */

void watch_opening(unsigned drain_ms, bool listeners_given)
{
	CHECK(drain_ms == script.config.drain_ms);
	opening_given = listeners_given;
	opening = true;
}

void watch_opened(void)
{
	CHECK(opening);
	opening = false;
}

void watch_stopping(unsigned drain_ms, bool listeners_given)
{
	t("stopping(%u,%d) ", drain_ms, listeners_given);
}

void choose_probe(const struct config *c, struct findings *f)
{
	CHECK(c->workers == script.config.workers && opening);
	memset(f, 0, sizeof(*f));
	f->store_err = 99;
}

int choose_class(const struct config *c, const struct findings *f, struct choice *out)
{
	CHECK(f->store_err == 99);
	out->class = script.class ? 0 : c->class;
	out->nvmm = c->class == CLASS_NVMM ? c->nvmm : NULL;
	strcpy(out->why, "class why");
	t("class ");
	return script.class;
}

const struct ring_ops *choose_ring(const struct config *c, char *why, size_t n)
{
	static const struct ring_ops ring = { .name = "a-ring" };

	CHECK(c->workers == script.config.workers);
	snprintf(why, n, "%s", script.ring_why ? script.ring_why : "");
	t("ring ");
	return script.no_ring ? NULL : &ring;
}

static int table[LANES_MAX];

int listeners_open(struct listeners *ls, const struct listen_addr *a, unsigned n, unsigned workers,
		   unsigned unix_mode, char *why, size_t why_len)
{
	CHECK(a->len == 42 && n == script.config.nlisten);
	t("listen(%u,%u,%o) ", n, workers, unix_mode);
	ls->n = n;
	ls->workers = workers;
	ls->given = script.given;
	snprintf(why, why_len, "listen why");
	return script.listen;
}

void listeners_print(const struct listeners *ls, char *buf, size_t n)
{
	CHECK(n >= LISTEN_MAX * LISTEN_TEXT_MAX && ls->n);
	strcpy(buf, "addresses");
}

const int *listeners_of(const struct listeners *ls, unsigned worker)
{
	CHECK(ls->n);
	return &table[worker];
}

void listeners_close(struct listeners *ls)
{
	CHECK(ls->n);
	t("-listen ");
}

#define WAITING ((struct startup *)0x10)

int startup_start(struct startup **w, const struct startup_env *env)
{
	CHECK(env->listeners->n && env->health == health && env->limits.body_bytes == script.config.body_bytes_max);
	t("waiting(%s,%u) ", env->common->class, env->header_timeout_ms);
	*w = script.waiting ? NULL : WAITING;
	return script.waiting;
}

void startup_leave(struct startup *w)
{
	CHECK(w == WAITING);
	t("leave ");
}

void startup_stop(struct startup *w)
{
	CHECK(w == WAITING);
	t("-waiting ");
}

#define A_STORE ((struct store *)0x20)

static struct store_options options;

int store_open(struct store **w, const struct store_options *o, char *why, size_t n)
{
	static unsigned tries;
	int err = script.store[tries++];

	CHECK(opening && opening_given == script.given);
	t("open(%s) ", health_word(health));
	options = *o;
	CHECK(tries < WAITS);
	if (err)
		snprintf(why, n, err == STORE_EBUSY ? "" : "store why");
	for (unsigned i = 0; i < script.progress; i++) {
		o->progress(o->progress_arg, "x", i, 10);
		CHECK(health->done == i && health->total == 10);
		clock_ns += 7000000;
	}
	*w = A_STORE;
	return err;
}

static struct report report;

const struct report *store_open_report(const struct store *w)
{
	CHECK(w == A_STORE);
	return &report;
}

uint64_t report_damaged(const struct report *r)
{
	CHECK(r == &report);
	return script.damaged;
}

uint64_t report_unread(const struct report *r)
{
	CHECK(r == &report && !opening);
	return script.unread;
}

int store_close(struct store *w)
{
	CHECK(w == A_STORE);
	t("-store ");
	return script.close;
}

const char *store_strerror(int err)
{
	static char text[32];

	snprintf(text, sizeof(text), "error %d", err);
	return text;
}

const struct blk_ops *disk_ops(void)
{
	return (const struct blk_ops *)0x30;
}

void fault_watch(const struct store *w)
{
	CHECK(w == A_STORE);
	t("fault ");
}

void fault_forget(void)
{
	t("-fault ");
}

void parting_note(struct parting *p, struct store *w)
{
	CHECK(w == A_STORE);
	p->lanes = 5;
	t("parting ");
}

void parting_words(const struct parting *p, const char *store, const char *nvmm, bool moved, char *words, size_t n)
{
	CHECK(p->lanes == 5);
	snprintf(words, n, "parting %s %s %d", store, nvmm ? nvmm : "-", moved);
}

#define CHECKPOINT ((struct checkpoint *)0x40)

int checkpoint_start(struct checkpoint **c, struct store *store, struct health *h, unsigned interval_ms, uint64_t slice)
{
	CHECK(store == A_STORE && h == health && slice == 262144);
	t("checkpoint(%u) ", interval_ms);
	*c = script.checkpoint ? NULL : CHECKPOINT;
	return script.checkpoint;
}

void checkpoint_kick(struct checkpoint *c)
{
	CHECK(c == CHECKPOINT);
	t("kick ");
}

void checkpoint_stop(struct checkpoint *c)
{
	CHECK(c == CHECKPOINT);
	t("-checkpoint ");
}

static struct admin_env senv;

int admin_start(struct admin **s, const struct admin_env *env)
{
	static unsigned n;

	senv = *env;
	*s = (struct admin *)(uintptr_t)(0x50 + n++);
	t("service%u ", n);
	return n == script.admin_fails ? -ENOMEM : 0;
}

void admin_stop(struct admin *s)
{
	t("-service%u ", (unsigned)((uintptr_t)s - 0x50 + 1));
}

/* The workers. */
static struct worker workers[LANES_MAX];
static sem_t all_stopped;
static const struct worker_env *wenv;

static unsigned nth(const struct worker *w)
{
	return (unsigned)(w - workers);
}

int worker_start(struct worker **w, const struct worker_env *env, unsigned index, int cpu, const int *listeners,
		 unsigned n, char *why, size_t why_len)
{
	CHECK(listeners == &table[index] && n == script.config.nlisten && (cpu >= 0) == env->pin);
	t("+w%u ", index);
	wenv = env;
	*w = &workers[index];
	snprintf(why, why_len, "worker why");
	return index + 1 == script.worker_fails ? -EMFILE : 0;
}

void worker_stop(struct worker *w, bool now)
{
	t("stop%u%s ", nth(w), now ? "!" : "");
	if (now && nth(w) + 1 == script.config.workers)
		sem_post(&all_stopped);
}

void worker_join(struct worker *w)
{
	while (script.hang && !nth(w) && sem_wait(&all_stopped))
		;
	t("join%u ", nth(w));
}

void worker_free(struct worker *w)
{
	t("-w%u ", nth(w));
}

void worker_wake(struct worker *w)
{
	t("wake%u ", nth(w));
}

/* ---- a run ---- */

static int setup(void **state)
{
	(void)state;
	memset(&script, 0, sizeof(script));
	script.config = (struct config){
		.listen[0].len = 42, .nlisten = 1, .unix_mode = 0640, .store = (char *)"/store",
		.class = CLASS_FSYNC, .workers = 2, .pool_bytes = 1 << 20, .memory_bytes = UINT64_MAX,
		.buf_size = 4096, .segment_bytes = 100, .head_bytes_max = 1000, .target_bytes_max = 2000,
		.headers_max = 3, .body_bytes_max = 4000, .conns_max = 5000, .header_timeout_ms = 6,
		.body_timeout_ms = 7000, .body_rate = 1024, .idle_timeout_ms = 8000, .write_timeout_ms = 9,
		.pushback_ms = 10, .checkpoint_ms = 11, .checkpoint_bufs = 12, .drain_ms = 13,
	};
	script.wait[0].got = DAEMON_STOP;
	script.wait[1].got = DAEMON_WOKEN;
	script.wait[1].woken = true;
	shared->text[0] = '\0';
	pthread_mutex_init(&shared->lock, NULL);	/* a child may have ended with it */
	return 0;
}

/* main() in a child; its exit status. */
static int run_main(void (*at_end)(void))
{
	char name[] = "pasted", arg[] = "arg", *argv[] = { name, arg, NULL };
	int status;
	pid_t pid;

	shared->text[0] = '\0';
	fflush(stdout);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		sem_init(&woken, 0, 0);
		sem_init(&all_stopped, 0, 0);
		status = pasted_main(2, argv);
		if (at_end)
			at_end();
		_exit(status);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status))
		fail_msg("killed by %d after: %s", WTERMSIG(status), shared->text);
	return WEXITSTATUS(status);
}

static void expect(int status, const char *trace)
{
	int got = run_main(NULL);

	assert_string_equal(shared->text, trace);
	assert_int_equal(got, status);
}

#define BEGIN "std std(pasted) watch(starting) "
#define CHOSEN BEGIN "class ring "
#define LIMITED CHOSEN "files(10318) "
#define LISTENING LIMITED "listen(1,2,640) "
#define DOOR LISTENING "waiting(fsync,6) "
#define STORE DOOR "open(recovering) fault "
#define SERVICE STORE "checkpoint(11) service1 service2 "
#define STARTED SERVICE "leave +w0 +w1 "
#define NOTE_READY "NOTE[class=fsync (class why) ring=a-ring workers=2 store=/store listening on addresses] " \
	"notify[READY=1\nS] "
#define READY STARTED NOTE_READY
#define DRAIN "notify[STOPPING=] "
#define DOWN_SERVICE "-service1 -service2 -w1 -w0 "
#define DOWN_STORE "parting -store -fault "
#define DOWN_DOOR "-waiting "
#define DOWN_LISTEN "-listen "
#define DOWN_PID "-pid "
#define DOWN DOWN_SERVICE "-checkpoint " DOWN_STORE DOWN_DOOR DOWN_LISTEN DOWN_PID "free"

static void test_life(void **state)
{
	(void)state;
	expect(0, READY "wait(-1) " DRAIN "stopping(13,0) stop0 stop1 join0 join1 wait(-1) " DOWN);
	script.config.pid_file = (char *)"/run/p";
	script.config.class = CLASS_NVMM;
	script.config.nvmm = (char *)"/pmem";
	script.given = true;
	assert_int_equal(run_main(NULL), 0);
	assert_non_null(strstr(shared->text, "watch(starting) pid(/run/p) class "));
	assert_non_null(strstr(shared->text, "NOTE[class=nvmm (class why) ring=a-ring workers=2 store=/store "
			       "nvmm=/pmem listening on addresses] "));
	assert_non_null(strstr(shared->text, "stopping(13,1) "));
}

static void test_class_none(void **state)
{
	(void)state;
	script.config.class = CLASS_NONE;
	expect(0, LISTENING "waiting(none,6) open(recovering) fault service1 service2 leave +w0 +w1 NOTE[class=none "
	       "(class why) ring=a-ring workers=2 store=none listening on addresses] notify[READY=1\nS] wait(-1) " DRAIN
	       "stopping(13,0) stop0 stop1 join0 join1 wait(-1) " DOWN_SERVICE DOWN_STORE DOWN_DOOR DOWN_LISTEN
	       DOWN_PID "free");
}

/* ---- a step that cannot: what was started before it is stopped, nothing else ---- */

#define GONE "-pid free"

static void test_no_start(void **state)
{
	(void)state;
	script.signals = -EMFILE;
	expect(1, "std std(pasted) ERR[cannot start: Too many open files] free");
	script.signals = 0;
	script.watch = -EAGAIN;
	expect(1, BEGIN "ERR[cannot start: Resource temporarily unavailable] free");
}

static void test_no_pid(void **state)
{
	(void)state;
	script.config.pid_file = (char *)"/run/p";
	script.pid = -EEXIST;
	expect(1, BEGIN "pid(/run/p) ERR[/run/p: process 4711 has it: stop that first, or give another pid-file] free");
	script.pid = -EBADMSG;
	expect(1, BEGIN "pid(/run/p) ERR[/run/p: is no pid file (but a link, a pipe, or a file with something else in "
	       "it): it is left alone; give another pid-file] free");
	script.pid = -EROFS;
	expect(1, BEGIN "pid(/run/p) ERR[/run/p: the pid file cannot be written: Read-only file system] free");
}

static void test_no_choice(void **state)
{
	(void)state;
	script.class = -EOPNOTSUPP;
	expect(78, BEGIN "class ERR[class why] " GONE);
	script.class = 0;
	script.no_ring = true;
	script.ring_why = "ring why";
	expect(78, CHOSEN "ERR[ring why] " GONE);
	script.no_ring = false;
	assert_int_equal(run_main(NULL), 0);
	assert_non_null(strstr(shared->text, CHOSEN "NOTE[ring a-ring, because: ring why] files("));
}

static void test_no_door(void **state)
{
	(void)state;
	script.listen = -EADDRINUSE;
	expect(1, LISTENING "ERR[listen why] " GONE);
	script.listen = 0;
	script.waiting = -EAGAIN;
	expect(1, DOOR "ERR[cannot start a thread: Resource temporarily unavailable] -listen " GONE);
}

static void test_no_store(void **state)
{
	(void)state;
	script.store[0] = -EIO;
	expect(1, DOOR "open(recovering) ERR[cannot open the store: store why] -waiting -listen " GONE);
	script.store[0] = STORE_EBUSY;
	expect(1, DOOR "open(recovering) ERR[cannot open the store: error -2004] -waiting -listen " GONE);
}

#define DOWN_FROM_STORE DOWN_STORE DOWN_DOOR DOWN_LISTEN GONE

static void test_no_threads(void **state)
{
	(void)state;
	script.checkpoint = -EAGAIN;
	expect(1, STORE "checkpoint(11) ERR[cannot start the checkpointer: Resource temporarily unavailable] "
	       DOWN_FROM_STORE);
	script.checkpoint = 0;
	script.admin_fails = 1;
	expect(1, STORE "checkpoint(11) service1 ERR[cannot start the admin thread: Cannot allocate memory] "
	       "-checkpoint " DOWN_FROM_STORE);
	script.admin_fails = 2;
	expect(1, STORE "checkpoint(11) service1 service2 -service1 ERR[cannot start the admin thread: Cannot "
	       "allocate memory] -checkpoint " DOWN_FROM_STORE);
}

static void test_no_worker(void **state)
{
	(void)state;
	script.worker_fails = 1;
	expect(1, SERVICE "leave +w0 ERR[cannot start worker 0: worker why] "
	       "-service1 -service2 -checkpoint " DOWN_FROM_STORE);
	script.config.workers = 3;
	script.worker_fails = 3;
	assert_int_equal(run_main(NULL), 1);
	assert_non_null(strstr(shared->text, "+w0 +w1 +w2 ERR[cannot start worker 2: worker why] stop0 stop1 join0 "
			       "join1 -service1 -service2 -w1 -w0 -checkpoint " DOWN_FROM_STORE));
}

/* ---- a stop ---- */

/* A worker that ends by itself ends the server, at once, and that is a failure. */
static void test_worker_gone(void **state)
{
	(void)state;
	script.config.drain_delay_ms = 500;
	script.wait[0].got = DAEMON_WOKEN;
	expect(1, READY "wait(-1) " DRAIN "stopping(13,0) stop0 stop1 join0 join1 wait(-1) " DOWN);
}

/* Until a balancer has seen it; a second signal ends that, and what is in flight too. */
static void test_delay(void **state)
{
	(void)state;
	script.config.drain_delay_ms = 500;
	script.wait[1].got = DAEMON_TIMEOUT;
	script.wait[1].woken = false;
	script.wait[2].got = DAEMON_WOKEN;
	script.wait[2].woken = true;
	expect(0, READY "wait(-1) " DRAIN "wait(500) stopping(13,0) stop0 stop1 join0 join1 wait(-1) " DOWN);
	script.wait[1].got = DAEMON_WOKEN;		/* a worker has ended meanwhile: the delay is over */
	expect(0, READY "wait(-1) " DRAIN "wait(500) stopping(13,0) stop0 stop1 join0 join1 wait(-1) " DOWN);
	script.wait[1].got = DAEMON_STOP;
	expect(0, READY "wait(-1) " DRAIN "wait(500) stopping(13,0) stop0! stop1! join0 join1 wait(-1) " DOWN);
}

static void test_second_signal(void **state)
{
	(void)state;
	script.hang = true;
	script.wait[1].got = DAEMON_STOP;
	script.wait[1].woken = false;
	expect(0, READY "wait(-1) " DRAIN "stopping(13,0) stop0 stop1 wait(-1) NOTE[second signal: not waiting for "
	       "requests in flight] stop0! stop1! join0 join1 " DOWN);
}

/* What was not closed is a failure, with what is still there. */
static void test_not_closed(void **state)
{
	(void)state;
	script.close = -EIO;
	expect(1, READY "wait(-1) " DRAIN "stopping(13,0) stop0 stop1 join0 join1 wait(-1) " DOWN_SERVICE
	       "-checkpoint " DOWN_STORE "ERR[the store was not closed in order: error -5; parting /store - 0] "
	       DOWN_DOOR DOWN_LISTEN GONE);
}

/* ---- the recovery ---- */

/* A disk that is full is waited for, and readyz says why. */
static void test_no_room(void **state)
{
	(void)state;
	script.store[0] = script.store[1] = STORE_ENOROOM;
	script.wait[0].got = script.wait[1].got = DAEMON_TIMEOUT;
	script.wait[1].woken = false;
	script.wait[2].got = DAEMON_STOP;
	script.wait[3].got = DAEMON_WOKEN;
	script.wait[3].woken = true;
	assert_int_equal(run_main(NULL), 0);
	assert_non_null(strstr(shared->text, DOOR "open(recovering) ERR[store why; recovery goes on by itself when "
			       "there is room] wait(1000) open(recovering) wait(1000) open(recovering) fault "
			       "checkpoint(11) "));
	script.store[1] = -EIO;
	script.wait[2].got = DAEMON_TIMEOUT;
	expect(1, DOOR "open(recovering) ERR[store why; recovery goes on by itself when there is room] wait(1000) "
	       "open(recovering) ERR[cannot open the store: store why] -waiting -listen " GONE);
	script.store[1] = STORE_ENOROOM;
	script.wait[1].got = DAEMON_STOP;
	expect(0, DOOR "open(recovering) ERR[store why; recovery goes on by itself when there is room] wait(1000) "
	       "open(recovering) wait(1000) NOTE[stopped before the store was open; the next start goes on with it] "
	       "-waiting -listen -pid ");
}

/* A signal is looked for now and then, not at each record. */
static void test_progress(void **state)
{
	(void)state;
	script.progress = 8;		/* 0, 7, 14, [21], 28, 35, [42], 49 ms after the first */
	script.wait[0].got = script.wait[1].got = script.wait[2].got = DAEMON_TIMEOUT;
	script.wait[1].woken = false;
	script.wait[3].got = DAEMON_STOP;
	script.wait[4].got = DAEMON_WOKEN;
	assert_int_equal(run_main(NULL), 0);
	assert_non_null(strstr(shared->text, DOOR "open(recovering) wait(0) wait(0) wait(0) fault checkpoint("));
	script.wait[1].got = DAEMON_STOP;
	expect(0, DOOR "open(recovering) wait(0) wait(0) NOTE[stopped before the store was open; the next start goes "
	       "on with it] -waiting -listen -pid ");
}

static void test_recovery_told(void **state)
{
	static struct rec_lane_report lane[2];

	(void)state;
	lane[0].records = 100;
	lane[1].records = 20;
	lane[0].replay_records = 3;
	lane[1].replay_records = 4;
	report = (struct report){ .lanes = 2, .lane = lane };
	assert_int_equal(run_main(NULL), 0);
	assert_non_null(strstr(shared->text, STORE));		/* nothing to tell */
	report.unclean = true;
	assert_int_equal(run_main(NULL), 0);
	assert_non_null(strstr(shared->text, "open(recovering) NOTE[recovered after a crash: 120 records were looked "
			       "at, at the end of each lane, and 7 in the write-ahead log; 0 places damaged] fault "));
	script.damaged = 1;
	assert_int_equal(run_main(NULL), 0);
	assert_non_null(strstr(shared->text, " WARN[recovered after a crash: 120 records were looked at, at the end "
			       "of each lane, and 7 in the write-ahead log; 1 place damaged: pasted-recover check "
			       "lists them] fault "));
	report.unclean = false;
	script.damaged = 2;
	assert_int_equal(run_main(NULL), 0);
	assert_non_null(strstr(shared->text, " WARN[opened after a clean stop: 120 records were looked at, at the end "
			       "of each lane, and 7 in the write-ahead log; 2 places damaged: pasted-recover check "
			       "lists them] fault "));
	script.unread = 2;
	lane[1].unread_segno = 0x1f;
	lane[1].unread_err = -5;
	assert_int_equal(run_main(NULL), 0);
	assert_non_null(strstr(shared->text, " WARN[opened after a clean stop: 120 records were looked at, at the end "
			       "of each lane, and 7 in the write-ahead log; 0 places damaged, 2 cannot be read now: "
			       "pasted-recover check lists them] WARN[log/001/0000001f.seg, the last of its lane, cannot "
			       "be read now: error -5; no worker writes there"));
	script.config.class = CLASS_NONE;				/* there is none */
	assert_int_equal(run_main(NULL), 0);
	assert_non_null(strstr(shared->text, "open(recovering) fault "));
	report = (struct report){ .lanes = 0 };
}

/* ---- the limits ---- */

/* What one worker may have of so many files: 40 and 11 a worker are needed besides, a quarter of
 * the rest, 256 at most, is left to readers. */
static void test_files(void **state)
{
	static const struct { unsigned long files; unsigned conns; bool warns; } table[] = {
		{ 10318, 5000, false }, { 10317, 4999, false }, { 8318 + 192, 4096, false }, { 8318 + 190, 4095, true },
		{ 62 + 400, 150, true }, { 62 + 4, 1, true },
	};
	char want[512];

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		static struct server s;

		s.config = script.config;
		script.files = table[i].files;
		shared->text[0] = '\0';
		assert_int_equal(start_limits(&s), 0);
		assert_int_equal(s.conns_max, table[i].conns);
		snprintf(want, sizeof(want), !table[i].warns ? "files(10318) " : "files(10318) WARN[only %lu files may be open at once, so only %u connections per "
			 "worker: raise the limit (ulimit -n, LimitNOFILE=)] ", table[i].files, table[i].conns);
		assert_string_equal(shared->text, want);
	}
}

static void test_too_few_files(void **state)
{
	(void)state;
	script.files = 63;		/* one for each worker would be two more */
	expect(78, LIMITED "ERR[only 63 files may be open at once: 66 at least are needed with 2 workers: raise the "
	       "limit (ulimit -n, LimitNOFILE=), or take fewer workers] " GONE);
	script.files = 5;		/* fewer than are needed besides */
	expect(78, LIMITED "ERR[only 5 files may be open at once: 66 at least are needed with 2 workers: raise the "
	       "limit (ulimit -n, LimitNOFILE=), or take fewer workers] " GONE);
	script.config.nlisten = 3;	/* each is a file of each worker */
	script.files = 0;
	assert_int_equal(run_main(NULL), 0);
	assert_non_null(strstr(shared->text, "files(10322) listen(3,2,640) "));
}

/* The buffers, and 32 MiB besides, have to be there. */
static void test_memory(void **state)
{
	(void)state;
	script.config.pool_bytes = (uint64_t)100 << 20;
	script.config.memory_bytes = (uint64_t)132 << 20;
	assert_int_equal(run_main(NULL), 0);
	assert_non_null(strstr(shared->text, LISTENING));
	script.config.memory_bytes--;
	assert_int_equal(run_main(NULL), 0);
	assert_non_null(strstr(shared->text, LIMITED "WARN[pool-size 100M, and about 32M that are needed besides, are "
			       "more than the 131M of memory that there are for this process: when all buffers are "
			       "in use the kernel may end it; set a smaller pool-size, or allow more memory] listen("));
}

/* ---- what each is given ---- */

static void check_workers(void)
{
	CHECK(!strcmp(wenv->ring->name, "a-ring") && wenv->store == A_STORE && wenv->health == health);
	CHECK((uintptr_t)wenv->records == 0x50 && (uintptr_t)wenv->pages == 0x51 && wenv->checkpoint == CHECKPOINT);
	CHECK(wenv->counters && senv.counters[0] == &wenv->counters[0] && senv.counters[1] == &wenv->counters[1]);
	CHECK(wenv->limits.head_bytes == 1000 && wenv->limits.target_bytes == 2000 && wenv->limits.headers == 3);
	CHECK(wenv->limits.trailer_bytes == 1000 && wenv->limits.body_bytes == 4000);
	CHECK(wenv->conns_max == 5000 && wenv->header_timeout_ms == 6 && wenv->body_timeout_ms == 7000);
	CHECK(wenv->body_step == 7168);		/* 1024 a second, for 7 seconds */
	CHECK(wenv->idle_timeout_ms == 8000 && wenv->write_timeout_ms == 9 && wenv->pushback_ms == 10);
	CHECK(wenv->held_max == 12 && wenv->drain_ms == 13 && wenv->given && wenv->spin_us == 14);
	CHECK(wenv->common == senv.common && !strcmp(wenv->common->class, "fsync"));
	CHECK(!strcmp(wenv->nic, "eth0") && *wenv->serving == 2);
	wenv->gone(wenv->arg);
	CHECK(!sem_trywait(&woken));
	t(" env");
}

static void check_service(void)
{
	CHECK(senv.store == A_STORE && senv.class == CLASS_FSYNC && senv.nworkers == 2 && senv.health == health);
	CHECK(!strcmp(senv.version, PACKAGE_VERSION) && !strcmp(senv.class_why, "class why"));
	CHECK(!strcmp(senv.ring, "a-ring") && !strcmp(senv.store_dir, "/store") && !senv.nvmm);
	CHECK(!strcmp(senv.listen, "addresses") && strstr(senv.common->keep, "timeout=7\r\n") && senv.buf_size == 4096);
	CHECK(senv.absent && senv.counters);
	t(" ");
	senv.wake(senv.arg, 1);
	senv.kick_checkpoint(senv.arg);
}

static void check_none(void)
{
	CHECK(!senv.store && senv.class == CLASS_NONE && !senv.store_dir && !senv.common->keep_len && !wenv->checkpoint);
	senv.kick_checkpoint(senv.arg);
	t(" none");
}

static void check_store(void)
{
	CHECK(options.blk == disk_ops() && !strcmp(options.store_dir, "/store") && options.class == CLASS_FSYNC);
	CHECK(options.adopt && !strcmp(options.nvmm_path, "/pmem") && options.lanes == 2);
	CHECK(options.pool_bytes == 1 << 20 && options.buf_size == 4096 && options.segment_bytes == 100);
	CHECK(options.retain_bytes == 15 && options.retain_ms == 16 && options.record_bytes_max == 5000);
	t(" store");
}

static void expect_end(void (*check)(void), const char *end)
{
	assert_int_equal(run_main(check), 0);
	if (strcmp(strstr(shared->text, "free"), end))
		fail_msg("%s", strstr(shared->text, "free"));
}

static void test_given(void **state)
{
	(void)state;
	script.config.busy_poll_us = 14;
	script.config.nic = (char *)"eth0";
	script.config.retain_bytes = 15;
	script.config.retain_ms = 16;
	script.config.checkpoint_ms = 11;
	script.config.adopt = true;
	script.given = true;
	expect_end(check_workers, "free env");
	expect_end(check_service, "free wake1 kick ");
	script.config.nvmm = (char *)"/pmem";	/* what an earlier start left there */
	expect_end(check_store, "free store");
	script.config.nvmm = NULL;
	script.config.class = CLASS_NONE;
	script.config.idle_timeout_ms = 1000;
	expect_end(check_none, "free none");
}

static void check_slow(void)
{
	CHECK(wenv->body_step == 1);
	t(" slow");
}

static void test_body_rate(void **state)
{
	(void)state;
	script.config.body_rate = 0;
	expect_end(check_slow, "free slow");
	script.config.body_rate = 1;
	script.config.body_timeout_ms = 999;
	expect_end(check_slow, "free slow");
	script.config.body_timeout_ms = 1999;
	expect_end(check_slow, "free slow");
}

/* Eight looks while a record is kept, not more than ten a second, and never rarer than checkpoints. */
static void test_background(void **state)
{
	static const struct { uint64_t retain; unsigned checkpoint, is; } table[] = {
		{ 0, 200, 200 }, { 8000, 200, 200 }, { 8000, 5000, 1000 }, { 8008, 5000, 1001 }, { 80, 5000, 100 },
		{ 800, 5000, 100 }, { 792, 5000, 100 }, { 816, 5000, 102 }, { 80, 50, 50 }, { 8000, 1000, 1000 },
		{ 8000, 1001, 1000 }, { UINT64_C(36500) * 86400000, 3600000, 3600000 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct config c = { .retain_ms = table[i].retain, .checkpoint_ms = table[i].checkpoint };

		assert_int_equal(background_ms(&c), table[i].is);
	}
}

/* Pinned if there is one for each CPU that there is, and no other. */
static void test_cpus(void **state)
{
	int cpu[CPU_SETSIZE], n = 0, first = -1;
	cpu_set_t all, one;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &all) && !n++)
			first = i;
	memset(cpu, 0xff, sizeof(cpu));
	assert_true(cpu_list((unsigned)n, cpu));
	assert_int_equal(cpu[0], first);
	for (int i = 0; i < n; i++)
		assert_true(cpu[i] >= 0 && CPU_ISSET(cpu[i], &all) && (!i || cpu[i] > cpu[i - 1]));
	assert_int_equal(cpu[n], -1);
	assert_false(cpu_list((unsigned)n + 1, cpu));
	if (n > 1)
		assert_false(cpu_list((unsigned)n - 1, cpu));
	CPU_ZERO(&one);
	CPU_SET(cpu[n - 1], &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	assert_true(cpu_list(1, cpu));
	assert_true(CPU_ISSET(cpu[0], &one));
	assert_false(cpu_list(2, cpu));
	assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
}

/* ---- without a server ---- */

static void test_settings(void **state)
{
	(void)state;
	script.verdict = CONFIG_WRONG;
	expect(64, "std std(pasted) say[it is wrong\n] ");
	script.verdict = CONFIG_DONE;
	expect(0, "std std(pasted) ");
}

/* What the doctor says is on standard output, or that is an error. */
static void test_doctor(void **state)
{
	int keep = dup(STDOUT_FILENO), at[2], full = open("/dev/full", O_WRONLY);
	char text[64] = "";

	(void)state;
	script.config.doctor = true;
	assert_int_equal(pipe(at), 0);
	fflush(stdout);
	dup2(at[1], STDOUT_FILENO);
	expect(0, "std std(pasted) free");
	assert_int_equal(read(at[0], text, sizeof(text) - 1), 9);
	assert_string_equal(text, "so it is\n");
	script.doctor = EXIT_FAILURE;
	expect(EXIT_FAILURE, "std std(pasted) free");
	script.doctor = 0;
	dup2(full, STDOUT_FILENO);
	expect(EXIT_FAILURE, "std std(pasted) free");
	dup2(keep, STDOUT_FILENO);
	close(keep);
	close(full);
	close(at[0]);
	close(at[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_life, setup), cmocka_unit_test_setup(test_class_none, setup),
		cmocka_unit_test_setup(test_no_start, setup), cmocka_unit_test_setup(test_no_pid, setup),
		cmocka_unit_test_setup(test_no_choice, setup), cmocka_unit_test_setup(test_no_door, setup),
		cmocka_unit_test_setup(test_no_store, setup), cmocka_unit_test_setup(test_no_threads, setup),
		cmocka_unit_test_setup(test_no_worker, setup), cmocka_unit_test_setup(test_worker_gone, setup),
		cmocka_unit_test_setup(test_delay, setup), cmocka_unit_test_setup(test_second_signal, setup),
		cmocka_unit_test_setup(test_not_closed, setup), cmocka_unit_test_setup(test_no_room, setup),
		cmocka_unit_test_setup(test_progress, setup), cmocka_unit_test_setup(test_recovery_told, setup),
		cmocka_unit_test_setup(test_files, setup), cmocka_unit_test_setup(test_too_few_files, setup),
		cmocka_unit_test_setup(test_memory, setup), cmocka_unit_test_setup(test_given, setup),
		cmocka_unit_test_setup(test_body_rate, setup), cmocka_unit_test(test_background),
		cmocka_unit_test(test_cpus), cmocka_unit_test_setup(test_settings, setup),
		cmocka_unit_test_setup(test_doctor, setup),
	};

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return shared == MAP_FAILED ? 99 : cmocka_run_group_tests(tests, NULL, NULL);
}
