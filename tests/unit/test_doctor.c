/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_doctor.c - doctor.h: each finding and the advice that follows from it, word for word.
 *
 * The linker gives the calls that look at the machine to the functions below (--wrap): /proc and
 * /sys are folders of this test, limits, devices and block sizes are what a case says.
 */
#include "doctor.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cmocka.h>

#include "choose.h"

static char root[] = "/tmp/pasted-doctor.XXXXXX";

/* What the machine is, in this case. */
static struct {
	struct findings found;
	const struct ring_ops *ring;
	const char *ring_why, *paste_why;	/* paste_why NULL: it is there */
	dev_t dev;
	int stat_errno;
	unsigned long block;
	rlim_t files_soft, files_hard, locked_soft, locked_hard;
	bool no_uname;
} machine;
static struct config config;

/* ---- the machine ---- */

static const char *here(const char *path, char *buf, size_t n)
{
	if (strncmp(path, "/proc/", 6) && strncmp(path, "/sys/", 5))
		return path;
	snprintf(buf, n, "%s%s", root, path);
	return buf;
}

FILE *__real_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode)
{
	char buf[PATH_MAX];

	return __real_fopen(here(path, buf, sizeof(buf)), mode);
}

DIR *__real_opendir(const char *path);
DIR *__wrap_opendir(const char *path)
{
	char buf[PATH_MAX];

	return __real_opendir(here(path, buf, sizeof(buf)));
}

char *__real_realpath(const char *path, char *to);
char *__wrap_realpath(const char *path, char *to)
{
	char buf[PATH_MAX];

	return __real_realpath(here(path, buf, sizeof(buf)), to);
}

ssize_t __real_readlink(const char *path, char *to, size_t n);
ssize_t __wrap_readlink(const char *path, char *to, size_t n)
{
	char buf[PATH_MAX];

	return __real_readlink(here(path, buf, sizeof(buf)), to, n);
}

int __real_stat(const char *path, struct stat *st);
int __wrap_stat(const char *path, struct stat *st)
{
	int err = __real_stat(path, st);

	st->st_dev = machine.dev;
	errno = machine.stat_errno;
	return err || machine.stat_errno ? -1 : 0;
}

int __wrap_statvfs(const char *path, struct statvfs *fs)
{
	memset(fs, 0, sizeof(*fs));
	fs->f_bsize = machine.block;
	return *path == '/' ? 0 : -1;
}

int __wrap_uname(struct utsname *u)
{
	strcpy(u->sysname, "Linux");
	strcpy(u->release, "6.1.0-test");
	return machine.no_uname ? -1 : 0;
}

int __wrap_getrlimit(__rlimit_resource_t resource, struct rlimit *r)
{
	*r = (struct rlimit){ machine.files_soft, machine.files_hard };
	if (resource == RLIMIT_MEMLOCK)
		*r = (struct rlimit){ machine.locked_soft, machine.locked_hard };
	return 0;
}

void __wrap_choose_probe(const struct config *c, struct findings *f)
{
	assert_ptr_equal(c, &config);
	*f = machine.found;
}

const struct ring_ops *__wrap_choose_ring(const struct config *c, char *why, size_t n)
{
	assert_ptr_equal(c, &config);
	snprintf(why, n, "%s", machine.ring_why);
	return machine.ring;
}

int __wrap_choose_try_ring(const struct ring_ops *ops, const struct config *c, char *why, size_t n)
{
	assert_ptr_equal(ops, &ring_paste);
	assert_ptr_equal(c, &config);
	if (machine.paste_why)
		snprintf(why, n, "%s", machine.paste_why);
	return machine.paste_why ? -ENOENT : 0;
}

/* ---- its files ---- */

__attribute__((format(printf, 1, 2)))
static char *below(const char *fmt, ...)
{
	static char buf[4][PATH_MAX];
	static unsigned turn;
	char *path = buf[turn++ % 4];
	va_list ap;
	int n = snprintf(path, PATH_MAX, "%s/", root);

	va_start(ap, fmt);
	vsnprintf(path + n, PATH_MAX - (size_t)n, fmt, ap);
	va_end(ap);
	return path;
}

static void make_above(const char *path)
{
	char dir[PATH_MAX];

	snprintf(dir, sizeof(dir), "%s", path);
	for (char *p = dir + strlen(root) + 1; (p = strchr(p, '/')); *p++ = '/') {
		*p = '\0';
		mkdir(dir, 0700);
	}
}

static void put(const char *name, const char *text)
{
	char *path = below("%s", name);
	FILE *f;

	make_above(path);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static void put_link(const char *name, const char *to)
{
	char *path = below("%s", name);

	make_above(path);
	unlink(path);
	assert_int_equal(symlink(to, path), 0);
}

static void clear(const char *name)
{
	char command[PATH_MAX + 16];

	snprintf(command, sizeof(command), "rm -rf '%s'", below("%s", name));
	assert_int_equal(system(command), 0);
}

static int machine_begin(void **state)
{
	(void)state;
	memset(&machine, 0, sizeof(machine));
	machine.found.store = CLASS_FSYNC;
	strcpy(machine.found.store_why, "a disk");
	machine.ring = &ring_uring;
	machine.ring_why = "";
	machine.paste_why = "no such device";
	machine.dev = makedev(8, 1);
	machine.block = 4096;
	machine.files_soft = 1024;
	machine.files_hard = 65536;
	machine.locked_soft = machine.locked_hard = RLIM_INFINITY;
	config = (struct config){ .store = strdup(below("srv/store")), .class = CONFIG_CLASS_AUTO,
				  .conns_max = 1000, .workers = 2 };
	put("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu sse\n");
	put("proc/sys/kernel/io_uring_disabled", "0\n");
	put("sys/devices/pci0/sda/queue/write_cache", "write back\n");
	put("sys/devices/pci0/sda/queue/fua", "1\n");
	put("sys/devices/pci0/sda/queue/rotational", "0\n");
	put("sys/devices/pci0/sda/sda1/partition", "1\n");
	put_link("sys/dev/block/8:0", "../../devices/pci0/sda");
	put_link("sys/dev/block/8:1", "../../devices/pci0/sda/sda1");
	put("srv/x", "");
	put("proc/self/mountinfo", "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro\n");
	return 0;
}

static int machine_end(void **state)
{
	(void)state;
	free(config.store);
	clear("proc");
	clear("sys");
	clear("srv");
	return 0;
}

/* ---- what it says ---- */

static char *said;

static const char *doctor(void)
{
	size_t n;
	FILE *out;

	free(said);
	out = open_memstream(&said, &n);
	assert_non_null(out);
	assert_int_equal(doctor_run(&config, out), 0);
	assert_int_equal(fclose(out), 0);
	return said;
}

/* The lines from the first with that topic to the one before the other topic. */
static const char *part(const char *topic, const char *until)
{
	static char buf[16384];
	char a[32], b[32];
	const char *begin, *end;

	snprintf(buf, sizeof(buf), "\n%s", doctor());
	snprintf(a, sizeof(a), "\n%-9s ", topic);
	snprintf(b, sizeof(b), "\n%-9s ", until);
	begin = strstr(buf, a);
	assert_non_null(begin);
	end = strstr(begin + 1, b);
	assert_non_null(end);
	buf[end + 1 - buf] = '\0';
	return begin + 1;
}

__attribute__((format(printf, 3, 4)))
static void expect(const char *topic, const char *until, const char *fmt, ...)
{
	char want[16384];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(want, sizeof(want), fmt, ap);
	va_end(ap);
	assert_string_equal(part(topic, until), want);
}

#define TO "          -> "
#define HONEST TO "a sync flushes the drive's cache: durable as far as the drive is honest; a drive with " \
	"power-loss protection makes it faster\n"
#define SDA "disk      sda: write cache \"write back\", fua 1, rotational 0\n" HONEST

__attribute__((format(printf, 2, 3)))
static void expect_store(const char *rest, const char *mount_fmt, ...)
{
	char mount[8192];
	va_list ap;

	va_start(ap, mount_fmt);
	vsnprintf(mount, sizeof(mount), mount_fmt, ap);
	va_end(ap);
	expect("store", "nvmm", "store     %s: %s\n          a disk\n%s", config.store, mount, rest);
}

/* ---- the class ---- */

static void test_class(void **state)
{
	(void)state;
	expect("class", "store", "class     fsync: a disk\n");
	config.class = CLASS_NVMM;
	expect("class", "store", "class     none can be had: --class nvmm is more than %s can give: a disk: accepted "
	       "is --class auto or fsync, or a --nvmm on a DAX file system or a device-dax; pasted --doctor says "
	       "more\n", config.store);
}

/* ---- where the store lives ---- */

static void test_mounts(void **state)
{
	char info[16384];
	const char *r = root;

	(void)state;
	expect_store(SDA, "ext4 on /dev/sda1, mounted at / (rw,relatime,rw,errors=remount-ro)");
	/* The longest wins wherever it stands; not one beside it, nor one below it. */
	snprintf(info, sizeof(info),
		 "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
		 "23 22 8:2 / %s/srv rw,noatime shared:3 - xfs /dev/sda2 rw,attr2\n"
		 "24 22 8:3 / %s rw - btrfs /dev/sda3 rw\n"
		 "25 22 8:4 / %s/sr rw - btrfs /dev/sda4 rw\n"
		 "26 22 8:5 / %s/srv/stor rw - btrfs /dev/sda5 rw\n"
		 "27 22 8:5 / %s/srv/store/deeper rw - btrfs /dev/sda5 rw\n"
		 "a line that is none\n"
		 "28 22 8:6 / %s/srv/x\n"
		 "29 22 8:6 / %s/srv rw - tmpfs\n"
		 "30 22 8:6 / %s/srv\n", r, r, r, r, r, r, r, r);
	put("proc/self/mountinfo", info);
	expect_store(SDA, "xfs on /dev/sda2, mounted at %s/srv (rw,noatime,rw,attr2)", root);
	/* It is the mount's own folder; and of two at one place the later is seen. */
	snprintf(info, sizeof(info),
		 "22 1 8:1 / %s/srv/store rw - xfs /dev/sda2 rw,first\n"
		 "23 1 8:1 / %s/srv/store rw - xfs /dev/sda2 rw,second\n"
		 "24 1 8:1 / / rw - ext4 /dev/sda1 rw\n", root, root);
	put("proc/self/mountinfo", info);
	assert_int_equal(mkdir(config.store, 0700), 0);
	expect_store(SDA, "xfs on /dev/sda2, mounted at %s/srv/store (rw,rw,second)", root);
}

static void test_store_unseen(void **state)
{
	(void)state;
	machine.stat_errno = EACCES;
	expect("store", "nvmm", "store     %s: cannot be looked at: Permission denied\n", config.store);
	machine.stat_errno = 0;
	clear("proc/self/mountinfo");
	expect("store", "nvmm", "store     %s: cannot be looked at: No such file or directory\n", config.store);
}

/* What pm_probe() says of it: why it is no store, in its words or the system's; that it forgets. */
static void test_store_wrong(void **state)
{
	static const char mount[] = "ext4 on /dev/sda1, mounted at / (rw,relatime,rw,errors=remount-ro)";

	(void)state;
	machine.found.store_err = -EIO;
	expect("store", "nvmm", "store     %s: %s\n" TO "a disk\n" SDA, config.store, mount);
	machine.found.store_why[0] = '\0';
	expect("store", "nvmm", "store     %s: %s\n" TO "Input/output error\n" SDA, config.store, mount);
	machine.found.store_err = 0;
	machine.found.store = CLASS_VOLATILE;
	strcpy(machine.found.store_why, "it is memory");
	expect("store", "nvmm", "store     %s: %s\n          it is memory\n" TO "put --store on a disk; or ask for "
	       "--class volatile, which survives a crash of the process only\n", config.store, mount);
	machine.found.store = CLASS_NVMM_EADR;
	expect("store", "nvmm", "store     %s: %s\n          it is memory\n" SDA, config.store, mount);
	strcpy(machine.found.store_why, "100%d of it");	/* words are no format */
	expect("store", "nvmm", "store     %s: %s\n          100%%d of it\n" SDA, config.store, mount);
	machine.found.store_err = -EIO;
	expect("store", "nvmm", "store     %s: %s\n" TO "100%%d of it\n" SDA, config.store, mount);
}

/* ---- the disk ---- */

static void test_disk(void **state)
{
	static const char mount[] = "ext4 on /dev/sda1, mounted at / (rw,relatime,rw,errors=remount-ro)";
	char want[8192];

	(void)state;
	machine.dev = makedev(8, 0);		/* the whole of it */
	expect_store(SDA, "%s", mount);
	put("sys/devices/pci0/sda/queue/fua", "0\n");
	put("sys/devices/pci0/sda/queue/rotational", "1\n");
	put("sys/devices/pci0/sda/queue/write_cache", "write through\n");
	machine.dev = makedev(8, 1);
	snprintf(want, sizeof(want), "disk      sda: write cache \"write through\", fua 0, rotational 1\n" TO
		 "the kernel sends no flush to it: right if the drive has power-loss protection or no cache; if it "
		 "has neither, echo \"write back\" > %s/sys/devices/pci0/sda/queue/write_cache\n", root);
	expect_store(want, "%s", mount);
	clear("sys/devices/pci0/sda/queue");	/* what cannot be read is not guessed */
	expect_store("disk      sda: write cache \"?\", fua ?, rotational ?\n" HONEST, "%s", mount);
	put("sys/devices/pci0/sda/queue/fua", "");
	expect_store("disk      sda: write cache \"?\", fua ?, rotational ?\n" HONEST, "%s", mount);
	machine.dev = makedev(0, 40);
	expect_store("disk      no single block device is behind it (ext4)\n", "%s", mount);
}

#define OVERLAY TO "where the overlay's upper folder lies is looked up where it can be seen from here; in a " \
	"container it often cannot: a sync is worth what that place's is\n"

static void test_container(void **state)
{
	(void)state;
	machine.dev = makedev(0, 40);
	put("proc/self/mountinfo", "22 1 0:40 / / rw - overlay overlay rw\n");
	expect_store("disk      no single block device is behind it (overlay)\n" TO "in a container, put the store "
		     "on a volume: a sync is then the disk's own\n" OVERLAY,
		     "overlay on overlay, mounted at / (rw,rw)");
	machine.dev = makedev(8, 1);
	expect_store(SDA OVERLAY, "overlay on overlay, mounted at / (rw,rw)");
}

static void test_loop(void **state)
{
	(void)state;
	put("proc/self/mountinfo", "22 1 8:1 / / rw - ext4 /dev/loop0 rw\n");
	expect_store(SDA TO "a loop device: a sync is worth what that of the file behind it is; a file that cannot "
		     "be seen from here is taken as good\n", "ext4 on /dev/loop0, mounted at / (rw,rw)");
	put("proc/self/mountinfo", "22 1 8:1 / / rw - ext4 /dev/loo rw\n");
	expect_store(SDA, "ext4 on /dev/loo, mounted at / (rw,rw)");
}

/* A virtual machine is told by the flag of its processor, nothing else that has its name. */
static void test_hypervisor(void **state)
{
	static const char mount[] = "ext4 on /dev/sda1, mounted at / (rw,relatime,rw,errors=remount-ro)";

	(void)state;
	put("proc/cpuinfo", "model\t: 1\nflags\t\t: fpu hypervisor sse\nbugs\t: none\n");
	expect_store(SDA TO "this is a virtual machine: whether its host writes to the disk what is flushed here "
		     "cannot be seen from inside (QEMU does not with cache=unsafe)\n", "%s", mount);
	put("proc/cpuinfo", "model\t: a hypervisor\nflags\t\t: fpu sse\nbugs\t: a hypervisor\n");
	expect_store(SDA, "%s", mount);
	put("proc/cpuinfo", "model\t: a hypervisor\n");
	expect_store(SDA, "%s", mount);
	clear("proc/cpuinfo");
	expect_store(SDA, "%s", mount);
}

/* ---- persistent memory ---- */

#define ND "sys/bus/nd/devices/"

static void test_no_nvmm(void **state)
{
	(void)state;
	expect("nvmm", "kernel", "nvmm      the kernel has found no persistent memory\n");
	put(ND ".hidden", "");
	expect("nvmm", "kernel", "nvmm      the kernel has found no persistent memory\n");
}

#define GIVE TO "give a folder on its DAX file system, or its device-dax, as --nvmm\n"
#define FIRMWARE TO "the platform does not say that flushed stores survive a power cut: look at its firmware's " \
	"settings\n"

static void test_regions(void **state)
{
	static const struct { const char *file, *domain; bool good; } table[] = {
		{ "cpu_cache\n", "cpu_cache", true }, { "memory_controller\n", "memory_controller", true },
		{ "none\n", "none", false }, { NULL, "unknown", false }, { "", "unknown", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		clear(ND);
		put(ND "region0/x", "");
		if (table[i].file)
			put(ND "region0/persistence_domain", table[i].file);
		expect("nvmm", "kernel", "nvmm      region0: persistence_domain %s\n%s" GIVE, table[i].domain,
		       table[i].good ? "" : FIRMWARE);
	}
}

static void test_namespaces(void **state)
{
	static const struct { const char *mode; bool dax; } table[] = {
		{ "fsdax", true }, { "devdax", true }, { "memory", true },
		{ "raw", false }, { "sector", false }, { "safe", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		put(ND "namespace0.1/mode", table[i].mode);
		expect("nvmm", "kernel", "nvmm      namespace0.1: mode %s\n%s" GIVE, table[i].mode, table[i].dax ? "" :
		       TO "this mode has no DAX: ndctl create-namespace -f -e 0.1 --mode=fsdax (all in it is lost), "
		       "mkfs.ext4 -b 4096, mount -o dax\n");
	}
}

static void test_dimms(void **state)
{
	static const struct { const char *flags; bool good; } table[] = {
		{ "smart_notify", true }, { "not_armed", false }, { "save_fail", false }, { "x flush_fail y", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		put(ND "nmem0/nfit/flags", table[i].flags);
		expect("nvmm", "kernel", "nvmm      nmem0: flags \"%s\"\n%s" GIVE, table[i].flags, table[i].good ? "" :
		       TO "its power-fail protection is lost (battery, capacitor): do not use it\n");
	}
}

/* Devices of which nothing is to be told still are devices: one is asked for as --nvmm. */
static void test_silent_devices(void **state)
{
	static const char *const names[] = { "namespace1.0/holder", "nmem1/nfit/x", "ndbus0/x", "dax0.0/mode" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char name[64];

		clear(ND);
		snprintf(name, sizeof(name), ND "%s", names[i]);
		put(name, "raw\n");
		assert_null(strstr(doctor(), "nvmm "));
		assert_non_null(strstr(doctor(), HONEST GIVE "kernel "));
	}
	clear(ND);
	put(ND "nmem0/nfit/flags", "\n");
	put(ND "namespace0.0/mode", "");
	assert_non_null(strstr(doctor(), HONEST GIVE "kernel "));
}

#define NONE_FOUND "nvmm      the kernel has found no persistent memory\n"

static void test_nvmm(void **state)
{
	static const char mount[] = "          it is ext4 on /dev/sda1, mounted at / "
				    "(rw,relatime,rw,errors=remount-ro)\n";
	char dir[PATH_MAX];

	(void)state;
	snprintf(dir, sizeof(dir), "%s/srv", root);
	config.nvmm = dir;
	strcpy(machine.found.nvmm_why, "MAP_SYNC is refused");
	machine.found.nvmm_err = -EOPNOTSUPP;
	expect("nvmm", "kernel", NONE_FOUND "nvmm      --nvmm %s: MAP_SYNC is refused\n%s"
	       TO "mount it with -o dax, if the device below is persistent memory\n", dir, mount);
	machine.found.nvmm_why[0] = '\0';
	expect("nvmm", "kernel", NONE_FOUND "nvmm      --nvmm %s: Operation not supported\n%s"
	       TO "mount it with -o dax, if the device below is persistent memory\n", dir, mount);
	machine.found.nvmm_err = 0;
	strcpy(machine.found.nvmm_why, "so it is");
	for (enum durability_class c = 0; c < 100; c++) {	/* proven: no more to say */
		if (!class_needs_nvmm(c))
			continue;
		machine.found.nvmm = c;
		expect("nvmm", "kernel", NONE_FOUND "nvmm      --nvmm %s: so it is\n", dir);
	}
	machine.found.nvmm = CLASS_FSYNC;
	put(ND "namespace0.0/mode", "fsdax");
	machine.block = 1024;
	put("proc/self/mountinfo", "22 1 8:1 / / rw - xfs /dev/pmem0 rw,dax=always\n");
	expect("nvmm", "kernel", "nvmm      namespace0.0: mode fsdax\nnvmm      --nvmm %s: so it is\n"
	       "          it is xfs on /dev/pmem0, mounted at / (rw,rw,dax=always)\n"
	       TO "its blocks are 1024 bytes, DAX needs 4096: mkfs.ext4 -b 4096\n", dir);
	put("proc/self/mountinfo", "22 1 8:1 / / rw - btrfs /dev/pmem0 rw,dax\n");
	machine.block = 4096;
	expect("nvmm", "kernel", "nvmm      namespace0.0: mode fsdax\nnvmm      --nvmm %s: so it is\n"
	       "          it is btrfs on /dev/pmem0, mounted at / (rw,rw,dax)\n" TO "only ext4 and xfs have DAX\n", dir);
	put("proc/self/mountinfo", "22 1 8:1 / / rw - devtmpfs udev rw\n");
	expect("nvmm", "kernel", "nvmm      namespace0.0: mode fsdax\nnvmm      --nvmm %s: so it is\n", dir);
	clear("proc/self/mountinfo");
	expect("nvmm", "kernel", "nvmm      namespace0.0: mode fsdax\nnvmm      --nvmm %s: so it is\n", dir);
}

/* ---- the ring ---- */

#define NO_PASTE "paste     no such device\n"

static void test_ring(void **state)
{
	(void)state;
	expect("kernel", "limits", "kernel    Linux 6.1.0-test\nring      uring\n" NO_PASTE);
	machine.ring_why = "paste was in the way";
	machine.paste_why = NULL;
	expect("kernel", "limits", "kernel    Linux 6.1.0-test\nring      uring: paste was in the way\n"
	       "paste     the kernel module is there and gives a ring\n");
	machine.no_uname = true;
	machine.ring = NULL;
	expect("ring", "limits", "ring      none: paste was in the way\n"
	       "paste     the kernel module is there and gives a ring\n");
	assert_null(strstr(doctor(), "\nkernel "));
}

#define SECCOMP TO "containers often forbid io_uring by their seccomp profile; Linux 6.1 or newer is needed\n"

/* Why it is not io_uring: the administrator's word, else a guess, if nobody asked for another. */
static void test_no_uring(void **state)
{
	(void)state;
	machine.ring = &ring_socket;
	expect("ring", "limits", "ring      socket\n" NO_PASTE SECCOMP);
	config.ring = CONFIG_RING_SOCKET;
	expect("ring", "limits", "ring      socket\n" NO_PASTE);
	for (const char *word = "1\0002\0"; *word; word += 2) {
		put("proc/sys/kernel/io_uring_disabled", word);
		config.ring = CONFIG_RING_AUTO;
		expect("ring", "limits", "ring      socket\n" NO_PASTE TO "kernel.io_uring_disabled is %s: sysctl "
		       "kernel.io_uring_disabled=0 allows it\n", word);
	}
	clear("proc/sys/kernel/io_uring_disabled");	/* an older kernel */
	expect("ring", "limits", "ring      socket\n" NO_PASTE SECCOMP);
	machine.ring = &ring_uring;
	expect("ring", "limits", "ring      uring\n" NO_PASTE);
}

static void test_nic(void **state)
{
	(void)state;
	config.nic = strdup("eth0");
	put_link("sys/class/net/eth0/device/driver", "../../bus/virtio/drivers/virtio_net");
	machine.paste_why = NULL;
	expect("paste", "limits", "paste     the kernel module is there and gives a ring with eth0\n"
	       "nic       eth0: driver virtio_net\n");
	put_link("sys/class/net/eth0/device/driver", "../../bus/pci/drivers/igb");
	expect("nic", "limits", "nic       eth0: driver igb\n");
	machine.paste_why = "eth0 is not up";
	clear("sys/class/net/eth0/device/driver");
	expect("paste", "limits", "paste     eth0 is not up\nnic       eth0: driver none\n");
	free(config.nic);
}

/* ---- the limits ---- */

#define FEWER TO "fewer than conns-max times workers: ulimit -n, or LimitNOFILE= in the unit\n"
#define LOCKED "limits    locked memory: unlimited, may be raised to unlimited\n"

static const char *limits(void)
{
	return strstr(doctor(), "limits ");
}

static void test_limits(void **state)
{
	(void)state;
	assert_string_equal(limits(), "limits    open files: 1024, may be raised to 65536\n" LOCKED);
	machine.files_hard = 2000;
	assert_string_equal(limits(), "limits    open files: 1024, may be raised to 2000\n" LOCKED);
	machine.files_hard = 1999;
	assert_string_equal(limits(), "limits    open files: 1024, may be raised to 1999\n" FEWER LOCKED);
	machine.files_soft = machine.files_hard = RLIM_INFINITY;
	machine.locked_soft = 0;
	machine.locked_hard = 8192;
	assert_string_equal(limits(), "limits    open files: unlimited, may be raised to unlimited\n"
			    "limits    locked memory: 0, may be raised to 8192\n");
	assert_int_equal(setenv("PMEM_IS_PMEM_FORCE", "1", 1), 0);
	assert_string_equal(limits(), "limits    open files: unlimited, may be raised to unlimited\n"
			    "limits    locked memory: 0, may be raised to 8192\n"
			    "warning   PMEM_IS_PMEM_FORCE is set; it proves nothing and is not honoured\n");
	unsetenv("PMEM_IS_PMEM_FORCE");
}

/* Nobody has read it: not 0. */
static void test_unsaid(void **state)
{
	FILE *full = fopen("/dev/full", "w");

	(void)state;
	assert_non_null(full);
	assert_int_equal(doctor_run(&config, full), EXIT_FAILURE);
	fclose(full);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, machine_begin, machine_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_class), CASE(test_mounts), CASE(test_store_unseen), CASE(test_store_wrong),
		CASE(test_disk), CASE(test_container), CASE(test_loop), CASE(test_hypervisor),
		CASE(test_no_nvmm), CASE(test_regions), CASE(test_namespaces), CASE(test_dimms),
		CASE(test_silent_devices), CASE(test_nvmm), CASE(test_ring), CASE(test_no_uring), CASE(test_nic),
		CASE(test_limits), CASE(test_unsaid),
	};

	int failed;

	unsetenv("PMEM_IS_PMEM_FORCE");
	if (!mkdtemp(root))
		return 99;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	free(said);
	rmdir(root);
	return failed;
}
