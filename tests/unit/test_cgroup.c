/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_cgroup.c - cgroup.h: limits of both versions, of the groups above, in a container
 * that sees its host's path, and of no group at all; from folders made for it.
 */
#include "base/cgroup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[] = "test_cgroup.XXXXXX";

/* A file below root, and the folders that it is in. */
static void put(const char *name, const char *text)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	for (char *p = path; (p = strchr(p, '/')); p++) {
		*p = '\0';
		mkdir(path, 0755);
		*p = '/';
	}
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static struct cgroup read_it(const char *list)
{
	char path[512];
	struct cgroup g;

	put("list", list);
	snprintf(path, sizeof(path), "%s/list", root);
	cgroup_read(&g, path, root);
	return g;
}

static int setup(void **state)
{
	(void)state;
	strcpy(root + strlen(root) - 6, "XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int teardown(void **state)
{
	char cmd[64];

	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -rf %s", root);
	return system(cmd);
}

#define NO_MEMORY UINT64_MAX
#define NO_CPUS UINT32_MAX

static void expect(const char *list, uint64_t memory, unsigned cpus)
{
	struct cgroup g = read_it(list);

	if (g.memory_bytes != memory || g.cpus != cpus)
		fail_msg("%s: %llu bytes, %u CPUs", list, (unsigned long long)g.memory_bytes, g.cpus);
}

static void none(void **state)
{
	struct cgroup g;

	(void)state;
	cgroup_read(&g, "/nowhere/list", "/nowhere");
	assert_true(g.memory_bytes == NO_MEMORY && g.cpus == NO_CPUS);
	expect("", NO_MEMORY, NO_CPUS);
	expect("0::/\n", NO_MEMORY, NO_CPUS);
	expect("nonsense\n::\n:\n7\n", NO_MEMORY, NO_CPUS);
}

static void second_version(void **state)
{
	(void)state;
	put("a/b/memory.max", "max\n");
	put("a/b/cpu.max", "max 100000\n");
	expect("0::/a/b\n", NO_MEMORY, NO_CPUS);
	put("a/b/memory.max", "134217728\n");
	put("a/b/cpu.max", "150000 100000\n");
	expect("0::/a/b\n", 128u << 20, 2);
	put("a/memory.max", "67108864\n");		/* the group above has less */
	put("a/cpu.max", "100000 100000\n");
	expect("0::/a/b\n", 64u << 20, 1);
	put("a/memory.max", "268435456\n");		/* .. or more */
	expect("0::/a/b\n", 128u << 20, 1);
	expect("0::/a\n", 256u << 20, 1);
	expect("0::/\n", NO_MEMORY, NO_CPUS);
	put("memory.max", "1048576\n");			/* a container's own root */
	expect("0::/\n", 1u << 20, NO_CPUS);
	expect("0::/what/the/host/calls/it\n", 1u << 20, NO_CPUS);
	put("a/b/cpu.max", "1000 100000\n");
	expect("0::/a/b\n", 1u << 20, 1);
	put("a/cpu.max", "nonsense");
	put("a/b/cpu.max", "-1 -1");
	expect("0::/a/b\n", 1u << 20, NO_CPUS);
}

static void first_version(void **state)
{
	static const char list[] = "5:cpuset:/a\n4:memory:/a/b\n2:cpu,cpuacct:/c\n1:name=systemd:/x\n0::/\n";

	(void)state;
	put("memory/memory.limit_in_bytes", "9223372036854771712\n");
	put("memory/a/b/memory.limit_in_bytes", "9223372036854771712\n");
	put("cpu,cpuacct/c/cpu.cfs_quota_us", "-1\n");
	put("cpu,cpuacct/c/cpu.cfs_period_us", "100000\n");
	expect(list, 9223372036854771712u, NO_CPUS);
	put("memory/a/memory.limit_in_bytes", "67108864\n");
	put("cpu,cpuacct/c/cpu.cfs_quota_us", "250000\n");
	expect(list, 64u << 20, 3);
	put("memory/memory.limit_in_bytes", "33554432\n");	/* a container, which has its host's path */
	expect("4:memory:/host/path\n", 32u << 20, NO_CPUS);
	put("cpu/cpu.cfs_quota_us", "50000\n");
	put("cpu/cpu.cfs_period_us", "100000\n");
	expect("1:cpu:/\n", NO_MEMORY, 1);
	expect("1:cpuset:/\n", NO_MEMORY, NO_CPUS);
}

/* Controllers of the one, the rest of the other. */
static void hybrid(void **state)
{
	(void)state;
	put("memory/m/memory.limit_in_bytes", "67108864\n");
	put("unified/u/cpu.max", "200000 100000\n");
	expect("4:memory:/m\n0::/u\n", 64u << 20, 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(none), TEST(second_version), TEST(first_version), TEST(hybrid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
