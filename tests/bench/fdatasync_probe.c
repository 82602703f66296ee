// SPDX-License-Identifier: BSD-2-Clause
/*
 * fdatasync_probe - what the disk takes for one durable write: pwrite, fdatasync.
 *
 *   fdatasync_probe FILE SIZE COUNT
 *
 * The file is written with zeros and synced first and then overwritten in sequence,
 * as a preallocated log is: a sync has data to write and no metadata.  Prints the
 * mean, median and 99th percentile of both calls together, in microseconds.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FILE_BYTES (16u << 20)

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static int fill(int fd)
{
	static const char zeros[1 << 20];

	for (unsigned i = 0; i < FILE_BYTES / sizeof(zeros); i++)
		if (pwrite(fd, zeros, sizeof(zeros), (off_t)(i * sizeof(zeros))) != sizeof(zeros))
			return -EIO;
	return fsync(fd) ? -errno : 0;
}

static int measure(int fd, size_t size, size_t count, double *us)
{
	char *data = malloc(size);
	off_t at = 0;
	int err = 0;

	if (!data)
		return -ENOMEM;
	memset(data, 'x', size);
	for (size_t i = 0; i < count && !err; i++) {
		double t = now_us();

		if (at + (off_t)size > (off_t)FILE_BYTES)
			at = 0;
		if (pwrite(fd, data, size, at) != (ssize_t)size || fdatasync(fd))
			err = -EIO;
		us[i] = now_us() - t;
		at += (off_t)size;
	}
	free(data);
	return err;
}

int main(int argc, char **argv)
{
	size_t size, count;
	double *us, sum = 0;
	int fd, err;

	if (argc != 4 || (size = strtoul(argv[2], NULL, 10)) == 0 || size > FILE_BYTES ||
	    (count = strtoul(argv[3], NULL, 10)) == 0) {
		fprintf(stderr, "usage: fdatasync_probe FILE SIZE COUNT\n");
		return 64;
	}
	fd = open(argv[1], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	us = calloc(count, sizeof(*us));
	err = fd < 0 || !us ? -errno : fill(fd);
	if (!err)
		err = measure(fd, size, count, us);
	if (err) {
		fprintf(stderr, "fdatasync_probe: %s: %s\n", argv[1], strerror(-err));
		return 1;
	}
	for (size_t i = 0; i < count; i++)
		sum += us[i];
	qsort(us, count, sizeof(*us), compare);
	printf("mean=%.2f p50=%.2f p99=%.2f\n", sum / (double)count, us[count / 2], us[count * 99 / 100]);
	free(us);
	close(fd);
	return 0;
}
