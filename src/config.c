/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * config.c - the table of settings, and what reads it: command line, file, --help.
 *
 * A value is set by one function whatever its source; a source is a place for
 * messages ("--workers", "/etc/pasted.conf:12") and a number, so that a setting
 * that is given twice in one source is refused and the command line, read first,
 * wins over the file.  Defaults are texts in the table, set by the same function.
 */
#include "config.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cgroup.h"
#include "format/format.h"
#include "segment/segment.h"

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)
#define TIB ((uint64_t)1 << 40)
#define SECOND ((uint64_t)1000)
#define BODY_AUTO (16 * MIB)
#define DAY (24 * 3600 * SECOND)
#define POOL_LEAST (8 * MIB)	/* auto takes no smaller pool */

enum kind {
	LISTEN,		/* struct listen_addr[], the only one that may be repeated */
	PATH,		/* char * */
	NIC,		/* char *, without "vnet:" */
	CHOICE,		/* unsigned: its place in `words` */
	COUNT,		/* unsigned */
	SIZE,		/* uint64_t, bytes */
	TIME,		/* uint64_t, milliseconds */
	TIME32,		/* unsigned, milliseconds */
	MODE,		/* unsigned, the rights of a file, octal */
	ACTION,		/* command line only, not in the file */
};

enum { FROM_NOBODY, FROM_COMMAND_LINE, FROM_FILE, FROM_DEFAULT };

struct setting {
	const char *name;
	enum kind kind;
	size_t at;		/* offsetof in struct config */
	const char *def;	/* default, as it would be written; NULL: none */
	uint64_t min, max;
	const char *words;	/* CHOICE: "a|b|c"; COUNT and SIZE: a word that means 0 */
	const char *arg;	/* how --help writes the value */
	const char *help;
};

#define AT(field) offsetof(struct config, field)

static const struct setting settings[] = {
	{ "listen", LISTEN, AT(listen), "127.0.0.1:8080", 0, 0, NULL, "ADDR:PORT",
	  "address to serve, may be repeated; [::1]:8080 and unix:/path too, port 0: any free" },
	{ "unix-mode", MODE, AT(unix_mode), "0600", 0, 0777, NULL, "MODE",
	  "rights of a Unix socket, octal: who may write to it may connect" },
	{ "store", PATH, AT(store), "./pasted-store", 0, 0, NULL, "DIR",
	  "where the segment log lives; made if it is not there" },
	{ "nvmm", PATH, AT(nvmm), NULL, 0, 0, NULL, "DIR|/dev/daxX.Y",
	  "persistent memory for the write-ahead log and the buffers" },
	{ "class", CHOICE, AT(class), "auto", 0, 0, "auto" CLASS_WORDS, NULL,
	  "durability; auto takes the strongest found, volatile and none only by name" },
	{ "ring", CHOICE, AT(ring), "auto", 0, 0, "auto|uring|socket|paste", NULL,
	  "how requests come in; auto takes what the kernel allows" },
	{ "nic", NIC, AT(nic), NULL, 0, 0, NULL, "vnet:IFNAME",
	  "ring paste: the network device whose packets come straight into the buffers" },
	{ "busy-poll", COUNT, AT(busy_poll_us), "0", 0, 1000000, NULL, "USEC",
	  "ring paste: how long to look for more requests before sleeping" },
	{ "workers", COUNT, AT(workers), "auto", 1, LANES_MAX, "auto", "N",
	  "number of threads, each with a lane of its own; auto: one per CPU that may be used" },
	{ "pool-size", SIZE, AT(pool_bytes), "auto", 1 * MIB, 64 * GIB, "auto", "BYTES",
	  "packet buffers of all workers; auto: 256M, or 64M per worker if that is more, or half of the memory" },
	{ "buffer-size", CHOICE, AT(buf_size), "4096", 0, 0, "2048|4096", NULL,
	  "bytes of one packet buffer" },
	{ "segment-size", SIZE, AT(segment_bytes), "64M", SEG_BYTES_MIN, SEG_BYTES_MAX, NULL, "BYTES",
	  "size of one segment file of the log" },
	{ "retain-bytes", SIZE, AT(retain_bytes), "0", 0, 1024 * TIB, NULL, "BYTES",
	  "the oldest segments are removed while the log is larger; 0: never" },
	{ "retain-age", TIME, AT(retain_ms), "0", 0, 36500 * DAY, NULL, "TIME",
	  "a segment is removed when all its records are older; 0: never" },
	{ "head-max", SIZE, AT(head_bytes_max), "16K", 1 * KIB, 64 * KIB, NULL, "BYTES",
	  "largest request line and header fields; 431 beyond" },
	{ "target-max", SIZE, AT(target_bytes_max), "8K", 16, 64 * KIB, NULL, "BYTES",
	  "longest request target; 414 beyond" },
	{ "headers-max", COUNT, AT(headers_max), "100", 1, 1000, NULL, "N",
	  "most header fields of a request; 431 beyond" },
	{ "body-max", SIZE, AT(body_bytes_max), "auto", 1, 60 * MIB, "auto", "BYTES",
	  "largest body; 413 beyond; auto: 16M, or less where segments or buffers are small" },
	{ "conns-max", COUNT, AT(conns_max), "16384", 1, 1000000, NULL, "N",
	  "connections of one worker" },
	{ "header-timeout", TIME32, AT(header_timeout_ms), "10s", 10, DAY, NULL, "TIME",
	  "in which a whole request head must come; 408 beyond" },
	{ "body-timeout", TIME32, AT(body_timeout_ms), "30s", 10, DAY, NULL, "TIME",
	  "in which as much of a body must come as body-rate asks for; 408 beyond" },
	{ "body-rate", SIZE, AT(body_rate), "1K", 0, 1 * GIB, NULL, "BYTES",
	  "bytes a second at which a body must come; 0: one byte in each body-timeout is enough" },
	{ "idle-timeout", TIME32, AT(idle_timeout_ms), "60s", 10, DAY, NULL, "TIME",
	  "how long a connection may be without a request; closed beyond" },
	{ "write-timeout", TIME32, AT(write_timeout_ms), "30s", 10, DAY, NULL, "TIME",
	  "how long a client may take nothing of a reply; closed beyond" },
	{ "pushback-timeout", TIME32, AT(pushback_ms), "1s", 1, 60 * SECOND, NULL, "TIME",
	  "how long a request waits for room while the log makes no progress; 503 beyond" },
	{ "checkpoint-interval", TIME32, AT(checkpoint_ms), "200ms", 1, 3600 * SECOND, NULL, "TIME",
	  "longest time until a record is moved from the write-ahead log to the segments" },
	{ "checkpoint-buffers", COUNT, AT(checkpoint_bufs), "1024", 1, BUFS_MAX, NULL, "N",
	  "a checkpoint comes at once when a worker holds so many buffers, or half of its pool" },
	{ "drain-delay", TIME32, AT(drain_delay_ms), "0", 0, 3600 * SECOND, NULL, "TIME",
	  "at SIGTERM: for how long requests are still served while readyz answers 503, so that a balancer sees it" },
	{ "drain-timeout", TIME32, AT(drain_ms), "10s", 0, 3600 * SECOND, NULL, "TIME",
	  "at SIGTERM: for how long requests in flight are waited for" },
	{ "pid-file", PATH, AT(pid_file), NULL, 0, 0, NULL, "FILE",
	  "holds the number of the process; locked while it runs, removed at its end" },
	{ "config", ACTION, 0, NULL, 0, 0, NULL, "FILE",
	  "read settings from FILE: one key = value a line, the same names" },
	{ "adopt", ACTION, 0, NULL, 0, 0, NULL, NULL,
	  "take over a write-ahead log that belongs to a copy of the store" },
	{ "doctor", ACTION, 0, NULL, 0, 0, NULL, NULL,
	  "say what durability this machine gives, why, and what to change; then exit" },
	{ "version", ACTION, 0, NULL, 0, 0, NULL, NULL, "print the version and exit" },
	{ "help", ACTION, 0, NULL, 0, 0, NULL, NULL, "print this and exit" },
};
#define NSETTINGS (sizeof(settings) / sizeof(settings[0]))
static_assert(NSETTINGS <= CONFIG_SETTINGS_MAX, "CONFIG_SETTINGS_MAX");

struct loader {
	struct config *c;
	FILE	*err;
	const char *file;		/* --config, NULL if none */
	unsigned char from[NSETTINGS];	/* the source (FROM_*) that has set it */
	unsigned line[NSETTINGS];	/* its line in the file, 0: not there */
};

/* Bytes of the text of a place; a longer one, because of its path, is cut. */
#define CONFIG_PLACE 512u

/* Where a value was given, for messages. */
struct place {
	int from;
	const char *file;
	unsigned line;
};

static const struct setting *config_find(const char *name)
{
	for (size_t i = 0; i < NSETTINGS; i++)
		if (!strcmp(settings[i].name, name))
			return &settings[i];
	return NULL;
}

/* Always false, so that a caller can return it. */
__attribute__((format(printf, 4, 5)))
static bool config_refuse(const struct loader *ld, const struct place *p, const char *name,
			  const char *fmt, ...)
{
	va_list ap;

	fprintf(ld->err, "pasted: ");
	if (p && p->from == FROM_FILE)
		fprintf(ld->err, "%s:%u: %s%s", p->file, p->line, name, *name ? ": " : "");
	else if (*name)
		fprintf(ld->err, "--%s: ", name);
	va_start(ap, fmt);
	vfprintf(ld->err, fmt, ap);
	va_end(ap);
	fputc('\n', ld->err);
	return false;
}

/* ---- one value ---- */

static void *field(struct config *c, const struct setting *s)
{
	return (char *)c + s->at;
}

/* Reads a whole number and multiplies it by its unit.  -EINVAL; -ERANGE: more than 64 bits. */
static int parse_scaled(const char *text, uint64_t *v,
			int (*unit)(const char *suffix, uint64_t n, uint64_t *factor))
{
	unsigned long long n;
	uint64_t factor;
	char *end;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno)
		return -ERANGE;
	if (unit(end, n, &factor))
		return -EINVAL;
	return __builtin_mul_overflow(n, factor, v) ? -ERANGE : 0;
}

static int unit_none(const char *suffix, uint64_t n, uint64_t *factor)
{
	(void)n;
	*factor = 1;
	return *suffix ? -EINVAL : 0;
}

static int unit_size(const char *suffix, uint64_t n, uint64_t *factor)
{
	static const char letters[] = "KMGT";
	const char *l;

	(void)n;
	*factor = 1;
	if (!*suffix)
		return 0;
	l = strchr(letters, toupper((unsigned char)*suffix));
	if (!l || suffix[1])
		return -EINVAL;
	*factor = (uint64_t)1 << (10 * (l - letters + 1));
	return 0;
}

static int unit_time(const char *suffix, uint64_t n, uint64_t *factor)
{
	static const struct { const char *suffix; uint64_t ms; } units[] = {
		{ "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", DAY },
	};

	*factor = 1;
	if (!*suffix && n == 0)
		return 0;			/* only 0 may have no unit */
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (!strcmp(suffix, units[i].suffix)) {
			*factor = units[i].ms;
			return 0;
		}
	}
	return -EINVAL;
}

/* Writes v with the largest unit that leaves a whole number. */
static void print_scaled(enum kind kind, uint64_t v, char *buf, size_t n)
{
	static const struct { uint64_t f; const char *u; } sizes[] = {
		{ TIB, "T" }, { GIB, "G" }, { MIB, "M" }, { KIB, "K" }, { 1, "" },
	}, times[] = {
		{ DAY, "d" }, { 3600000, "h" }, { 60000, "m" }, { 1000, "s" }, { 1, "ms" },
	};
	bool time = kind == TIME || kind == TIME32;
	unsigned i = 0;

	if (kind == COUNT || v == 0) {
		snprintf(buf, n, "%llu", (unsigned long long)v);
		return;
	}
	while (v % (time ? times : sizes)[i].f)
		i++;
	snprintf(buf, n, "%llu%s", (unsigned long long)(v / (time ? times : sizes)[i].f),
		 (time ? times : sizes)[i].u);
}

static bool config_refuse_number(const struct loader *ld, const struct place *p,
				 const struct setting *s, const char *value, bool range)
{
	char min[32], max[32];
	const char *unit = s->kind == SIZE ? ", with K, M, G or T for powers of 1024" :
			   s->kind == COUNT ? "" : ", with ms, s, m, h or d";

	print_scaled(s->kind, s->min, min, sizeof(min));
	print_scaled(s->kind, s->max, max, sizeof(max));
	return config_refuse(ld, p, s->name, "\"%s\" is %s: accepted is %s to %s%s%s%s", value,
			     range ? "out of range" : "not a number that is understood here",
			     min, max, unit, s->words ? ", or " : "", s->words ? s->words : "");
}

static bool set_number(const struct loader *ld, const struct place *p,
		       const struct setting *s, const char *value)
{
	uint64_t v = 0;
	int err = 0;

	if (!s->words || strcmp(value, s->words)) {
		err = parse_scaled(value, &v, s->kind == COUNT ? unit_none :
				   s->kind == SIZE ? unit_size : unit_time);
		if (!err && (v < s->min || v > s->max))
			err = -ERANGE;
	}
	if (err)
		return config_refuse_number(ld, p, s, value, err == -ERANGE);
	if (s->kind == COUNT || s->kind == TIME32)
		*(unsigned *)field(ld->c, s) = (unsigned)v;
	else
		*(uint64_t *)field(ld->c, s) = v;
	return true;
}

static bool set_mode(const struct loader *ld, const struct place *p,
		     const struct setting *s, const char *value)
{
	size_t n = strlen(value);

	if (n < 3 || n > 4 || strspn(value, "01234567") != n || strtoul(value, NULL, 8) > s->max)
		return config_refuse(ld, p, s->name, "\"%s\" is no mode: accepted is 000 to 777, as chmod has "
				     "them", value);
	*(unsigned *)field(ld->c, s) = (unsigned)strtoul(value, NULL, 8);
	return true;
}

static bool set_choice(const struct loader *ld, const struct place *p,
		       const struct setting *s, const char *value)
{
	size_t len = strlen(value);
	unsigned i = 0;

	for (const char *w = s->words; w; i++) {
		size_t n = strcspn(w, "|");

		if (n == len && !memcmp(w, value, n)) {
			*(unsigned *)field(ld->c, s) = i;
			return true;
		}
		w = w[n] ? w + n + 1 : NULL;
	}
	return config_refuse(ld, p, s->name, "\"%s\" is not one of them: accepted is %s", value, s->words);
}

static bool set_listen(const struct loader *ld, const struct place *p,
		       const struct setting *s, const char *value)
{
	char why[256];

	if (ld->c->nlisten == LISTEN_MAX)
		return config_refuse(ld, p, s->name, "more than %u addresses", LISTEN_MAX);
	if (listen_parse(value, &ld->c->listen[ld->c->nlisten], why, sizeof(why)))
		return config_refuse(ld, p, s->name, "%s", why);
	ld->c->nlisten++;
	return true;
}

static bool set_path(const struct loader *ld, const struct place *p,
		     const struct setting *s, const char *value)
{
	char **at = field(ld->c, s);

	if (!*value)
		return config_refuse(ld, p, s->name, "is empty: accepted is a path");
	*at = strdup(value);
	return *at || config_refuse(ld, p, s->name, "out of memory");
}

static bool set_nic(const struct loader *ld, const struct place *p,
		    const struct setting *s, const char *value)
{
	static const char kind[] = "vnet:";
	const char *name = value + sizeof(kind) - 1;
	char **at = field(ld->c, s);

	/* The kernel accepts the same names for network devices. */
	if (strncmp(value, kind, sizeof(kind) - 1) || !*name || strlen(name) >= IF_NAMESIZE ||
	    strpbrk(name, "/: \t"))
		return config_refuse(ld, p, s->name, "\"%s\" is not understood: accepted is %sIFNAME", value, kind);
	*at = strdup(name);
	return *at || config_refuse(ld, p, s->name, "out of memory");
}

static bool set_value(const struct loader *ld, const struct place *p,
		      const struct setting *s, const char *value)
{
	switch (s->kind) {
	case LISTEN:
		return set_listen(ld, p, s, value);
	case PATH:
		return set_path(ld, p, s, value);
	case NIC:
		return set_nic(ld, p, s, value);
	case CHOICE:
		return set_choice(ld, p, s, value);
	case COUNT: case SIZE: case TIME: case TIME32:
		return set_number(ld, p, s, value);
	case MODE:
		return set_mode(ld, p, s, value);
	case ACTION:
		break;
	}
	return false;
}

/* A value that a stronger source has overridden must still be a valid one. */
static bool check_only(const struct loader *ld, const struct place *p,
		       const struct setting *s, const char *value)
{
	struct config scratch = { .nlisten = 0 };
	struct loader other = { .c = &scratch, .err = ld->err };
	bool ok = set_value(&other, p, s, value);

	config_free(&scratch);
	return ok;
}

/* Sets a value unless a stronger source has: sources are read in the order of precedence. */
static bool give(struct loader *ld, const struct place *p, const struct setting *s,
		 const char *value)
{
	size_t i = (size_t)(s - settings);

	if (s->kind != LISTEN && p->from == FROM_FILE && ld->line[i])
		return config_refuse(ld, p, s->name, "is there twice, first in line %u: leave one",
				     ld->line[i]);
	if (s->kind != LISTEN && p->from == ld->from[i])
		return config_refuse(ld, p, s->name, "is there twice: give it once");
	ld->line[i] = p->line;
	if (ld->from[i] != FROM_NOBODY && ld->from[i] != p->from)
		return check_only(ld, p, s, value);
	ld->from[i] = (unsigned char)p->from;
	ld->c->line[i] = p->line;
	return set_value(ld, p, s, value);
}

/* ---- the command line ---- */

static void print_help(FILE *out)
{
	fprintf(out, "pasted - a durable HTTP ingest server\n\nusage: pasted [option]...\n\n");
	for (size_t i = 0; i < NSETTINGS; i++) {
		const struct setting *s = &settings[i];
		const char *arg = s->arg ? s->arg : s->kind == CHOICE ? s->words : NULL;

		fprintf(out, "  --%s%s%s%s\n      %s", s->name, arg ? " " : "", arg ? arg : "",
			s->arg && s->words ? "|auto" : "", s->help);
		if (s->def)
			fprintf(out, " [%s]", s->def);
		fputc('\n', out);
	}
	fprintf(out, "\nBYTES take K, M, G, T; TIME takes ms, s, m, h, d.  pasted(8), pasted.conf(5).\n");
}

/* --adopt, --doctor, --version, --help, --config. */
static bool act(struct loader *ld, const struct place *p, const struct setting *s,
		const char *value, FILE *out, bool *done)
{
	if (!strcmp(s->name, "config")) {
		if (ld->file)
			return config_refuse(ld, p, s->name, "is there twice: give it once");
		ld->file = value;
	} else if (!strcmp(s->name, "doctor")) {
		ld->c->doctor = true;
	} else if (!strcmp(s->name, "adopt")) {
		ld->c->adopt = true;
	} else {
		if (!strcmp(s->name, "version"))
			fprintf(out, "pasted %s\n", PACKAGE_VERSION);
		else
			print_help(out);
		*done = true;
	}
	return true;
}

static bool read_command_line(struct loader *ld, int argc, char *const *argv, FILE *out,
			      bool *done)
{
	const struct place p = { .from = FROM_COMMAND_LINE };

	for (int i = 1; i < argc && !*done; i++) {
		const char *value = strchr(argv[i], '=');
		const struct setting *s;
		char name[32];
		size_t n = value ? (size_t)(value - argv[i]) : strlen(argv[i]);
		bool takes;

		if (n < 2 || n - 2 >= sizeof(name) || memcmp(argv[i], "--", 2))
			return config_refuse(ld, NULL, "", "\"%s\" is not an option: pasted --help lists them",
					     argv[i]);
		memcpy(name, argv[i] + 2, n - 2);
		name[n - 2] = '\0';
		s = config_find(name);
		if (!s)
			return config_refuse(ld, NULL, "", "unknown option --%s: pasted --help lists them",
					     name);
		takes = s->arg || s->kind != ACTION;
		if (value && !takes)
			return config_refuse(ld, &p, name, "takes no value");
		if (value)
			value++;
		else if (takes && i + 1 < argc)
			value = argv[++i];
		if (takes && !value)
			return config_refuse(ld, &p, name, "needs a value: %s",
					     s->arg ? s->arg : s->words);
		if (s->kind == ACTION ? !act(ld, &p, s, value, out, done) : !give(ld, &p, s, value))
			return false;
	}
	return true;
}

/* ---- the file ---- */

static char *trim(char *s)
{
	char *end;

	while (isspace((unsigned char)*s))
		s++;
	end = s + strlen(s);
	while (end > s && isspace((unsigned char)end[-1]))
		end--;
	*end = '\0';
	return s;
}

/* A comment starts at a # that begins the line or follows white space. */
static void cut_comment(char *s)
{
	for (char *h = s; (h = strchr(h, '#')); h++) {
		if (h == s || isspace((unsigned char)h[-1])) {
			*h = '\0';
			return;
		}
	}
}

static bool config_read_line(struct loader *ld, const struct place *p, char *line)
{
	const struct setting *s;
	char *key, *value;

	cut_comment(line);
	key = trim(line);
	if (!*key)
		return true;
	value = strchr(key, '=');
	if (!value)
		return config_refuse(ld, p, "", "\"%s\" is not a setting: accepted is key = value", key);
	*value++ = '\0';
	key = trim(key);
	value = trim(value);
	s = config_find(key);
	if (!s)
		return config_refuse(ld, p, "", "unknown key \"%s\": accepted are the options that "
				     "pasted --help lists, without the dashes", key);
	if (s->kind == ACTION)
		return config_refuse(ld, p, key, "goes on the command line only");
	return give(ld, p, s, value);
}

static bool read_file(struct loader *ld)
{
	struct place p = { .from = FROM_FILE, .file = ld->file };
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;
	bool ok = true;
	FILE *f = fopen(ld->file, "re");

	if (!f)
		return config_refuse(ld, NULL, "config", "cannot read %s: %s", ld->file, strerror(errno));
	while (ok && (n = getline(&line, &cap, f)) >= 0) {
		p.line++;
		if (p.line == 1 && !strncmp(line, "\xef\xbb\xbf", 3)) {	/* a byte order mark */
			n -= 3;
			memmove(line, line + 3, (size_t)n + 1);
		}
		if (strlen(line) != (size_t)n)
			ok = config_refuse(ld, &p, "", "there is a NUL byte in the line: accepted is text");
		else
			ok = config_read_line(ld, &p, line);
	}
	if (ok && ferror(f))
		ok = config_refuse(ld, NULL, "config", "cannot read %s: %s", ld->file, strerror(errno));
	free(line);
	fclose(f);
	return ok;
}

/* ---- all together ---- */

static void read_defaults(struct loader *ld)
{
	const struct place p = { .from = FROM_DEFAULT };

	for (size_t i = 0; i < NSETTINGS; i++)
		if (settings[i].def && ld->from[i] == FROM_NOBODY)
			give(ld, &p, &settings[i], settings[i].def);
}

static unsigned cpus(void)
{
	cpu_set_t set;
	int n = sched_getaffinity(0, sizeof(set), &set) ? 1 : CPU_COUNT(&set);

	return n < 1 ? 1 : n > (int)LANES_MAX ? LANES_MAX : (unsigned)n;
}

/* The pool-size of auto, at most half of the memory that the machine has or the control group
 * allows. */
static uint64_t pool_auto(const struct config *c)
{
	uint64_t want = 64 * MIB * c->workers, most = c->memory_bytes / 2 / MIB * MIB;

	if (want < 256 * MIB)
		want = 256 * MIB;
	if (most < POOL_LEAST)
		most = POOL_LEAST;
	return want < most ? want : most;
}

static uint64_t ram_bytes(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);

	return pages < 1 || page < 1 ? UINT64_MAX : (uint64_t)pages * (uint64_t)page;
}

/* Replaces the indices of choices and the words for auto with what they mean. */
static void resolve(struct config *c, const struct cgroup *g)
{
	static const unsigned buf_sizes[] = { 2048, 4096 };

	if (c->class)			/* the first word is auto */
		c->class = class_of_word(c->class - 1);
	c->buf_size = buf_sizes[c->buf_size];
	c->memory_bytes = g->memory_bytes < ram_bytes() ? g->memory_bytes : ram_bytes();
	if (!c->workers)
		c->workers = cpus() < g->cpus ? cpus() : g->cpus;
	if (!c->pool_bytes)
		c->pool_bytes = pool_auto(c);
}

/* Checks settings that depend on each other.  The largest record must fit into a
 * segment, and twice into a worker's share of the buffers, so that one can arrive
 * while the one before it is moved. */
static bool fits_together(const struct loader *ld)
{
	struct config *c = ld->c;
	uint64_t share = c->pool_bytes / c->workers / c->buf_size * c->buf_size;
	uint64_t in_segment = seg_record_max(c->segment_bytes), in_pool = share / 2;
	uint64_t room = in_segment < in_pool ? in_segment : in_pool;
	char record[32], most[32], at[CONFIG_PLACE];

	if (c->ring == CONFIG_RING_URING || c->ring == CONFIG_RING_SOCKET) {
		const char *other = c->nic ? "nic" : c->busy_poll_us ? "busy-poll" : NULL;

		if (other)
			return config_refuse(ld, NULL, other, "is for the ring paste, not for %s: accepted is "
					     "--ring paste or auto with it", config_ring_name(c->ring));
	}
	if (c->segment_bytes % WAL_PAGE)
		return config_refuse(ld, NULL, "", "%s: %llu is not a multiple of %u: accepted is %llu",
				     config_place(c, "segment-size", at, sizeof(at)), (unsigned long long)c->segment_bytes, WAL_PAGE,
				     (unsigned long long)(c->segment_bytes / WAL_PAGE * WAL_PAGE));
	if (c->retain_bytes && (c->class == CONFIG_CLASS_AUTO || class_stores(c->class)) &&
	    c->retain_bytes / c->workers < RETAIN_SEGMENTS * c->segment_bytes) {
		print_scaled(SIZE, RETAIN_SEGMENTS * c->segment_bytes * c->workers, most, sizeof(most));
		return config_refuse(ld, NULL, "", "%s: each of %u workers needs room for %u segments: accepted "
				     "are 0 (keep all) and %s or more; or smaller segments, or fewer workers",
				     config_place(c, "retain-bytes", at, sizeof(at)), c->workers,
				     RETAIN_SEGMENTS, most);
	}
	if (!c->body_bytes_max && room > c->head_bytes_max) {
		room -= c->head_bytes_max;
		c->body_bytes_max = room < BODY_AUTO ? room : BODY_AUTO;
		return true;
	}
	if (!c->body_bytes_max)
		c->body_bytes_max = 1;		/* the least body; it is refused below */
	if (c->head_bytes_max + c->body_bytes_max <= room)
		return true;
	print_scaled(SIZE, c->head_bytes_max + c->body_bytes_max, record, sizeof(record));
	print_scaled(SIZE, room, most, sizeof(most));
	if (in_segment < in_pool)
		return config_refuse(ld, NULL, "", "%s: a record of head-max + body-max = %s does "
				     "not fit: accepted are records up to %s, or larger segments",
				     config_place(c, "segment-size", at, sizeof(at)), record, most);
	return config_refuse(ld, NULL, "", "%s: a record of head-max + body-max = %s does not fit "
			     "twice into the share of each of %u workers: accepted are records up to %s, "
			     "a larger pool, or fewer workers", config_place(c, "pool-size", at, sizeof(at)),
			     record, c->workers, most);
}

enum config_verdict config_load(struct config *c, int argc, char *const *argv,
				FILE *out, FILE *err)
{
	struct loader ld = { .c = c, .err = err };
	struct cgroup g;
	bool done = false;

	memset(c, 0, sizeof(*c));
	if (!read_command_line(&ld, argc, argv, out, &done))
		goto wrong;
	if (done) {
		config_free(c);
		return CONFIG_DONE;
	}
	c->file = ld.file;
	if (ld.file && !read_file(&ld))
		goto wrong;
	read_defaults(&ld);
	cgroup_read(&g, CGROUP_LIST, CGROUP_ROOT);
	resolve(c, &g);
	if (!fits_together(&ld))
		goto wrong;
	return CONFIG_RUN;
wrong:
	config_free(c);
	return CONFIG_WRONG;
}

void config_free(struct config *c)
{
	free(c->store);
	free(c->nvmm);
	free(c->nic);
	free(c->pid_file);
	memset(c, 0, sizeof(*c));
}

const char *config_place(const struct config *c, const char *name, char *buf, size_t n)
{
	const struct setting *s = config_find(name);
	unsigned line = s ? c->line[s - settings] : 0;

	if (line)
		snprintf(buf, n, "%s:%u: %s", c->file, line, name);
	else
		snprintf(buf, n, "--%s", name);
	return buf;
}

const char *config_ring_name(unsigned ring)
{
	static const char *const names[] = { "auto", "uring", "socket", "paste" };

	return ring < sizeof(names) / sizeof(names[0]) ? names[ring] : "?";
}
