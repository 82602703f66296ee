/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_place.c - whether a sync in a folder means anything, over a /proc and a sysfs of the
 * test's own: mounts, the devices below them, and what those are made of.
 *
 * The folders that are asked about are the machine's: /proc, which is no tmpfs anywhere, and
 * for memory /dev/shm.  What their mounts are is what the test's mountinfo says.
 */
#include "media/place.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "media/dax.h"
#include "sh.h"

static char root[] = "/tmp/test_place.XXXXXX", memory[] = "/dev/shm/test_place.XXXXXX";
static char why[8192];
static int btrfs_err = ENOTTY;

/* The one that place.c asks: what it says of a btrfs. */
int ioctl(int fd, unsigned long request, ...)
{
	struct btrfs_ioctl_fs_info_args *info;
	va_list ap;

	va_start(ap, request);
	info = va_arg(ap, void *);
	va_end(ap);
	errno = fcntl(fd, F_GETFL) & O_PATH ? EBADF : btrfs_err;	/* which is no open file */
	if (errno || request != BTRFS_IOC_FS_INFO)
		return -1;
	for (unsigned i = 0; i < sizeof(info->fsid); i++)
		info->fsid[i] = (uint8_t)(0xa0 + i);
	return 0;
}

/* Memory has in it what was there before, of the same size at least: what place.c takes for a
 * mount must come from the one that it asks about. */
void *__real_malloc(size_t n);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void __wrap_free(void *p);
static struct { void *p; size_t n; uint8_t was[32768]; } large;

void *__wrap_malloc(size_t n)
{
	void *p = __real_malloc(n);

	if (p && n > 8192 && n <= sizeof(large.was)) {
		memcpy(p, large.was, n);
		large.p = p;
		large.n = n;
	}
	return p;
}

void __wrap_free(void *p)
{
	if (p && p == large.p) {
		memcpy(large.was, p, large.n);
		large.p = NULL;
	}
	__real_free(p);
}

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(root) || !mkdtemp(memory))
		return -1;
	dax_sysfs = place_proc = root;
	sh("mkdir -p %s/self %s/dev/block %s/class/block", root, root, root);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	sh("rm -rf %s %s", root, memory);
	return 0;
}

/* The number of the mount that a folder is on. */
static long mount_of(const char *path)
{
	int fd = open(path, O_PATH | O_CLOEXEC);
	char name[64], line[128];
	long id = -1;
	FILE *f;

	assert_true(fd >= 0);
	snprintf(name, sizeof(name), "/proc/self/fdinfo/%d", fd);
	f = fopen(name, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		sscanf(line, "mnt_id: %ld", &id);
	fclose(f);
	close(fd);
	assert_true(id > 0);
	return id;
}

/* What /proc and /sys are mounts of; between others', with optional fields and without. */
static void mounts(const char *proc, const char *sys)
{
	char path[128];
	long a = mount_of("/proc"), b = mount_of("/sys");
	FILE *f;

	snprintf(path, sizeof(path), "%s/self/mountinfo", root);
	f = fopen(path, "we");
	assert_non_null(f);
	fprintf(f, "not a line of it\n%ld 1 7:0 / / rw\n", a);
	fprintf(f, "%ld 1 1:1 / / rw - ext4 /dev/ram0 rw,nobarrier\n", a + b + 1);
	fprintf(f, "%ld 1 %.*s / /x rw,relatime shared:1 master:2 - %s\n", a, (int)strcspn(proc, " "), proc,
		strchr(proc, ' ') + 1);
	if (sys)
		fprintf(f, "%ld 1 %.*s / /y rw - %s\n", b, (int)strcspn(sys, " "), sys, strchr(sys, ' ') + 1);
	fclose(f);
}

/* A block device in sysfs; below: a device that it is made of, or NULL. */
static void disk(const char *number, const char *name, const char *below)
{
	sh("mkdir -p %s/devices/%s/slaves", root, name);
	sh("ln -sfn ../../devices/%s %s/dev/block/%s", name, root, number);
	sh("ln -sfn ../../devices/%s %s/class/block/%s", name, root, name);
	if (below)
		sh("ln -sfn ../../%s %s/devices/%s/slaves/", below, root, name);
}

static bool forgets(const char *path)
{
	*why = '\0';
	return place_forgets(path, why, sizeof(why));
}

static unsigned descriptors(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* With what /proc is a mount of; words: in the reason, NULL: it is well. */
static void is(const char *proc, const char *sys, const char *words)
{
	unsigned had = descriptors();
	bool bad;

	mounts(proc, sys);
	bad = forgets("/proc");
	assert_int_equal(descriptors(), had);
	if (bad != (words != NULL) || (words && !strstr(why, words)))
		fail_msg("%s: %s", proc, bad ? why : "is well");
	assert_int_equal(!!*why, bad);
}

static void what_cannot_be_found_out_is_well(void **state)
{
	(void)state;
	sh("rm -f %s/self/mountinfo", root);
	assert_false(forgets("/proc"));
	assert_false(forgets("/nowhere/at/all"));
	is("8:77 ext4 /dev/sdx rw", NULL, NULL);	/* no such device */
}

/* Without a descriptor for the folder, or for what the kernel says of it, nothing is known, not
 * what was known of the one before. */
static void no_descriptors(void **state)
{
	rlim_t free_ones[] = { 0, 1 };
	struct rlimit had, few;
	int next;

	(void)state;
	disk("8:0", "sda", NULL);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &had), 0);
	for (unsigned i = 0; i < 2; i++) {
		bool bad;

		is("8:0 ext4 /dev/sda rw,nobarrier", NULL, "with nobarrier:");
		next = dup(STDERR_FILENO);
		close(next);
		few = (struct rlimit){ (rlim_t)next + free_ones[i], had.rlim_max };
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
		bad = forgets("/proc");
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &had), 0);
		assert_false(bad);
		assert_string_equal(why, "");
	}
	is("8:0 ext4 /dev/sda rw,nobarrier", NULL, "with nobarrier:");
}

static void memory_is_told(void **state)
{
	(void)state;
	assert_true(forgets(memory));
	assert_string_equal(why, "that is in memory (tmpfs)");
}

static void barriers(void **state)
{
	(void)state;
	disk("8:0", "sda", NULL);
	is("8:0 ext4 /dev/sda rw,barrier=1,data=ordered", NULL, NULL);
	is("8:0 ext4 /dev/sda rw,nobarrier", NULL, "its ext4 is mounted with nobarrier: the drive's cache is not");
	is("8:0 ext4 /dev/sda nobarrier,rw", NULL, "with nobarrier:");
	is("8:0 ext4 /dev/sda rw,barrier=0,data=ordered", NULL, "with barrier=0: the drive");
	is("8:0 reiserfs /dev/sda rw,barrier=none", NULL, "its reiserfs is mounted with barrier=none:");
	is("8:0 f2fs /dev/sda rw,fsync_mode=nobarrier", NULL, "its f2fs is mounted with fsync_mode=nobarrier:");
	is("8:0 f2fs /dev/sda rw,fsync_mode=posix", NULL, NULL);
	/* Names and values as a whole. */
	is("8:0 ext4 /dev/sda rw,xnobarrier,nobarriers,barrier=00,nobarrier=1", NULL, NULL);
	is("8:0 ext4 /dev/sda rw,barrier", NULL, NULL);
}

static void disks_that_are_memory(void **state)
{
	(void)state;
	disk("1:0", "ram0", NULL);
	disk("1:9", "ram9p1", NULL);
	disk("253:0", "zram0", NULL);
	disk("8:1", "ramdisk", NULL);		/* a name, but not of one of those */
	is("1:0 ext4 /dev/ram0 rw", NULL, "the disk ram0 is memory");
	is("1:9 ext4 /dev/ram9p1 rw", NULL, "the disk ram9p1 is memory");
	is("253:0 xfs /dev/zram0 rw", NULL, "the disk zram0 is memory");
	is("8:1 ext4 /dev/ramdisk rw", NULL, NULL);
}

static void what_a_disk_is_made_of(void **state)
{
	char name[16], below[16], number[16];

	(void)state;
	disk("8:0", "sda", NULL);
	disk("8:16", "sdb", NULL);
	disk("253:0", "zram0", NULL);
	disk("254:0", "dm-0", "sda");
	is("254:0 ext4 /dev/dm-0 rw", NULL, NULL);
	disk("254:0", "dm-0", "sdb");
	is("254:0 ext4 /dev/dm-0 rw", NULL, NULL);
	disk("254:0", "dm-0", "zram0");			/* one of three */
	is("254:0 ext4 /dev/dm-0 rw", NULL, "the disk zram0 is memory");
	disk("254:1", "zz", NULL);
	disk("254:0", "dm-0", "zz");			/* and behind it there is a good one */
	is("254:0 ext4 /dev/dm-0 rw", NULL, "the disk zram0 is memory");
	/* Nine layers are looked through, and not one more. */
	disk("9:9", "md9", "zram0");
	for (int i = 8; i >= 0; i--) {
		snprintf(name, sizeof(name), "md%d", i);
		snprintf(below, sizeof(below), "md%d", i + 1);
		snprintf(number, sizeof(number), "9:%d", i);
		disk(number, name, below);
	}
	is("9:2 ext4 /dev/md2 rw", NULL, "zram0");
	is("9:1 ext4 /dev/md1 rw", NULL, NULL);
	disk("9:20", "md20", "md20");			/* of itself, were that possible */
	is("9:20 ext4 /dev/md20 rw", NULL, NULL);
}

static void loops(void **state)
{
	char gone[64];

	(void)state;
	snprintf(gone, sizeof(gone), "%s/gone (deleted)", root);
	disk("7:0", "loop0", NULL);
	sh("mkdir -p %s/devices/loop0/loop %s/devices/loop0/loop0p1", root, root);
	sh("ln -sfn ../../devices/loop0/loop0p1 %s/dev/block/259:0", root);
	sh("echo %s > %s/devices/loop0/loop/backing_file", memory, root);
	is("7:0 ext4 /dev/loop0 rw", NULL, "loop0 is a loop device on /dev/shm/");
	assert_non_null(strstr(why, ", and that is in memory (tmpfs)"));
	is("259:0 ext4 /dev/loop0p1 rw", NULL, "loop0p1 is a loop device on /dev/shm/");
	sh("echo '%s' > %s/devices/loop0/loop/backing_file", gone, root);
	is("7:0 ext4 /dev/loop0 rw", NULL, "loop0 is a loop device on a file without a name, which ends with it: /tmp/");
	sh("touch '%s'", gone);			/* it is called that */
	/* Then it is a file as any, on what its folder is on. */
	is("7:0 ext4 /dev/loop0 rw", NULL, forgets(root) ? "and that is in memory" : NULL);
	sh("echo ' (deleted)' > %s/devices/loop0/loop/backing_file", root);
	is("7:0 ext4 /dev/loop0 rw", NULL, NULL);
	sh("echo /sys > %s/devices/loop0/loop/backing_file", root);
	is("7:0 ext4 /dev/loop0 rw", "1:0 ext4 /dev/ram0 rw,nobarrier", "loop0 is a loop device on /sys, and its ext4");
	is("7:0 ext4 /dev/loop0 rw", "8:0 ext4 /dev/sda rw", NULL);
	is("7:0 ext4 /dev/loop0 rw", "7:0 ext4 /dev/loop0 rw", NULL);	/* on itself: it comes to an end */
	sh(": > %s/devices/loop0/loop/backing_file", root);
	is("7:0 ext4 /dev/loop0 rw", NULL, NULL);
}

static void overlays(void **state)
{
	char line[512];

	(void)state;
	is("0:50 overlay overlay rw,lowerdir=/a,upperdir=/nowhere,workdir=/w", NULL, NULL);
	is("0:50 overlay overlay rw,lowerdir=/a", NULL, NULL);		/* nothing can be written there */
	is("0:50 overlay overlay rw,upperdir=/sys,volatile", NULL, "it is on an overlay that is mounted volatile");
	is("0:50 overlay overlay rw,fsync=volatile,upperdir=/sys", NULL, "mounted volatile, and syncs nothing");
	is("0:50 overlay overlay rw,fsync=auto,upperdir=/sys", "8:0 ext4 /dev/sda rw", NULL);
	is("0:50 overlay overlay rw,upperdir=/sys", "8:0 ext4 /dev/sda rw,nobarrier",
	   "it is on an overlay whose upper folder is /sys, and its ext4 is mounted with nobarrier");
	is("0:50 overlay overlay rw,upperdir=/sys", "0:51 overlay overlay rw,upperdir=/proc", NULL);	/* a circle */
	/* Names as the kernel writes them: blanks, commas, backslashes. */
	sh("mkdir '%s/a b,c' '%s/d\\e' '%s/a b'", memory, memory, memory);
	snprintf(line, sizeof(line), "0:50 overlay overlay rw,upperdir=%s/a\\040b\\134,c,workdir=/w", memory);
	is(line, NULL, "/a b,c, and that is in memory");
	snprintf(line, sizeof(line), "0:50 overlay overlay rw,upperdir=%s/a\\040b,c", memory);
	is(line, NULL, "/a b, and that is in memory");
	snprintf(line, sizeof(line), "0:50 overlay overlay rw,upperdir=%s/d\\134\\134e,workdir=/w", memory);
	is(line, NULL, "/d\\e, and that is in memory");
	/* No numbers of the kernel's. */
	snprintf(line, sizeof(line), "0:50 overlay overlay rw,upperdir=%s/a\\48b", memory);
	is(line, NULL, NULL);
	snprintf(line, sizeof(line), "0:50 overlay overlay rw,upperdir=%s/a\\080b", memory);
	is(line, NULL, NULL);
	snprintf(line, sizeof(line), "0:50 overlay overlay rw,upperdir=%s/a\\440b", memory);
	is(line, NULL, NULL);
}

/* Devices for a log, or named by the mount: nodes, which only root can make. */
static void nodes(void **state)
{
	char line[256], node[64];

	(void)state;
	disk("8:0", "sda", NULL);
	disk("253:0", "zram0", NULL);
	snprintf(node, sizeof(node), "%s/node", root);
	if (mknod(node, S_IFBLK | 0600, makedev(253, 0)))
		return;
	for (unsigned i = 0; i < 3; i++) {
		static const char *const names[] = { "logdev", "rtdev", "journal_path" };

		snprintf(line, sizeof(line), "8:0 xfs /dev/sda rw,%s=%s,noquota", names[i], node);
		is(line, NULL, "the disk zram0 is memory");
		snprintf(line, sizeof(line), "8:0 xfs /dev/sda rw,x%s=%s", names[i], node);
		is(line, NULL, NULL);
		snprintf(line, sizeof(line), "8:0 xfs /dev/sda rw,%s=%s,%s=/nowhere", names[i], node,
			 names[(i + 1) % 3]);
		is(line, NULL, "the disk zram0 is memory");
	}
	/* A number of its own says nothing, the node does. */
	snprintf(line, sizeof(line), "0:45 btrfs %s rw", node);
	is(line, NULL, "the disk zram0 is memory");
	snprintf(line, sizeof(line), "0:45 zfs %s rw", node);
	is(line, NULL, "the disk zram0 is memory");
	snprintf(line, sizeof(line), "8:0 ext4 %s rw", node);
	is(line, NULL, NULL);
	assert_int_equal(unlink(node), 0);
	assert_int_equal(mknod(node, S_IFCHR | 0600, makedev(253, 0)), 0);	/* it is no disk */
	snprintf(line, sizeof(line), "0:45 zfs %s rw", node);
	is(line, NULL, NULL);
}

static void the_journal_of_ext4(void **state)
{
	(void)state;
	disk("8:0", "sda", NULL);
	disk("253:0", "zram0", NULL);
	is("8:0 ext4 /dev/sda rw", NULL, NULL);
	sh("mkdir -p %s/fs/ext4/sda %s/4711", root, root);
	sh("echo 4711 > %s/fs/ext4/sda/journal_task", root);
	is("8:0 ext4 /dev/sda rw", NULL, NULL);		/* no such thread */
	sh("echo jbd2/sda-8 > %s/4711/comm", root);	/* its own */
	is("8:0 ext4 /dev/sda rw", NULL, NULL);
	sh("echo jbd2/zram0 > %s/4711/comm", root);
	is("8:0 ext4 /dev/sda rw", NULL, "the disk zram0 is memory");
	is("8:0 xfs /dev/sda rw", NULL, NULL);
	sh("echo other/zram0 > %s/4711/comm", root);
	is("8:0 ext4 /dev/sda rw", NULL, NULL);
	sh("echo jbd2/zram0 > %s/4711/comm; echo none > %s/fs/ext4/sda/journal_task", root, root);
	is("8:0 ext4 /dev/sda rw", NULL, NULL);
}

static void all_disks_of_a_btrfs(void **state)
{
	(void)state;
	disk("8:0", "sda", NULL);
	disk("253:0", "zram0", NULL);
	sh("mkdir -p %s/fs/btrfs/a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf/devices", root);
	sh("ln -s ../../../../devices/sda %s/fs/btrfs/a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf/devices/", root);
	btrfs_err = 0;
	is("0:45 btrfs /dev/sda rw", NULL, NULL);
	sh("ln -s ../../../../devices/zram0 %s/fs/btrfs/a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf/devices/", root);
	is("0:45 btrfs /dev/sda rw", NULL, "the disk zram0 is memory");
	sh("ln -s ../../../../devices/zz %s/fs/btrfs/a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf/devices/", root);
	disk("254:1", "zz", NULL);
	is("0:45 btrfs /dev/sda rw", NULL, "the disk zram0 is memory");
	is("8:0 ext4 /dev/sda rw", NULL, NULL);		/* which has one */
	btrfs_err = EPERM;
	is("0:45 btrfs /dev/sda rw", NULL, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_cannot_be_found_out_is_well),
		cmocka_unit_test(no_descriptors),
		cmocka_unit_test(memory_is_told),
		cmocka_unit_test(barriers),
		cmocka_unit_test(disks_that_are_memory),
		cmocka_unit_test(what_a_disk_is_made_of),
		cmocka_unit_test(loops),
		cmocka_unit_test(overlays),
		cmocka_unit_test(nodes),
		cmocka_unit_test(the_journal_of_ext4),
		cmocka_unit_test(all_disks_of_a_btrfs),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
