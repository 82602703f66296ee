/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * eio.c - preloaded into the programs: reads of a device that does not give them.
 *
 *	PASTED_EIO=file		while it is there and says "name from to", a pread of a file
 *				of that name which touches the bytes from .. to - 1 fails
 *
 * A page of the device that cannot be read, on any machine; what else is read is as it is.
 */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int is_bad(int fd, off_t off, size_t n)
{
	const char *control = getenv("PASTED_EIO");
	char name[256], link[64], path[PATH_MAX];
	long long from, to;
	ssize_t k;
	FILE *f;
	int got;

	f = control ? fopen(control, "re") : NULL;
	if (!f)
		return 0;
	got = fscanf(f, "%255s %lld %lld", name, &from, &to);
	fclose(f);
	if (got != 3 || off >= to || off + (off_t)n <= from)
		return 0;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	k = readlink(link, path, sizeof(path) - 1);
	if (k < 0)
		return 0;
	path[k] = '\0';
	return !strcmp(strrchr(path, '/') ? strrchr(path, '/') + 1 : path, name);
}

ssize_t pread(int fd, void *p, size_t n, off_t off)
{
	ssize_t (*real)(int, void *, size_t, off_t) = (ssize_t (*)(int, void *, size_t, off_t))
		dlsym(RTLD_NEXT, "pread");

	if (is_bad(fd, off, n)) {
		errno = EIO;
		return -1;
	}
	return real(fd, p, n, off);
}
