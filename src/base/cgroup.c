/* SPDX-License-Identifier: BSD-2-Clause */
/* cgroup.c - see cgroup.h. */
#include "base/cgroup.h"

#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Reads the first line of dir/name. */
static bool cgroup_read_line(const char *dir, const char *name, char *buf, int n)
{
	char path[PATH_MAX];
	bool ok = false;
	FILE *f;

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
		return false;
	f = fopen(path, "re");
	if (!f)
		return false;
	ok = fgets(buf, n, f) != NULL;
	fclose(f);
	return ok;
}

/* Reads a positive number.  False: the text is none, such as "max" or "-1". */
static bool cgroup_number(const char *text, uint64_t *v)
{
	return sscanf(text, "%" SCNu64, v) == 1 && *v && *v <= INT64_MAX && *text != '-';
}

static void limit_memory(struct cgroup *g, const char *text)
{
	uint64_t v;

	if (cgroup_number(text, &v) && v < g->memory_bytes)
		g->memory_bytes = v;
}

static void limit_cpus(struct cgroup *g, const char *quota_text, const char *period_text)
{
	uint64_t quota, period, n;

	if (!cgroup_number(quota_text, &quota) || !cgroup_number(period_text, &period))
		return;
	n = quota / period + (quota % period > 0);
	if (n < g->cpus)
		g->cpus = (unsigned)n;
}

static void memory_2(struct cgroup *g, const char *dir)
{
	char text[64];

	if (cgroup_read_line(dir, "memory.max", text, sizeof(text)))
		limit_memory(g, text);
}

static void cpu_2(struct cgroup *g, const char *dir)
{
	char text[64], *period;

	if (cgroup_read_line(dir, "cpu.max", text, sizeof(text)) && (period = strchr(text, ' ')))
		limit_cpus(g, text, period + 1);
}

static void both_2(struct cgroup *g, const char *dir)
{
	memory_2(g, dir);
	cpu_2(g, dir);
}

/* Version 1 writes the largest multiple of a page for "no limit": more than any machine has. */
static void memory_1(struct cgroup *g, const char *dir)
{
	char text[64];

	if (cgroup_read_line(dir, "memory.limit_in_bytes", text, sizeof(text)))
		limit_memory(g, text);
}

static void cpu_1(struct cgroup *g, const char *dir)
{
	char quota[64], period[64];

	if (cgroup_read_line(dir, "cpu.cfs_quota_us", quota, sizeof(quota)) &&
	    cgroup_read_line(dir, "cpu.cfs_period_us", period, sizeof(period)))
		limit_cpus(g, quota, period);
}

/* Calls look() for the group's folder below root/mount and for all folders above, to the mount. */
static void upwards(struct cgroup *g, const char *root, const char *mount, const char *path,
		    void (*look)(struct cgroup *g, const char *dir))
{
	char dir[PATH_MAX];
	size_t least = strlen(root) + strlen(mount);
	char *end;

	if (snprintf(dir, sizeof(dir), "%s%s%s", root, mount, path) >= (int)sizeof(dir))
		return;
	for (;;) {
		look(g, dir);
		end = strrchr(dir, '/');
		if (!end || (size_t)(end - dir) < least)
			return;
		*end = '\0';
	}
}

static bool has_word(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = list; (p = strstr(p, word)); p += n)
		if ((p == list || p[-1] == ',') && (!p[n] || p[n] == ','))
			return true;
	return false;
}

/* Takes a line of the list: "4:memory:/path", or "0::/path" of version 2. */
static void one_group(struct cgroup *g, char *line, const char *root)
{
	char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;
	char mount[256];

	if (!path)
		return;
	*controllers++ = *path++ = '\0';
	path[strcspn(path, "\n")] = '\0';
	if (!strcmp(path, "/"))
		path = "";
	if (!*controllers) {
		upwards(g, root, "", path, both_2);
		upwards(g, root, "/unified", path, both_2);
		return;
	}
	if (has_word(controllers, "memory"))
		upwards(g, root, "/memory", path, memory_1);
	if (has_word(controllers, "cpu")) {
		upwards(g, root, "/cpu", path, cpu_1);
		if (snprintf(mount, sizeof(mount), "/%s", controllers) < (int)sizeof(mount))
			upwards(g, root, mount, path, cpu_1);
	}
}

void cgroup_read(struct cgroup *g, const char *list, const char *root)
{
	FILE *f = fopen(list, "re");
	char *line = NULL;
	size_t cap = 0;

	*g = (struct cgroup){ .memory_bytes = UINT64_MAX, .cpus = UINT32_MAX };
	while (f && getline(&line, &cap, f) > 0)
		one_group(g, line, root);
	free(line);
	if (f)
		fclose(f);
}
