/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_dax.c - which memory is persistent, and in which units it maps, over a sysfs of the
 * test's own.
 */
#include "media/dax.h"

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

#include "files/walfile.h"
#include "format/format.h"
#include "media/pm.h"
#include "sh.h"
#include "store/store.h"

static char root[] = "/tmp/test_dax.XXXXXX";

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
	enum durability_class found;
	char why[512];

	(void)state;
	device("char", "1:3", "platform/hmem.0/dax9.0", NULL, NULL);
	sh("echo 1073741824 > %s/dev/char/1:3/size", root);
	assert_int_equal(pm_probe("/dev/null", &found, why, sizeof(why)), 0);
	assert_int_equal(found, CLASS_VOLATILE);
	assert_non_null(strstr(why, "no NVDIMM"));
	device("char", "1:3", "ndbus7/region7/dax7.1/dax7.0", "ndbus7/region7", "memory_controller");
	sh("echo 1073741824 > %s/dev/char/1:3/size", root);
	assert_int_equal(pm_probe("/dev/null", &found, why, sizeof(why)), 0);
	assert_int_equal(found, CLASS_NVMM);
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
static int probe_without_room(int err, enum durability_class want, int want_err)
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
	enum durability_class found = CLASS_NONE;
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
	enum durability_class here;
	char why[512];
	int res;

	(void)state;
	assert_int_equal(pm_probe(".", &here, why, sizeof(why)), 0);
	if (here != CLASS_FSYNC)
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

/* Two variables of libpmem would make a promise that nothing keeps. */
static void the_environment(void **state)
{
	static const char *const names[] = { "PMEM_IS_PMEM_FORCE", "PMEM_NO_FLUSH" };
	static const char *const fine[] = { "", "0", "no", "2" };
	enum durability_class found;
	char why[512], words[64];

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		snprintf(words, sizeof(words), "%s=1 in the environment", names[i]);
		setenv(names[i], "1", 1);
		assert_int_equal(pm_probe("/dev/shm", &found, why, sizeof(why)), -EPERM);
		assert_memory_equal(why, words, strlen(words));
		assert_int_equal(pm_probe("/nowhere/at/all", &found, why, sizeof(why)), -EPERM);
		for (unsigned k = 0; k < 4; k++) {
			setenv(names[i], fine[k], 1);
			assert_int_equal(pm_probe("/dev/shm", &found, why, sizeof(why)), 0);
		}
		unsetenv(names[i]);
	}
}

static void what_a_place_is(void **state)
{
	enum durability_class found = CLASS_NVMM;
	char why[512] = "of before";

	(void)state;
	assert_int_equal(pm_probe("/nowhere/at/all", &found, why, sizeof(why)), -ENOENT);
	assert_string_equal(why, "");
	assert_int_equal(pm_probe("/proc/self/stat", &found, why, sizeof(why)), -ENOTDIR);
	assert_string_equal(why, "/proc/self/stat is neither a directory nor a device-dax");
	assert_int_equal(pm_probe("/dev/full", &found, why, sizeof(why)), -ENOTDIR);
	assert_int_equal(pm_probe("/dev/shm", &found, why, sizeof(why)), 0);
	assert_int_equal(found, CLASS_VOLATILE);
	assert_string_equal(why, "/dev/shm is in memory (tmpfs)");
	device("char", "1:3", "pci0000:00/virtio3/ndbus6/region6/dax6.1/dax6.0", NULL, NULL);
	sh("echo 1073741824 > %s/dev/char/1:3/size", root);
	assert_int_equal(pm_probe("/dev/null", &found, why, sizeof(why)), -EOPNOTSUPP);
	assert_memory_equal(why, "/dev/null is virtio-pmem: only its host can make it durable", 58);
	device("char", "1:3", "ndbus5/region5/dax5.1/dax5.0", "ndbus5/region5", "cpu_cache");
	sh("echo 1073741824 > %s/dev/char/1:3/size", root);
	assert_int_equal(pm_probe("/dev/null", &found, why, sizeof(why)), 0);
	assert_int_equal(found, CLASS_NVMM_EADR);
	assert_string_equal(why, "/dev/null is a device-dax, and the platform flushes its caches at power loss");
	sh("echo memory_controller > %s/devices/ndbus5/region5/persistence_domain", root);
	assert_int_equal(pm_probe("/dev/null", &found, why, sizeof(why)), 0);
	assert_int_equal(found, CLASS_NVMM);
	assert_string_equal(why, "/dev/null is a device-dax");
	sh("echo unknown > %s/devices/ndbus5/region5/persistence_domain", root);
	assert_int_equal(pm_probe("/dev/null", &found, why, sizeof(why)), 0);
	assert_int_equal(found, CLASS_VOLATILE);
	assert_memory_equal(why, "/dev/null is a device-dax, but the platform does not say", 54);
	sh("echo 0 > %s/dev/char/1:3/size", root);	/* no memory: it is no device-dax */
	assert_int_equal(pm_probe("/dev/null", &found, why, sizeof(why)), -ENOTDIR);
}

/* /dev/zero stands for one whose memory can be mapped. */
static void a_device_is_mapped_as_it_can_be(void **state)
{
	uint64_t size = 0;
	struct pm_map m;
	char byte[2];
	void *h;

	(void)state;
	device("char", "1:5", "ndbus4/region4/dax4.1/dax4.0", "ndbus4/region4", "cpu_cache");
	sh("echo 8388608 > %s/dev/char/1:5/size", root);
	assert_int_equal(pm_nvmm.allocate(NULL, "/dev/zero", 8388608, 0), 0);
	assert_int_equal(pm_nvmm.allocate(NULL, "/dev/zero", 8388609, PM_CREATE), -EFBIG);
	assert_int_equal(pm_nvmm.map(NULL, "/dev/zero", 0, 4096, PM_SYNC, &m), 0);
	assert_int_equal(m.len, DAX_ALIGN);
	assert_true(m.memory);
	pm_nvmm.unmap(NULL, &m);
	assert_int_equal(pm_nvmm.map(NULL, "/dev/zero", DAX_ALIGN, DAX_ALIGN, PM_SYNC, &m), 0);
	assert_int_equal(m.len, DAX_ALIGN);
	pm_nvmm.unmap(NULL, &m);
	assert_int_equal(pm_nvmm.map(NULL, "/dev/zero", 0, DAX_ALIGN + 1, 0, &m), 0);
	assert_int_equal(m.len, 2 * DAX_ALIGN);
	pm_nvmm.unmap(NULL, &m);
	sh("echo 4194304 > %s/dev/char/1:5/align", root);
	assert_int_equal(pm_nvmm.map(NULL, "/dev/zero", 0, DAX_ALIGN + 1, PM_SYNC, &m), 0);
	assert_int_equal(m.len, 4u << 20);
	pm_nvmm.unmap(NULL, &m);
	assert_int_equal(pm_nvmm.open(NULL, "/dev/zero", &size, &h), 0);
	assert_int_equal(size, 8388608);
	assert_int_equal(pm_nvmm.read(NULL, h, byte, 1, 8388607), 0);
	assert_int_equal(pm_nvmm.read(NULL, h, byte, 2, 8388607), -ENODATA);
	assert_int_equal(pm_nvmm.read(NULL, h, byte, 1, 8388608), -ENODATA);
	assert_int_equal(pm_nvmm.read(NULL, h, byte, 1, 99999999), -ENODATA);
	pm_nvmm.close(NULL, h);
	assert_int_equal(pm_nvmm.clear(NULL, "/dev/zero", 0, 64), -EHWPOISON);
	device("char", "1:5", "pci0000:00/virtio4/ndbus3/region3/dax3.1/dax3.0", NULL, NULL);
	sh("echo 8388608 > %s/dev/char/1:5/size", root);
	assert_int_equal(pm_nvmm.map(NULL, "/dev/zero", 0, 4096, PM_SYNC, &m), -EOPNOTSUPP);
	assert_int_equal(pm_nvmm.map(NULL, "/dev/zero", 0, 4096, 0, &m), 0);	/* by name it may be had */
	pm_nvmm.unmap(NULL, &m);
	sh("rm %s/dev/char/1:5", root);			/* an ordinary device */
	assert_int_equal(pm_nvmm.open(NULL, "/dev/zero", &size, &h), STORE_ENOTFILE);
	assert_int_equal(pm_nvmm.map(NULL, "/dev/zero", 0, 4096, 0, &m), STORE_ENOTFILE);
	assert_int_equal(pm_nvmm.allocate(NULL, "/dev/zero", 1, 0), STORE_ENOTFILE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_environment),
		cmocka_unit_test(what_a_place_is),
		cmocka_unit_test(a_device_is_mapped_as_it_can_be),
		cmocka_unit_test(memory_that_forgets),
		cmocka_unit_test(the_weakest_of_what_is_below),
		cmocka_unit_test(what_is_probed),
		cmocka_unit_test(no_room_to_probe),
		cmocka_unit_test(buffers_are_where_they_can_be_mapped),
		cmocka_unit_test(what_may_not_be_read_is_not_bad),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
