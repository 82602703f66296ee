/* SPDX-License-Identifier: BSD-2-Clause */
/* choose.c - probe, then decide; see the table in choose.h. */
#include "choose.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void choose_nearest(const char *path, char *buf, size_t n)
{
	char *slash;

	snprintf(buf, n, "%s", path);
	while (access(buf, F_OK)) {
		slash = strrchr(buf, '/');
		if (!slash) {
			snprintf(buf, n, ".");
			return;
		}
		slash[slash == buf] = '\0';
	}
}

void choose_probe(const struct config *c, struct findings *f)
{
	char dir[PATH_MAX], real[PATH_MAX];

	memset(f, 0, sizeof(*f));
	choose_nearest(c->store, dir, sizeof(dir));
	f->store_err = pm_probe(realpath(dir, real) ? real : dir, &f->store, f->store_why, sizeof(f->store_why));
	if (c->nvmm)
		f->nvmm_err = pm_probe(c->nvmm, &f->nvmm, f->nvmm_why, sizeof(f->nvmm_why));
}

static int decide(struct choice *out, enum durability_class class, const char *nvmm,
		  const char *why)
{
	out->class = class;
	out->nvmm = nvmm;
	snprintf(out->why, sizeof(out->why), "%s", why);
	return 0;
}

static const char *words(int err, const char *why)
{
	return *why ? why : strerror(-err);
}

/* For auto and nvmm, where the class depends on the persistent memory that was found. */
static int choose_by_memory(const struct config *c, const struct findings *f, struct choice *out)
{
	const char *place = c->nvmm ? c->nvmm : c->store;
	int err = c->nvmm ? f->nvmm_err : f->store_err;
	enum durability_class found = c->nvmm ? f->nvmm : f->store;
	const char *why = words(err, c->nvmm ? f->nvmm_why : f->store_why);
	char at[CHOOSE_WHY / 2];

	if (!err && class_needs_nvmm(found) && (c->class != CONFIG_CLASS_AUTO || class_automatic(found)))
		return decide(out, found, place, why);
	if (c->class == CONFIG_CLASS_AUTO && !(c->nvmm && err))
		return decide(out, CLASS_FSYNC, NULL, why);
	if (c->class == CONFIG_CLASS_AUTO)
		snprintf(out->why, sizeof(out->why), "%s %s cannot be used: %s: accepted is "
			 "another folder or device, or no --nvmm; pasted --doctor says more",
			 config_place(c, "nvmm", at, sizeof(at)), place, why);
	else
		snprintf(out->why, sizeof(out->why), "%s nvmm is more than %s can give: %s: "
			 "accepted is --class auto or fsync, or a --nvmm on a DAX file system or "
			 "a device-dax; pasted --doctor says more",
			 config_place(c, "class", at, sizeof(at)), place, why);
	return -EOPNOTSUPP;
}

int choose_class(const struct config *c, const struct findings *f, struct choice *out)
{
	bool asked = c->class != CONFIG_CLASS_AUTO;
	char at[CHOOSE_WHY / 2];

	memset(out, 0, sizeof(*out));
	if (asked && (class_forgets(c->class) || !class_stores(c->class))) {
		decide(out, c->class, !class_has_wal(c->class) ? NULL : c->nvmm ? c->nvmm : c->store, "");
		snprintf(out->why, sizeof(out->why), "asked for by name: %s", class_promise(c->class));
		return 0;
	}
	if (!f->store_err && !class_lasts(f->store)) {
		snprintf(out->why, sizeof(out->why), "%s %s forgets everything at a power cut: "
			 "%s: accepted is a store on a disk, or --class volatile by name",
			 config_place(c, "store", at, sizeof(at)), c->store, f->store_why);
		return -EOPNOTSUPP;
	}
	if (asked && !class_needs_nvmm(c->class))
		return decide(out, c->class, NULL, c->nvmm ? "asked for by name; nothing "
			      "goes to --nvmm, what an earlier start left there is taken" :
			      "asked for by name");
	return choose_by_memory(c, f, out);
}

/* ---- the ring ---- */

/* Opens the ring with a few buffers and no listener, with the network device if one is set, and
 * closes it again: nothing less proves that it can be had. */
int choose_try_ring(const struct ring_ops *ops, const struct config *c, char *why, size_t why_len)
{
	const unsigned nbufs = 64;
	struct ring_params p = {
		.conns_max = 16, .buf_size = c->buf_size, .nbufs = nbufs,
		.pool_len = (size_t)nbufs * c->buf_size, .trial = true, .nic = c->nic,
		.lock_bytes = c->pool_bytes,
	};
	struct ring *r;
	int err;

	p.pool_base = mmap(NULL, p.pool_len, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p.pool_base == MAP_FAILED) {
		snprintf(why, why_len, "no memory");
		return -ENOMEM;
	}
	err = ops->open(&r, &p, why, why_len);
	if (!err)
		ops->close(r);
	munmap(p.pool_base, p.pool_len);
	return err;
}

/* Tries paste, which was asked for by name, is needed for a network device, or may be there. */
static const struct ring_ops *choose_paste(const struct config *c, char *why, size_t why_len)
{
	char reason[CHOOSE_WHY / 2] = "", at[CHOOSE_WHY / 2];
	int err = choose_try_ring(&ring_paste, c, reason, sizeof(reason));

	if (!err)
		return &ring_paste;
	if (c->ring == CONFIG_RING_PASTE)
		snprintf(why, why_len, "%s paste cannot be had: %s: accepted is auto, uring or socket%s",
			 config_place(c, "ring", at, sizeof(at)), reason, c->nic ? ", without --nic" : "");
	else if (c->nic)
		snprintf(why, why_len, "%s needs the ring paste, which cannot be had: %s",
			 config_place(c, "nic", at, sizeof(at)), reason);
	else if (err != -ENOENT)	/* most machines lack the module: that needs no message */
		snprintf(why, why_len, "not paste: %s", reason);
	return NULL;
}

const struct ring_ops *choose_ring(const struct config *c, char *why, size_t why_len)
{
	char reason[CHOOSE_WHY / 2] = "", at[CHOOSE_WHY / 2];
	const struct ring_ops *ring;

	*why = '\0';
	if (c->ring == CONFIG_RING_SOCKET)
		return &ring_socket;
	if (c->ring != CONFIG_RING_URING) {
		ring = choose_paste(c, why, why_len);
		if (ring || c->ring == CONFIG_RING_PASTE || c->nic)
			return ring;
	}
	if (!choose_try_ring(&ring_uring, c, reason, sizeof(reason)))
		return &ring_uring;
	if (c->ring == CONFIG_RING_AUTO) {
		snprintf(why + strlen(why), why_len - strlen(why), "%s%s", *why ? "; " : "", reason);
		return &ring_socket;
	}
	snprintf(why, why_len, "%s uring cannot be had: %s: accepted is auto or socket",
		 config_place(c, "ring", at, sizeof(at)), reason);
	return NULL;
}
