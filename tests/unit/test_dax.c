/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_dax.c - which memory is persistent, and in which units it maps, over a sysfs of the
 * test's own.
 */
#include "dax.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "format.h"
#include "pm.h"
#include "walfile.h"

static char root[] = "/tmp/test_dax.XXXXXX";

__attribute__((format(printf, 1, 2)))
static void sh(const char *fmt, ...)
{
	char cmd[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	assert_int_equal(system(cmd), 0);
}

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(root))
		return -1;
	dax_sysfs = root;
	sh("mkdir -p %s/dev/char %s/dev/block", root, root);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	sh("rm -rf %s", root);
	return 0;
}

/* A device at devices/PATH; below a region with that domain, where there is one. */
static void device(const char *type, const char *number, const char *path, const char *region,
		   const char *domain)
{
	sh("mkdir -p %s/devices/%s", root, path);
	sh("ln -sfn ../../devices/%s %s/dev/%s/%s", path, root, type, number);
	if (region)
		sh("echo '%s' > %s/devices/%s/persistence_domain", domain, root, region);
}

static void memory_that_forgets(void **state)
{
	static const struct {
		const char *path, *region, *domain;
		enum dax_domain want;
	} rows[] = {
		{ "LNXSYSTM:00/ACPI0012:00/ndbus0/region0/dax0.1/dax0.0",
		  "LNXSYSTM:00/ACPI0012:00/ndbus0/region0", "memory_controller", DAX_MEMORY_CONTROLLER },
		{ "LNXSYSTM:00/ACPI0012:00/ndbus0/region1/dax1.1/dax1.0",
		  "LNXSYSTM:00/ACPI0012:00/ndbus0/region1", "cpu_cache", DAX_CPU_CACHE },
		/* The platform says nothing: memmap= on the command line, or a hypervisor's. */
		{ "platform/e820_pmem/ndbus1/region2/dax2.1/dax2.0", "platform/e820_pmem/ndbus1/region2", "",
		  DAX_FORGETS },
		{ "platform/e820_pmem/ndbus1/region3/dax3.1/dax3.0", NULL, NULL, DAX_FORGETS },
		/* A persistent region of CXL is on that bus; its other memory is not. */
		{ "platform/ACPI0017:00/root0/nvdimm-bridge0/ndbus2/region4/dax4.1/dax4.0",
		  "platform/ACPI0017:00/root0/nvdimm-bridge0/ndbus2/region4", "memory_controller",
		  DAX_MEMORY_CONTROLLER },
		{ "platform/ACPI0017:00/root0/decoder0.0/region5/dax_region5/dax5.0",
		  "platform/ACPI0017:00/root0/decoder0.0/region5", "memory_controller", DAX_FORGETS },
		/* HBM and the like. */
		{ "platform/hmem.0/dax6.0", NULL, NULL, DAX_FORGETS },
	};
	char number[16], why[512];

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(number, sizeof(number), "252:%u", i);
		device("char", number, rows[i].path, rows[i].region, rows[i].domain);
		*why = '\0';
		assert_int_equal(dax_domain_of_char(makedev(252, i), why, sizeof(why)), rows[i].want);
		assert_int_equal(*why != '\0', rows[i].want == DAX_FORGETS);
	}
	assert_int_equal(dax_domain_of_char(makedev(252, 99), why, sizeof(why)), DAX_FORGETS);
}

static void the_weakest_of_what_is_below(void **state)
{
	char why[512];

	(void)state;
	device("block", "259:0", "ndbus0/region0/pfn0.1/block/pmem0", "ndbus0/region0", "cpu_cache");
	device("block", "259:1", "ndbus0/region1/namespace1.0/block/pmem1", "ndbus0/region1",
	       "memory_controller");
	device("block", "259:2", "ndbus0/region0/pfn0.1/block/pmem0/pmem0p1", NULL, NULL);
	device("block", "8:0", "pci0000:00/ata1/block/sda", NULL, NULL);
	device("block", "253:0", "virtual/block/dm-0", NULL, NULL);
	sh("mkdir -p %s/devices/virtual/block/dm-0/slaves", root);
	assert_int_equal(dax_domain_of_block(makedev(259, 0), why, sizeof(why)), DAX_CPU_CACHE);
	assert_int_equal(dax_domain_of_block(makedev(259, 1), why, sizeof(why)), DAX_MEMORY_CONTROLLER);
	assert_int_equal(dax_domain_of_block(makedev(259, 2), why, sizeof(why)), DAX_CPU_CACHE);
	assert_int_equal(dax_domain_of_block(makedev(8, 0), why, sizeof(why)), DAX_FORGETS);
	sh("ln -s ../../../../ndbus0/region0/pfn0.1/block/pmem0 %s/devices/virtual/block/dm-0/slaves/pmem0", root);
	assert_int_equal(dax_domain_of_block(makedev(253, 0), why, sizeof(why)), DAX_CPU_CACHE);
	sh("ln -s ../../../../ndbus0/region1/namespace1.0/block/pmem1 %s/devices/virtual/block/dm-0/slaves/pmem1",
	   root);
	assert_int_equal(dax_domain_of_block(makedev(253, 0), why, sizeof(why)), DAX_MEMORY_CONTROLLER);
	sh("ln -s ../../../../pci0000:00/ata1/block/sda %s/devices/virtual/block/dm-0/slaves/sda", root);
	assert_int_equal(dax_domain_of_block(makedev(253, 0), why, sizeof(why)), DAX_FORGETS);
}

/* /dev/null stands for a device-dax: its number is in this sysfs. */
static void what_is_probed(void **state)
{
	enum wal_class found;
	char why[512];

	(void)state;
	device("char", "1:3", "platform/hmem.0/dax9.0", NULL, NULL);
	sh("echo 1073741824 > %s/dev/char/1:3/size", root);
	assert_int_equal(pm_probe("/dev/null", &found, why, sizeof(why)), 0);
	assert_int_equal(found, WAL_VOLATILE);
	assert_non_null(strstr(why, "no NVDIMM"));
	device("char", "1:3", "ndbus7/region7/dax7.1/dax7.0", "ndbus7/region7", "memory_controller");
	sh("echo 1073741824 > %s/dev/char/1:3/size", root);
	assert_int_equal(pm_probe("/dev/null", &found, why, sizeof(why)), 0);
	assert_int_equal(found, WAL_NVMM);
}

static void buffers_are_where_they_can_be_mapped(void **state)
{
	(void)state;
	device("char", "1:3", "ndbus8/region8/dax8.1/dax8.0", "ndbus8/region8", "cpu_cache");
	assert_int_equal(walfile_bufs_off("/tmp", 1, 64), 0);
	assert_int_equal(walfile_bufs_off("/dev/null", 1, 64), DAX_ALIGN);
	sh("echo 4096 > %s/dev/char/1:3/align", root);
	assert_int_equal(walfile_bufs_off("/dev/null", 1, 64), DAX_ALIGN);
	sh("echo 1073741824 > %s/dev/char/1:3/align", root);
	assert_int_equal(walfile_bufs_off("/dev/null", 1, 64), 1u << 30);
	assert_int_equal(walfile_bufs_off("/dev/null", 64, 4u << 20), 3ull << 30);
}

/* In a process of its own: no file is made but with that error. */
static int probe_without_room(int err, enum wal_class want, int want_err)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_CREAT | (O_TMPFILE & ~O_DIRECTORY), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)err),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog p = { sizeof(f) / sizeof(*f), f };
	enum wal_class found = WAL_NONE;
	char why[512] = "";
	int res;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p))
		return 77;
	res = pm_probe(".", &found, why, sizeof(why));
	if (res != want_err)
		return 1;
	return res || (found == want && strstr(why, "no room")) ? 0 : 2;
}

/* A disk without room, and a quota that is used up, say nothing against a class; other errors do. */
static void no_room_to_probe(void **state)
{
	static const struct { int err, want; } row[] = { { ENOSPC, 0 }, { EDQUOT, 0 }, { EACCES, -EACCES } };
	enum wal_class here;
	char why[512];
	int res;

	(void)state;
	assert_int_equal(pm_probe(".", &here, why, sizeof(why)), 0);
	if (here != WAL_FSYNC)
		return;			/* memory is asked for by name, and never full for good */
	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (!pid)
			_exit(probe_without_room(row[i].err, here, row[i].want));
		assert_int_equal(waitpid(pid, &res, 0), pid);
		assert_true(WIFEXITED(res));
		if (WEXITSTATUS(res) != 77)
			assert_int_equal(WEXITSTATUS(res), 0);
	}
}

static int open_forbidden(void)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog p = { sizeof(f) / sizeof(*f), f };
	uint64_t size;
	void *h;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p))
		return 77;
	return pm_nvmm.open(NULL, "/dev/zero", &size, &h) == -EPERM ? 0 : 1;
}

/* A container may forbid the call: then nothing can be said of the memory, not that it is bad. */
static void what_may_not_be_read_is_not_bad(void **state)
{
	uint64_t size = 0;
	char byte = 1;
	void *h;
	int res;
	pid_t pid;

	(void)state;
	device("char", "1:5", "ndbus9/region9/dax9.1/dax9.0", "ndbus9/region9", "cpu_cache");
	sh("echo 2097152 > %s/dev/char/1:5/size", root);
	assert_int_equal(pm_nvmm.open(NULL, "/dev/zero", &size, &h), 0);
	assert_int_equal(size, 2u << 20);
	assert_int_equal(pm_nvmm.read(NULL, h, &byte, 1, 4096), 0);
	assert_int_equal(byte, 0);
	pm_nvmm.close(NULL, h);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		_exit(open_forbidden());
	assert_int_equal(waitpid(pid, &res, 0), pid);
	assert_true(WIFEXITED(res));
	if (WEXITSTATUS(res) != 77)		/* no such filters here */
		assert_int_equal(WEXITSTATUS(res), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_that_forgets),
		cmocka_unit_test(the_weakest_of_what_is_below),
		cmocka_unit_test(what_is_probed),
		cmocka_unit_test(no_room_to_probe),
		cmocka_unit_test(buffers_are_where_they_can_be_mapped),
		cmocka_unit_test(what_may_not_be_read_is_not_bad),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
