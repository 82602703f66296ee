/* SPDX-License-Identifier: BSD-2-Clause */
/* place.c - see place.h. */
#include "media/place.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/btrfs.h>
#include <linux/magic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "media/dax.h"

#define DEPTH_MAX	8	/* layers; what is below is not looked at */
#define LINE_BYTES	8192	/* of options in mountinfo: an overlay lists all its folders */

const char *place_proc = "/proc";

static bool folder_forgets(const char *path, int depth, char *why, size_t n);

/* ---- mounts ---- */

struct mounted {
	dev_t	 dev;
	char	 type[64], source[PATH_MAX], options[LINE_BYTES];	/* .. of the file system */
};

static bool mount_id(const char *path, long *id)
{
	char name[64], line[256];
	int fd = open(path, O_PATH | O_CLOEXEC);
	bool found = false;
	FILE *f;

	if (fd < 0)
		return false;
	snprintf(name, sizeof(name), "/proc/self/fdinfo/%d", fd);
	f = fopen(name, "re");
	while (f && !found && fgets(line, sizeof(line), f))
		found = sscanf(line, "mnt_id: %ld", id) == 1;
	if (f)
		fclose(f);
	close(fd);
	return found;
}

/* Undoes the octal escapes of the kernel, which writes a blank as \040. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' && s[3] >= '0' &&
		    s[3] <= '7') {
			*to++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + s[3] - '0');
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

static bool place_parse(const char *line, long want, struct mounted *m)
{
	const char *dash = strstr(line, " - ");
	unsigned maj, min;
	long id;

	if (!dash || sscanf(line, "%ld %*d %u:%u", &id, &maj, &min) != 3 || id != want ||
	    sscanf(dash, " - %63s %4095s %8191s", m->type, m->source, m->options) != 3)
		return false;
	m->dev = makedev(maj, min);
	unescape(m->source);
	unescape(m->options);
	return true;
}

static bool find_mount(const char *path, struct mounted *m)
{
	char mounts[PATH_MAX], *line = NULL;
	size_t cap = 0;
	bool found = false;
	FILE *f;
	long id;

	if (!mount_id(path, &id))
		return false;
	snprintf(mounts, sizeof(mounts), "%s/self/mountinfo", place_proc);
	f = fopen(mounts, "re");
	while (f && !found && getline(&line, &cap, f) > 0)
		found = place_parse(line, id, m);
	if (f)
		fclose(f);
	free(line);
	return found;
}

/* The value of an option: "" if it has none, NULL if the option is not there.  A comma ends the
 * value, unless it is part of a name (\,). */
static const char *option(const char *options, const char *name, char *value, size_t n)
{
	size_t len = strlen(name), k = 0;

	for (const char *at = options; at; at = strchr(at, ',')) {
		at += *at == ',';
		if (strncmp(at, name, len) || (at[len] != '\0' && at[len] != ',' && at[len] != '='))
			continue;
		for (at += len + (at[len] == '='); *at && *at != ',' && k + 1 < n; at++) {
			if (*at == '\\' && at[1])
				at++;
			value[k++] = *at;
		}
		value[k] = '\0';
		return value;
	}
	return NULL;
}

/* ---- block devices ---- */

static bool folder_of_loop(const char *folder, char *file, size_t n)
{
	char path[PATH_MAX + 32];
	FILE *f;
	bool got;

	snprintf(path, sizeof(path), "%s/loop/backing_file", folder);
	f = fopen(path, "re");
	if (!f) {		/* the folder may be that of a partition of a loop device */
		snprintf(path, sizeof(path), "%s/../loop/backing_file", folder);
		f = fopen(path, "re");
	}
	if (!f)
		return false;
	got = fgets(file, (int)n, f) != NULL;
	fclose(f);
	if (got)
		file[strcspn(file, "\n")] = '\0';
	return got;
}

/* Whether the file was deleted: the kernel appends a mark to the name that it had. */
static bool deleted(const char *file)
{
	static const char mark[] = " (deleted)";
	size_t n = strlen(file), k = sizeof(mark) - 1;
	struct stat st;

	return n > k && !strcmp(file + n - k, mark) && stat(file, &st) && errno == ENOENT;
}

static bool device_forgets(const char *folder, int depth, char *why, size_t n)
{
	char file[PATH_MAX], pattern[PATH_MAX + 16], below[PATH_MAX];
	const char *name = strrchr(folder, '/') + 1;
	bool forgets = false;
	glob_t g;

	if (depth > DEPTH_MAX)
		return false;
	if (!strncmp(name, "zram", 4) || (!strncmp(name, "ram", 3) && name[3] >= '0' && name[3] <= '9')) {
		snprintf(why, n, "the disk %s is memory", name);
		return true;
	}
	if (folder_of_loop(folder, file, sizeof(file)) && deleted(file)) {
		snprintf(why, n, "%s is a loop device on a file without a name, which ends with it: %s", name, file);
		return true;
	}
	if (folder_of_loop(folder, file, sizeof(file)) && folder_forgets(file, depth + 1, below, sizeof(below))) {
		snprintf(why, n, "%s is a loop device on %s, and %s", name, file, below);
		return true;
	}
	snprintf(pattern, sizeof(pattern), "%s/slaves/*", folder);
	if (glob(pattern, 0, NULL, &g))
		return false;
	for (size_t i = 0; i < g.gl_pathc && !forgets; i++)
		forgets = realpath(g.gl_pathv[i], below) && device_forgets(below, depth + 1, why, n);
	globfree(&g);
	return forgets;
}

static bool link_forgets(const char *link, int depth, char *why, size_t n)
{
	char folder[PATH_MAX];

	return realpath(link, folder) && device_forgets(folder, depth, why, n);
}

static bool number_forgets(dev_t dev, int depth, char *why, size_t n)
{
	char link[PATH_MAX];

	snprintf(link, sizeof(link), "%s/dev/block/%u:%u", dax_sysfs, major(dev), minor(dev));
	return link_forgets(link, depth, why, n);
}

static bool node_forgets(const char *node, int depth, char *why, size_t n)
{
	struct stat st;

	return !stat(node, &st) && S_ISBLK(st.st_mode) && number_forgets(st.st_rdev, depth, why, n);
}

/* Looks at the devices for a log, which options of the mount name. */
static bool log_forgets(const struct mounted *m, int depth, char *why, size_t n)
{
	static const char *const names[] = { "logdev", "rtdev", "journal_path" };
	char node[PATH_MAX];
	bool forgets = false;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && !forgets; i++)
		forgets = option(m->options, names[i], node, sizeof(node)) && node_forgets(node, depth, why, n);
	return forgets;
}

/* Looks at the device of ext4's journal, which only the name of the journal's thread tells. */
static bool journal_forgets(const struct mounted *m, int depth, char *why, size_t n)
{
	char path[PATH_MAX], folder[PATH_MAX], task[64] = "jbd2/";
	bool got = false;
	long pid;
	FILE *f;

	snprintf(path, sizeof(path), "%s/dev/block/%u:%u", dax_sysfs, major(m->dev), minor(m->dev));
	if (strcmp(m->type, "ext4") || !realpath(path, folder))
		return false;
	snprintf(path, sizeof(path), "%s/fs/ext4/%.255s/journal_task", dax_sysfs,
		 strrchr(folder, '/') + 1);
	f = fopen(path, "re");
	if (f) {
		got = fscanf(f, "%ld", &pid) == 1;
		fclose(f);
	}
	snprintf(path, sizeof(path), "%s/%ld/comm", place_proc, got ? pid : 0);
	f = got ? fopen(path, "re") : NULL;
	if (!f)
		return false;
	got = fscanf(f, "jbd2/%58[^\n]", task + strlen(task)) == 1;
	fclose(f);
	snprintf(path, sizeof(path), "%s/class/block/%s", dax_sysfs, task + strlen("jbd2/"));
	return got && link_forgets(path, depth, why, n);
}

/* Looks at all devices of a btrfs, since the mount names only one of them. */
static bool btrfs_forgets(const char *in, int depth, char *why, size_t n)
{
	struct btrfs_ioctl_fs_info_args info = { 0 };
	char pattern[PATH_MAX];
	bool forgets = false;
	size_t at;
	glob_t g;
	int fd = open(in, O_RDONLY | O_NONBLOCK | O_CLOEXEC), err;

	if (fd < 0)
		return false;
	err = ioctl(fd, BTRFS_IOC_FS_INFO, &info);
	close(fd);
	if (err)
		return false;
	at = (size_t)snprintf(pattern, sizeof(pattern), "%s/fs/btrfs/", dax_sysfs);
	for (size_t i = 0; i < sizeof(info.fsid); i++)
		at += (size_t)snprintf(pattern + at, sizeof(pattern) - at, "%s%02" PRIx8,
				       i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", info.fsid[i]);
	snprintf(pattern + at, sizeof(pattern) - at, "/devices/*");
	if (glob(pattern, 0, NULL, &g))
		return false;
	for (size_t i = 0; i < g.gl_pathc && !forgets; i++)
		forgets = link_forgets(g.gl_pathv[i], depth, why, n);
	globfree(&g);
	return forgets;
}

/* Looks at all known devices of the file system that `in` is on. */
static bool disk_forgets(const char *in, const struct mounted *m, int depth, char *why, size_t n)
{
	/* Some (btrfs) have a number that is no device's, but the source is the device's name. */
	bool forgets = major(m->dev) ? number_forgets(m->dev, depth, why, n) :
		       node_forgets(m->source, depth, why, n);

	if (!strcmp(m->type, "btrfs"))
		return forgets || btrfs_forgets(in, depth, why, n);
	return forgets || log_forgets(m, depth, why, n) || journal_forgets(m, depth, why, n);
}

/* ---- a folder, or a file in it ---- */

static bool overlay_forgets(const struct mounted *m, int depth, char *why, size_t n)
{
	char upper[PATH_MAX], below[PATH_MAX];

	/* Newer kernels say fsync=volatile. */
	if (option(m->options, "volatile", upper, sizeof(upper)) ||
	    (option(m->options, "fsync", upper, sizeof(upper)) && !strcmp(upper, "volatile"))) {
		snprintf(why, n, "it is on an overlay that is mounted volatile, and syncs nothing");
		return true;
	}
	if (!option(m->options, "upperdir", upper, sizeof(upper)))
		return false;
	if (!folder_forgets(upper, depth + 1, below, sizeof(below)))
		return false;
	snprintf(why, n, "it is on an overlay whose upper folder is %s, and %s", upper, below);
	return true;
}

static bool barriers_off(const struct mounted *m, char *why, size_t n)
{
	static const struct { const char *name, *value; } off[] = {
		{ "nobarrier", "" }, { "barrier", "0" }, { "barrier", "none" }, { "fsync_mode", "nobarrier" },
	};
	char value[64];

	for (size_t i = 0; i < sizeof(off) / sizeof(off[0]); i++) {
		if (!option(m->options, off[i].name, value, sizeof(value)) || strcmp(value, off[i].value))
			continue;
		snprintf(why, n, "its %s is mounted with %s%s%s: the drive's cache is not flushed", m->type,
			 off[i].name, *value ? "=" : "", value);
		return true;
	}
	return false;
}

static bool folder_forgets(const char *path, int depth, char *why, size_t n)
{
	struct mounted *m;
	struct statfs fs;
	bool forgets = false;

	if (depth > DEPTH_MAX || statfs(path, &fs))
		return false;
	if (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC) {
		snprintf(why, n, "that is in memory (%s)", fs.f_type == TMPFS_MAGIC ? "tmpfs" : "ramfs");
		return true;
	}
	m = malloc(sizeof(*m));
	if (m && find_mount(path, m))
		forgets = barriers_off(m, why, n) || (!strcmp(m->type, "overlay") ?
			  overlay_forgets(m, depth, why, n) : disk_forgets(path, m, depth, why, n));
	free(m);
	return forgets;
}

bool place_forgets(const char *path, char *why, size_t n)
{
	return folder_forgets(path, 0, why, n);
}
