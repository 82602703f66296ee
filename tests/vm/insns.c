/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * insns.c - a TCG plugin for QEMU 7: how often each block of the guest's code was run.
 *
 * -plugin insns.so,table=PATH: PATH, made beforehand and mapped here, is a table of
 * struct row, hashed by address.  QEMU adds to `insns` in place as it runs a block, so
 * whoever reads the file twice has the difference (insns.py does, and finds the names).
 *
 * A block that faults halfway is counted whole.  Row 0 counts what found no row.
 *
 * Debian has no package with QEMU's qemu-plugin.h: what is declared here is version 1 of
 * its interface, which QEMU checks when it loads this.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define PROBES 64u

struct qemu_plugin_tb;
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };
typedef void (*tb_trans_cb)(uint64_t id, struct qemu_plugin_tb *tb);

extern void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, tb_trans_cb cb);
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *tb, enum qemu_plugin_op op,
						     void *ptr, uint64_t imm);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
extern uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);

EXPORT int qemu_plugin_version = 1;
EXPORT int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv);

struct row {
	uint64_t address;	/* of the block's first instruction; 0: the row is free */
	uint64_t insns;		/* run in it */
};

static struct row *rows;
static uint64_t nrows;

/* One caller at a time where the guest's kernel uses one CPU (maxcpus=1).  The others run
 * the firmware: what they may spoil is there before the first reading. */
static struct row *row_of(uint64_t address)
{
	uint64_t h = (address * 0x9e3779b97f4a7c15u) >> 20;

	for (unsigned i = 0; i < PROBES; i++) {
		struct row *r = &rows[1 + (h + i) % (nrows - 1)];

		if (!r->address)
			r->address = address;
		if (r->address == address)
			return r;
	}
	return &rows[0];
}

static void translated(uint64_t id, struct qemu_plugin_tb *tb)
{
	(void)id;
	qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_U64,
						 &row_of(qemu_plugin_tb_vaddr(tb))->insns,
						 qemu_plugin_tb_n_insns(tb));
}

int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
	struct stat st;
	int fd;

	(void)info;
	if (argc != 1 || strncmp(argv[0], "table=", 6))
		return -1;
	fd = open(argv[0] + 6, O_RDWR | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) || (size_t)st.st_size < 2 * sizeof(*rows)) {
		fprintf(stderr, "insns: %s is not a table\n", argv[0] + 6);
		return -1;
	}
	nrows = (uint64_t)st.st_size / sizeof(*rows);
	rows = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (rows == MAP_FAILED)
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
