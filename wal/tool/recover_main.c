/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * recover_main.c - the program pasted-recover: shows and repairs what a crash left in a
 * store (pasted-recover(8)).  rec_tool.c does the work; here are the command line and the
 * output.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/json.h"
#include "store/store.h"
#include "tool/progress.h"
#include "tool/rec_tool.h"
#include "tool/report.h"
#include "util/std.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "0"
#endif

enum { EXIT_UNUSABLE = 3, EXIT_USAGE = 64 };
enum command { CHECK, DUMP, REPAIR };

struct options {
	enum command command;
	const char *store, *nvmm;
	bool	 json, give_up, adopt;
};

static const char usage_text[] =
	"usage: pasted-recover [check|dump|repair] --store DIR [--nvmm PATH] [--json]\n"
	"                      [--adopt] [--give-up-wal]\n"
	"\n"
	"  check   look only: what is there, what is missing and why, what a start would do\n"
	"  dump    write every surviving record in order\n"
	"  repair  do what a start does, and report\n"
	"\n"
	"  --store DIR     the store\n"
	"  --nvmm PATH     where its wal is; default: the place noted in the store\n"
	"  --json          one JSON object (dump: one per record and line)\n"
	"  --adopt         take a wal that belongs to a copy of the store for this one's\n"
	"  --give-up-wal   repair: go on without a wal that is lost, and what only it held\n"
	"\n"
	"exit: 0 clean, 1 work pending after a crash (nothing acknowledged is lost),\n"
	"      2 damage found, 3 not a usable store (the message says why), 64 wrong usage\n";

/* Writes a message to standard error without waiting for a reader: while the tool waited, the
 * store would stay locked, and its server could not start. */
__attribute__((format(printf, 1, 2)))
static void main_tell(const char *fmt, ...)
{
	char text[4 * STD_LINE] = "pasted-recover: ";
	size_t at = strlen(text);
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text + at, sizeof(text) - at, fmt, ap);
	va_end(ap);
	if (n >= 0)
		std_say(text, strlen(text));
}

static int usage(const char *problem, const char *what)
{
	main_tell("%s%s\n\n%s", problem, what, usage_text);
	return EXIT_USAGE;
}

static int parse_command(struct options *o, int argc, char **argv)
{
	static const char *const names[] = { "check", "dump", "repair" };

	if (optind == argc)
		return 0;
	for (unsigned i = 0; i < 3; i++) {
		if (!strcmp(argv[optind], names[i])) {
			o->command = i;
			optind++;
			return optind == argc ? 0 : usage("too many words: ", argv[optind]);
		}
	}
	return usage("no such command: ", argv[optind]);
}

/* 0: go on; > 0: exit with this code; < 0: exit with code 0. */
static int main_parse(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "store", required_argument, NULL, 's' },
		{ "nvmm", required_argument, NULL, 'n' },
		{ "json", no_argument, NULL, 'j' },
		{ "give-up-wal", no_argument, NULL, 'g' },
		{ "adopt", no_argument, NULL, 'a' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 }
	};
	int c, err;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 's':
			o->store = optarg;
			break;
		case 'n':
			o->nvmm = optarg;
			break;
		case 'j':
			o->json = true;
			break;
		case 'g':
			o->give_up = true;
			break;
		case 'a':
			o->adopt = true;
			break;
		case 'h':
			fputs(usage_text, stdout);
			return -1;
		case 'V':
			puts("pasted-recover " PACKAGE_VERSION);
			return -1;
		default:
			return usage("no such option, or no value for it: ", argv[optind - 1]);
		}
	}
	err = parse_command(o, argc, argv);
	if (err)
		return err;
	if (!o->store)
		return usage("--store DIR is missing", "");
	if (o->give_up && o->command != REPAIR)
		return usage("--give-up-wal goes with repair only", "");
	return 0;
}

/* ---- dump ---- */

static int dump_json(void *arg, unsigned lane, uint64_t seq, uint64_t time_ms,
		     const uint8_t *data, uint32_t len)
{
	struct json_record j;
	char buf[16384];
	size_t n;

	json_record_start(&j, lane, seq, time_ms, data, len, len);
	while ((n = json_record_more(&j, buf, sizeof(buf))))
		if (fwrite(buf, 1, n, arg) != n)
			return errno ? -errno : -EIO;
	return 0;
}

/* Writes "# 0-17 2026-11-21T00:38:20.123Z 1150\n", that many bytes, and a newline. */
static int dump_raw(void *arg, unsigned lane, uint64_t seq, uint64_t time_ms,
		    const uint8_t *data, uint32_t len)
{
	char when[JSON_TIME];

	json_time(when, time_ms);
	if (fprintf(arg, "# %u-%" PRIu64 " %s %" PRIu32 "\n", lane, seq, when, len) < 0 ||
	    fwrite(data, 1, len, arg) != len || fputc('\n', arg) == EOF)
		return errno ? -errno : -EIO;
	return 0;
}

static int dump_gap(void *arg, const struct rec_finding *g)
{
	char line[JSON_ROOM + 64];
	size_t n = json_gap(line, sizeof(line), g->lane, g->from_seq, g->to_seq,
			    absent_name(g->reason));

	return fwrite(line, 1, n, arg) == n ? 0 : errno ? -errno : -EIO;
}

static int run_dump(const struct options *o, const struct rec_tool *t, struct report *r)
{
	struct rec_dump to = { stdout, o->json ? dump_json : dump_raw, o->json ? dump_gap : NULL };
	int err = store_dump(t, r, &to);
	int verdict;

	if (!err && fflush(stdout))
		err = errno ? -errno : -EIO;
	progress_end(t->progress_arg);
	if (err) {
		main_tell("%s\n", r->error ? r->why : store_strerror(err));
		return EXIT_UNUSABLE;
	}
	verdict = report_verdict(r);
	if (verdict == 2)
		main_tell("%" PRIu64 " places %s: see `pasted-recover check`\n", report_damaged(r),
			  report_unread(r) == report_damaged(r) ? "cannot be read now" : "are damaged or lost");
	return verdict;
}

/* ---- check, repair ---- */

static int run_report(const struct options *o, const struct rec_tool *t, struct report *r)
{
	bool did = o->command == REPAIR;
	int verdict;

	if (did)
		store_repair(t, r);
	else
		store_check(t, r);
	progress_end(t->progress_arg);
	verdict = report_verdict(r);
	if (verdict == EXIT_UNUSABLE)
		main_tell("%s\n", r->why[0] ? r->why : store_strerror(r->error));
	if (o->json)
		report_json(stdout, r, o->store, did);
	else if (verdict != EXIT_UNUSABLE)
		report_people(stdout, r, o->store, did);
	if (fflush(stdout) || ferror(stdout)) {
		main_tell("the report could not be written\n");
		return EXIT_UNUSABLE;
	}
	return did && verdict == 1 ? 0 : verdict;
}

int main(int argc, char **argv)
{
	struct options o = { 0 };
	struct progress p;
	struct report r = { 0 };
	struct rec_tool t = { .progress = progress_report, .progress_arg = &p };
	int code;

	std_open();
	std_start("pasted-recover");
	code = main_parse(&o, argc, argv);
	if (code < 0)
		return fflush(stdout) ? EXIT_UNUSABLE : 0;
	if (code)
		return code;
	progress_init(&p, isatty(STDERR_FILENO));
	t.store_dir = o.store;
	t.nvmm_path = o.nvmm;
	t.give_up = o.give_up;
	t.adopt = o.adopt;
	code = o.command == DUMP ? run_dump(&o, &t, &r) : run_report(&o, &t, &r);
	report_fini(&r);
	return code;
}
