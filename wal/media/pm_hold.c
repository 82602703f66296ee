/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pm_hold.c - the lock on a wal and its buffers (pm.h), as the kernel gives it.
 *
 * It is flock(2) on the folder, or on the node of a device-dax, and on the file `wal` in the
 * folder if there is one: the folder's lock covers a wal that is still to be made, the file's a
 * wal that two paths lead to.  The mappings keep no descriptor open, so the lock has its own,
 * open for as long as the wal is mapped for writing.  Limit: two nodes of one device have two
 * locks.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "media/pm.h"
#include "util/error.h"
#include "util/mutant.h"

struct pm_hold {
	int at;			/* the folder or the node */
	int wal, bufs;		/* the files in it; -1: not there, or a device */
};

static int lock(int fd)
{
	int res;

	do
		res = flock(fd, LOCK_EX | LOCK_NB);
	while (res < 0 && errno == EINTR);
	return res < 0 && !MUTANT(hold_lock_result) ? -errno : 0;
}

/* Opens a file of the folder, if it is there: follows no link and does not wait for what else
 * may have the name (STORE_ENOTFILE). */
static int open_in(int at, const char *name, int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = TEMP_FAILURE_RETRY(openat(at, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW));
	if (*fd < 0)
		return errno == ENOENT ? 0 : errno == ELOOP || errno == ENXIO ? STORE_ENOTFILE : -errno;
	return 0;
}

/* Refuses all but a regular file with one name: what is written would show under the other. */
static int one_file(int fd)
{
	struct stat st;

	if (fd < 0)
		return 0;
	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) && !MUTANT(hold_kind_check))
		return STORE_ENOTFILE;
	return st.st_nlink > 1 && !MUTANT(hold_links_check) ? STORE_ELINKED : 0;
}

int pm_hold_files(void *ctx, struct pm_hold *h)
{
	struct stat st;
	int err;

	(void)ctx;
	if (fstat(h->at, &st))
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return 0;
	err = open_in(h->at, "wal", &h->wal);
	if (!err && h->wal >= 0)
		err = lock(h->wal);
	if (!err)
		err = open_in(h->at, "pktbufs", &h->bufs);
	if (!err)
		err = one_file(h->wal);
	return err ? err : one_file(h->bufs);
}

void pm_hold_release(void *ctx, struct pm_hold *h)
{
	(void)ctx;
	if (h->bufs >= 0)
		close(h->bufs);
	if (h->wal >= 0)
		close(h->wal);
	close(h->at);
	free(h);
}

int pm_hold_take(void *ctx, const char *path, struct pm_hold **out)
{
	struct pm_hold *h = malloc(sizeof(*h));
	int err;

	if (!h)
		return -ENOMEM;
	h->wal = h->bufs = -1;
	h->at = TEMP_FAILURE_RETRY(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
	if (h->at < 0) {
		err = -errno;
		free(h);
		return err;
	}
	err = lock(h->at);
	if (!err)
		err = pm_hold_files(ctx, h);
	if (err && err != STORE_ELINKED) {
		pm_hold_release(ctx, h);
		return err;
	}
	*out = h;
	return err;
}

/* Whether fd is the file of *now, which stat filled in with the result res.  What cannot be found
 * out is taken as the same. */
static bool same(int fd, int res, const struct stat *now)
{
	struct stat was;

	if (res)
		return errno != ENOENT && errno != ENOTDIR;
	return fstat(fd, &was) || (was.st_dev == now->st_dev && was.st_ino == now->st_ino);
}

bool pm_hold_leads(void *ctx, const struct pm_hold *h, const char *path)
{
	struct stat now;

	(void)ctx;
	return same(h->at, stat(path, &now), &now);
}

bool pm_hold_there(void *ctx, const struct pm_hold *h)
{
	struct stat now;

	(void)ctx;
	return (h->wal < 0 || same(h->wal, fstatat(h->at, "wal", &now, 0), &now)) &&
	       (h->bufs < 0 || same(h->bufs, fstatat(h->at, "pktbufs", &now, 0), &now));
}

bool pm_hold_linked(void *ctx, const struct pm_hold *h)
{
	(void)ctx;
	return one_file(h->wal) == STORE_ELINKED || one_file(h->bufs) == STORE_ELINKED;
}
