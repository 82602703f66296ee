# SPDX-License-Identifier: BSD-2-Clause
# src/: the server.  Add a line per module, header beside its source.
noinst_LIBRARIES += libpasted.a
libpasted_a_CFLAGS = $(AM_CFLAGS) $(URING_CFLAGS) $(PARSER_CFLAGS) $(BSD_CFLAGS)
libpasted_a_SOURCES = %D%/ring/ring.h
libpasted_a_SOURCES += %D%/admin/admin_reply.c %D%/admin/admin_reply.h %D%/base/text.c %D%/base/text.h %D%/admin/counters.h
libpasted_a_SOURCES += %D%/admin/endpoint.c %D%/admin/endpoint.h
libpasted_a_SOURCES += %D%/http/head.c %D%/http/head.h
libpasted_a_SOURCES += %D%/admin/health.c %D%/admin/health.h
libpasted_a_SOURCES += %D%/admin/metrics.c %D%/admin/metrics.h
libpasted_a_SOURCES += %D%/admin/readback.c %D%/admin/readback.h
libpasted_a_SOURCES += %D%/admin/admin_slots.c %D%/admin/admin_slots.h
libpasted_a_SOURCES += %D%/admin/admin.c %D%/admin/admin.h %D%/base/queue.h
libpasted_a_SOURCES += %D%/server/checkpoint.c %D%/server/checkpoint.h
libpasted_a_SOURCES += %D%/server/conn.c %D%/server/conn.h %D%/server/conn_priv.h %D%/server/conn_steps.h
libpasted_a_SOURCES += %D%/server/conn_fsm.c %D%/server/conn_due.c %D%/server/conn_end.c
libpasted_a_SOURCES += %D%/http/http.c %D%/http/http.h %D%/http/http_check.c %D%/http/http_check.h
libpasted_a_SOURCES += %D%/http/http_adapter.h %D%/http/http_llhttp_adapter.c %D%/http/http_parser_adapter.c
libpasted_a_SOURCES += %D%/server/ingest.c %D%/server/ingest.h %D%/server/refusal.c %D%/server/refusal.h
libpasted_a_SOURCES += %D%/http/reply.c %D%/http/reply.h
libpasted_a_SOURCES += %D%/base/status.c %D%/base/status.h
libpasted_a_SOURCES += %D%/base/timers.c %D%/base/timers.h
libpasted_a_SOURCES += %D%/server/worker.c %D%/server/worker.h
libpasted_a_SOURCES += %D%/choose.c %D%/choose.h
libpasted_a_SOURCES += %D%/base/cgroup.c %D%/base/cgroup.h
libpasted_a_SOURCES += %D%/config.c %D%/config.h
libpasted_a_SOURCES += %D%/base/daemon.c %D%/base/daemon.h %D%/base/fault.c %D%/base/fault.h
libpasted_a_SOURCES += %D%/base/now.c %D%/base/now.h
libpasted_a_SOURCES += %D%/base/disk.c %D%/base/disk.h %D%/admin/watch.c %D%/admin/watch.h
libpasted_a_SOURCES += %D%/base/diag.c %D%/base/diag.h %D%/base/must.h
libpasted_a_SOURCES += %D%/doctor.c %D%/doctor.h
libpasted_a_SOURCES += %D%/admin/parting.c %D%/admin/parting.h
libpasted_a_SOURCES += %D%/ring/listen.c %D%/ring/listen.h
libpasted_a_SOURCES += %D%/admin/startup.c %D%/admin/startup.h
libpasted_a_SOURCES += %D%/ring/ring_uring.c %D%/ring/ring_socket.c %D%/ring/ring_conn.c %D%/ring/ring_conn.h
libpasted_a_SOURCES += %D%/ring/ring_paste.c kmod/uapi/paste.h

if LLHTTP_FROM_SOURCE
# llhttp as the package node-llhttp ships it, compiled here and not warned about.
noinst_LIBRARIES += libllhttp.a
libllhttp_a_CFLAGS = -O2 -w -DLLHTTP_STRICT_MODE=1 $(PARSER_CFLAGS) $(SANITIZE_CFLAGS)
nodist_libllhttp_a_SOURCES = %D%/llhttp/api.c %D%/llhttp/http.c %D%/llhttp/llhttp.c
CLEANFILES += $(nodist_libllhttp_a_SOURCES)
$(nodist_libllhttp_a_SOURCES): %D%/llhttp/%.c: $(LLHTTP_SOURCE)/%.c
	$(AM_V_GEN)$(MKDIR_P) $(@D) && cp $< $@
PARSER_LINK = libllhttp.a
else
PARSER_LINK = $(PARSER_LIBS)
endif

SRC_LIBS = libpasted.a $(PARSER_LINK) $(URING_LIBS) $(BSD_LIBS)

sbin_PROGRAMS += pasted
pasted_SOURCES = %D%/pasted.c
pasted_LDADD = $(SRC_LIBS) $(WAL_LIBS)

EXTRA_DIST += %D%/pasted.service %D%/pasted-nvmm.conf %D%/pasted-sysusers.conf
if INSTALL_UNIT
systemdsystemunit_DATA = %D%/pasted.service
endif
