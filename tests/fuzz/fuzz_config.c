/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_config.c - any bytes as command line and configuration file.
 *
 * The lines up to the first empty one are the arguments, the rest is the file.  It is
 * either refused with one line that says why and a zeroed struct, or it is a
 * configuration that a server can start with: within the documented limits.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "config.h"
#include "fuzz.h"
#include "segment/segment.h"

#define ARGS_MAX 16

static bool is_config(const char *arg)
{
	return !strncmp(arg, "--config", 8);	/* would read a file of its own */
}

/* The arguments, cut out of the input; *rest is what follows them. */
static int arguments(char *text, char **argv, char **rest)
{
	int argc = 1;

	argv[0] = (char *)(uintptr_t)"pasted";
	while (*text && *text != '\n') {
		char *end = strchr(text, '\n');

		if (!end)
			end = text + strlen(text);
		else
			*end++ = '\0';
		if (argc < ARGS_MAX && !is_config(text))
			argv[argc++] = text;
		text = end;
	}
	*rest = *text ? text + 1 : text;
	return argc;
}

static void check_usable(const struct config *c)
{
	uint64_t record = c->head_bytes_max + c->body_bytes_max;

	fuzz_check(c->nlisten >= 1 && c->nlisten <= LISTEN_MAX, "%u", c->nlisten);
	fuzz_check(c->store && *c->store, "no store");
	fuzz_check(!c->nvmm || *c->nvmm, "empty");
	fuzz_check(c->class == CONFIG_CLASS_AUTO || class_known(c->class), "%u", c->class);
	fuzz_check(c->ring <= CONFIG_RING_PASTE, "%u", c->ring);
	fuzz_check(!c->nic || (*c->nic && strlen(c->nic) < 16 && c->ring != CONFIG_RING_URING &&
		   c->ring != CONFIG_RING_SOCKET), "%s", c->nic);
	fuzz_check(c->workers >= 1 && c->workers <= LANES_MAX, "%u", c->workers);
	fuzz_check(c->buf_size == 2048 || c->buf_size == 4096, "%u", c->buf_size);
	fuzz_check(c->segment_bytes >= SEG_BYTES_MIN && c->segment_bytes <= SEG_BYTES_MAX &&
		   c->segment_bytes % WAL_PAGE == 0, "%llu", (unsigned long long)c->segment_bytes);
	fuzz_check(c->body_bytes_max >= 1, "no body");
	fuzz_check(record <= seg_record_max(c->segment_bytes), "a record larger than a segment");
	fuzz_check(2 * record <= c->pool_bytes / c->workers, "two records larger than the pool");
	fuzz_check(c->conns_max && c->header_timeout_ms && c->body_timeout_ms && c->idle_timeout_ms &&
		   c->write_timeout_ms && c->pushback_ms && c->checkpoint_ms, "a zero");
	fuzz_check(strcmp(config_ring_name(c->ring), "?"), "no name");
}

static void check_refused(const struct config *c, const char *said, size_t n)
{
	static const struct config none;

	fuzz_check(n > 9 && !strncmp(said, "pasted: ", 8), "%s", said);
	fuzz_check(said[n - 1] == '\n', "%s", said);
	fuzz_check(!memcmp(c, &none, sizeof(none)), "something is left");
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t n)
{
	char *text = malloc(n + 1), *argv[ARGS_MAX + 3], *rest, path[64], *out = NULL, *err = NULL;
	size_t out_n, err_n, file_n;
	FILE *fout = open_memstream(&out, &out_n), *ferr = open_memstream(&err, &err_n);
	int fd = memfd_create("conf", MFD_CLOEXEC), argc;
	struct config c;

	memcpy(text, in, n);
	text[n] = '\0';
	argc = arguments(text, argv, &rest);
	file_n = n - (size_t)(rest - text);
	if (write(fd, in + (rest - text), file_n) != (ssize_t)file_n)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	argv[argc++] = (char *)(uintptr_t)"--config";
	argv[argc++] = path;
	argv[argc] = NULL;
	memset(&c, 0xa5, sizeof(c));
	switch (config_load(&c, argc, argv, fout, ferr)) {
	case CONFIG_RUN:
		check_usable(&c);
		fflush(ferr);
		fuzz_check(!err_n, "%s", err);
		config_free(&c);
		break;
	case CONFIG_DONE:
		fflush(fout);
		fuzz_check(out_n, "nothing printed");
		break;
	case CONFIG_WRONG:
		fflush(ferr);
		check_refused(&c, err, err_n);
		break;
	}
	fclose(fout);
	fclose(ferr);
	free(out);
	free(err);
	free(text);
	close(fd);
	return 0;
}
