/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * doctor.c - what was found, why, and what to change, from /proc and /sys.
 *
 * Every finding is a line "topic  text"; what to do about it follows as
 * "       -> text".  What cannot be read is left out rather than guessed.
 */
#include "doctor.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "choose.h"

#define LINE_BYTES 4096

__attribute__((format(printf, 3, 4)))
static void doctor_say(FILE *out, const char *topic, const char *fmt, ...)
{
	va_list ap;

	fprintf(out, "%-9s ", topic);
	va_start(ap, fmt);
	vfprintf(out, fmt, ap);
	va_end(ap);
	fputc('\n', out);
}

__attribute__((format(printf, 2, 3)))
static void advise(FILE *out, const char *fmt, ...)
{
	va_list ap;

	fprintf(out, "%-9s -> ", "");
	va_start(ap, fmt);
	vfprintf(out, fmt, ap);
	va_end(ap);
	fputc('\n', out);
}

/* The first line of a small file, without its end; false if there is none. */
__attribute__((format(printf, 3, 4)))
static bool read_word(char *buf, size_t n, const char *fmt, ...)
{
	char path[PATH_MAX];
	va_list ap;
	FILE *f;
	bool ok;

	va_start(ap, fmt);
	vsnprintf(path, sizeof(path), fmt, ap);
	va_end(ap);
	f = fopen(path, "re");
	if (!f)
		return false;
	ok = fgets(buf, (int)n, f) != NULL;
	fclose(f);
	if (ok)
		buf[strcspn(buf, "\n")] = '\0';
	return ok;
}

/* ---- where a path lives ---- */

struct place {
	char point[LINE_BYTES];		/* of the mount */
	char type[64], source[256], options[512];
	dev_t dev;
};

static bool is_under(const char *path, const char *point)
{
	size_t n = strlen(point);

	return !strcmp(point, "/") ||
	       (!strncmp(path, point, n) && (path[n] == '/' || !path[n]));
}

/* A line of /proc/self/mountinfo, see proc(5). */
static bool parse_mount(const char *line, struct place *p)
{
	const char *dash = strstr(line, " - ");
	char own[256], super[256];

	if (!dash || sscanf(line, "%*s %*s %*s %*s %4095s %255s", p->point, own) != 2 ||
	    sscanf(dash, " - %63s %255s %255s", p->type, p->source, super) != 3)
		return false;
	snprintf(p->options, sizeof(p->options), "%s,%s", own, super);
	return true;
}

static bool find_place(const char *path, struct place *best)
{
	char dir[PATH_MAX], real[PATH_MAX], line[LINE_BYTES];
	struct stat st;
	struct place p;
	bool found = false;
	FILE *f;

	choose_nearest(path, dir, sizeof(dir));
	if (!realpath(dir, real) || stat(real, &st))
		return false;
	f = fopen("/proc/self/mountinfo", "re");
	if (!f)
		return false;
	/* The longest mount point wins, and of equals the one mounted last. */
	while (fgets(line, sizeof(line), f)) {
		if (!parse_mount(line, &p) || !is_under(real, p.point) ||
		    (found && strlen(p.point) < strlen(best->point)))
			continue;
		*best = p;
		found = true;
	}
	fclose(f);
	best->dev = st.st_dev;
	return found;
}

/* ---- the block device below ---- */

/* The device's folder in /sys; for a partition that of the whole disk. */
static bool disk_folder(dev_t dev, char *dir, size_t n)
{
	char link[64], real[PATH_MAX], word[64];

	snprintf(link, sizeof(link), "/sys/dev/block/%u:%u", major(dev), minor(dev));
	if (!realpath(link, real))
		return false;
	if (read_word(word, sizeof(word), "%s/partition", real))
		*strrchr(real, '/') = '\0';
	return (size_t)snprintf(dir, n, "%s", real) < n;
}

static void tell_disk(FILE *out, const struct place *p)
{
	char dir[PATH_MAX], cache[64] = "?", fua[16] = "?", turning[16] = "?";

	if (!disk_folder(p->dev, dir, sizeof(dir))) {
		doctor_say(out, "disk", "no single block device is behind it (%s)", p->type);
		if (!strcmp(p->type, "overlay"))
			advise(out, "in a container, put the store on a volume: a sync is then the disk's own");
		return;
	}
	read_word(cache, sizeof(cache), "%s/queue/write_cache", dir);
	read_word(fua, sizeof(fua), "%s/queue/fua", dir);
	read_word(turning, sizeof(turning), "%s/queue/rotational", dir);
	doctor_say(out, "disk", "%s: write cache \"%s\", fua %s, rotational %s",
		   strrchr(dir, '/') + 1, cache, fua, turning);
	if (!strcmp(cache, "write through"))
		advise(out, "the kernel sends no flush to it: right if the drive has power-loss protection "
		       "or no cache; if it has neither, echo \"write back\" > %s/queue/write_cache", dir);
	else
		advise(out, "a sync flushes the drive's cache: durable as far as the drive is honest; a "
		       "drive with power-loss protection makes it faster");
}

/* Names the layers that a sync goes through but that cannot be looked into from here. */
static void tell_unseen(FILE *out, const struct place *p)
{
	char line[LINE_BYTES] = "";
	FILE *f = fopen("/proc/cpuinfo", "re");

	while (f && fgets(line, sizeof(line), f) && strncmp(line, "flags", 5))
		line[0] = '\0';
	if (f)
		fclose(f);
	if (strstr(line, " hypervisor"))
		advise(out, "this is a virtual machine: whether its host writes to the disk what is flushed here "
		       "cannot be seen from inside (QEMU does not with cache=unsafe)");
	if (!strcmp(p->type, "overlay"))
		advise(out, "where the overlay's upper folder lies is looked up where it can be seen from here; in a "
		       "container it often cannot: a sync is worth what that place's is");
	if (!strncmp(p->source, "/dev/loop", 9))
		advise(out, "a loop device: a sync is worth what that of the file behind it is; a file that "
		       "cannot be seen from here is taken as good");
}

static void tell_store(FILE *out, const struct config *c, const struct findings *f)
{
	struct place p;

	if (!find_place(c->store, &p)) {
		doctor_say(out, "store", "%s: cannot be looked at: %s", c->store, strerror(errno));
		return;
	}
	doctor_say(out, "store", "%s: %s on %s, mounted at %s (%s)", c->store, p.type, p.source, p.point,
		   p.options);
	if (f->store_err)
		advise(out, "%s", *f->store_why ? f->store_why : strerror(-f->store_err));
	else
		doctor_say(out, "", "%s", f->store_why);
	if (!f->store_err && !class_lasts(f->store)) {
		advise(out, "put --store on a disk; or ask for --class volatile, which survives a crash "
		       "of the process only");
		return;
	}
	tell_disk(out, &p);
	tell_unseen(out, &p);
}

/* ---- persistent memory ---- */

static void tell_region(FILE *out, const char *name)
{
	char domain[64] = "unknown";

	if (strncmp(name, "region", 6))
		return;
	read_word(domain, sizeof(domain), "/sys/bus/nd/devices/%s/persistence_domain", name);
	doctor_say(out, "nvmm", "%s: persistence_domain %s", name, domain);
	if (strcmp(domain, "cpu_cache") && strcmp(domain, "memory_controller"))
		advise(out, "the platform does not say that flushed stores survive a power cut: look at "
		       "its firmware's settings");
}

static void tell_namespace(FILE *out, const char *name)
{
	char mode[64] = "unknown";

	if (strncmp(name, "namespace", 9) || !read_word(mode, sizeof(mode),
			"/sys/bus/nd/devices/%s/mode", name))
		return;
	doctor_say(out, "nvmm", "%s: mode %s", name, mode);
	if (!strcmp(mode, "raw") || !strcmp(mode, "sector") || !strcmp(mode, "safe"))
		advise(out, "this mode has no DAX: ndctl create-namespace -f -e %s --mode=fsdax (all in "
		       "it is lost), mkfs.ext4 -b 4096, mount -o dax", name + strlen("namespace"));
}

static void tell_dimm(FILE *out, const char *name)
{
	char flags[256];

	if (strncmp(name, "nmem", 4) ||
	    !read_word(flags, sizeof(flags), "/sys/bus/nd/devices/%s/nfit/flags", name) || !*flags)
		return;
	doctor_say(out, "nvmm", "%s: flags \"%s\"", name, flags);
	if (strstr(flags, "not_armed") || strstr(flags, "save_fail") || strstr(flags, "flush_fail"))
		advise(out, "its power-fail protection is lost (battery, capacitor): do not use it");
}

static unsigned tell_devices(FILE *out)
{
	static void (*const tell[])(FILE *, const char *) = { tell_region, tell_namespace, tell_dimm };
	DIR *d = opendir("/sys/bus/nd/devices");
	struct dirent *e;
	unsigned n = 0;

	while (d && (e = readdir(d))) {
		if (*e->d_name == '.')
			continue;
		n++;
		for (size_t i = 0; i < sizeof(tell) / sizeof(tell[0]); i++)
			tell[i](out, e->d_name);
	}
	if (d)
		closedir(d);
	return n;
}

static void tell_nvmm(FILE *out, const struct config *c, const struct findings *f)
{
	unsigned devices = tell_devices(out);
	struct statvfs fs;
	struct place p;

	if (!devices)
		doctor_say(out, "nvmm", "the kernel has found no persistent memory");
	if (!c->nvmm) {
		if (devices)
			advise(out, "give a folder on its DAX file system, or its device-dax, as --nvmm");
		return;
	}
	doctor_say(out, "nvmm", "--nvmm %s: %s", c->nvmm, *f->nvmm_why ? f->nvmm_why :
		   strerror(-f->nvmm_err));
	if ((!f->nvmm_err && class_needs_nvmm(f->nvmm)) || !find_place(c->nvmm, &p) ||
	    !strcmp(p.type, "devtmpfs"))
		return;
	doctor_say(out, "", "it is %s on %s, mounted at %s (%s)", p.type, p.source, p.point, p.options);
	if (strcmp(p.type, "ext4") && strcmp(p.type, "xfs"))
		advise(out, "only ext4 and xfs have DAX");
	else if (!strstr(p.options, "dax"))
		advise(out, "mount it with -o dax, if the device below is persistent memory");
	if (!statvfs(p.point, &fs) && fs.f_bsize != 4096)
		advise(out, "its blocks are %lu bytes, DAX needs 4096: mkfs.ext4 -b 4096", fs.f_bsize);
}

/* ---- the kernel and the limits ---- */

/* Tells of the kernel module, whichever ring is chosen. */
static void tell_paste(FILE *out, const struct config *c)
{
	char why[CHOOSE_WHY] = "", driver[PATH_MAX];
	ssize_t n;

	if (choose_try_ring(&ring_paste, c, why, sizeof(why)))
		doctor_say(out, "paste", "%s", why);
	else
		doctor_say(out, "paste", "the kernel module is there and gives a ring%s%s", c->nic ? " with " : "",
			   c->nic ? c->nic : "");
	if (!c->nic)
		return;
	snprintf(why, sizeof(why), "/sys/class/net/%s/device/driver", c->nic);
	n = readlink(why, driver, sizeof(driver) - 1);
	driver[n < 0 ? 0 : n] = '\0';
	doctor_say(out, "nic", "%s: driver %s", c->nic, n > 0 ? strrchr(driver, '/') + 1 : "none");
}

static void tell_ring(FILE *out, const struct config *c)
{
	char why[CHOOSE_WHY], word[32];
	struct utsname u;
	const struct ring_ops *ring = choose_ring(c, why, sizeof(why));

	if (!uname(&u))
		doctor_say(out, "kernel", "%s %s", u.sysname, u.release);
	doctor_say(out, "ring", "%s%s%s", ring ? ring->name : "none", *why ? ": " : "", why);
	tell_paste(out, c);
	if (read_word(word, sizeof(word), "/proc/sys/kernel/io_uring_disabled") && strcmp(word, "0"))
		advise(out, "kernel.io_uring_disabled is %s: sysctl kernel.io_uring_disabled=0 allows it",
		       word);
	else if (ring == &ring_socket && c->ring == CONFIG_RING_AUTO)
		advise(out, "containers often forbid io_uring by their seccomp profile; Linux 6.1 or "
		       "newer is needed");
}

static void tell_limit(FILE *out, const char *name, int resource, unsigned long want,
		       const char *hint)
{
	char soft[32] = "unlimited", hard[32] = "unlimited";
	struct rlimit r;

	if (getrlimit((__rlimit_resource_t)resource, &r))
		return;
	if (r.rlim_cur != RLIM_INFINITY)
		snprintf(soft, sizeof(soft), "%llu", (unsigned long long)r.rlim_cur);
	if (r.rlim_max != RLIM_INFINITY)
		snprintf(hard, sizeof(hard), "%llu", (unsigned long long)r.rlim_max);
	doctor_say(out, "limits", "%s: %s, may be raised to %s", name, soft, hard);
	if (r.rlim_max != RLIM_INFINITY && r.rlim_max < want)
		advise(out, "%s", hint);
}

static void tell_class(FILE *out, const struct config *c, const struct findings *f)
{
	struct choice choice;

	if (choose_class(c, f, &choice))
		doctor_say(out, "class", "none can be had: %s", choice.why);
	else
		doctor_say(out, "class", "%s: %s", class_name(choice.class), choice.why);
}

int doctor_run(const struct config *c, FILE *out)
{
	struct findings f;

	choose_probe(c, &f);
	tell_class(out, c, &f);
	tell_store(out, c, &f);
	tell_nvmm(out, c, &f);
	tell_ring(out, c);
	tell_limit(out, "open files", RLIMIT_NOFILE,
		   (unsigned long)c->conns_max * c->workers,
		   "fewer than conns-max times workers: ulimit -n, or LimitNOFILE= in the unit");
	tell_limit(out, "locked memory", RLIMIT_MEMLOCK, 0, "");
	if (getenv("PMEM_IS_PMEM_FORCE"))
		doctor_say(out, "warning", "PMEM_IS_PMEM_FORCE is set; it proves nothing and is not honoured");
	return fflush(out) ? EXIT_FAILURE : 0;
}
