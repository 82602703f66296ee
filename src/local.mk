# SPDX-License-Identifier: BSD-2-Clause
# src/: the server.  Add a line per module, header beside its source.
noinst_LIBRARIES += libpasted.a
libpasted_a_CFLAGS = $(AM_CFLAGS) $(URING_CFLAGS) $(PARSER_CFLAGS) $(BSD_CFLAGS)
libpasted_a_SOURCES = %D%/ring.h
libpasted_a_SOURCES += %D%/admin_reply.c %D%/admin_reply.h %D%/text.c %D%/text.h %D%/counters.h
libpasted_a_SOURCES += %D%/endpoint.c %D%/endpoint.h
libpasted_a_SOURCES += %D%/head.c %D%/head.h
libpasted_a_SOURCES += %D%/health.c %D%/health.h
libpasted_a_SOURCES += %D%/metrics.c %D%/metrics.h
libpasted_a_SOURCES += %D%/readback.c %D%/readback.h
libpasted_a_SOURCES += %D%/admin_slots.c %D%/admin_slots.h
libpasted_a_SOURCES += %D%/admin.c %D%/admin.h %D%/queue.h
libpasted_a_SOURCES += %D%/checkpoint.c %D%/checkpoint.h
libpasted_a_SOURCES += %D%/conn.c %D%/conn.h %D%/conn_priv.h %D%/conn_steps.h
libpasted_a_SOURCES += %D%/conn_fsm.c %D%/conn_due.c %D%/conn_end.c
libpasted_a_SOURCES += %D%/http.c %D%/http.h %D%/http_check.c %D%/http_check.h
libpasted_a_SOURCES += %D%/http_adapter.h %D%/http_llhttp_adapter.c %D%/http_parser_adapter.c
libpasted_a_SOURCES += %D%/ingest.c %D%/ingest.h %D%/refusal.c %D%/refusal.h
libpasted_a_SOURCES += %D%/reply.c %D%/reply.h
libpasted_a_SOURCES += %D%/status.c %D%/status.h
libpasted_a_SOURCES += %D%/timers.c %D%/timers.h
libpasted_a_SOURCES += %D%/worker.c %D%/worker.h
libpasted_a_SOURCES += %D%/choose.c %D%/choose.h
libpasted_a_SOURCES += %D%/cgroup.c %D%/cgroup.h
libpasted_a_SOURCES += %D%/config.c %D%/config.h
libpasted_a_SOURCES += %D%/daemon.c %D%/daemon.h %D%/fault.c %D%/fault.h
libpasted_a_SOURCES += %D%/now.c %D%/now.h
libpasted_a_SOURCES += %D%/disk.c %D%/disk.h %D%/watch.c %D%/watch.h
libpasted_a_SOURCES += %D%/diag.c %D%/diag.h %D%/must.h
libpasted_a_SOURCES += %D%/doctor.c %D%/doctor.h
libpasted_a_SOURCES += %D%/parting.c %D%/parting.h
libpasted_a_SOURCES += %D%/listen.c %D%/listen.h
libpasted_a_SOURCES += %D%/startup.c %D%/startup.h
libpasted_a_SOURCES += %D%/ring_uring.c %D%/ring_socket.c %D%/ring_conn.c %D%/ring_conn.h
libpasted_a_SOURCES += %D%/ring_paste.c kmod/uapi/paste.h

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
