# SPDX-License-Identifier: BSD-2-Clause
# Unit tests (cmocka): UNIT_TESTS += %D%/test_name, its source is test_name.c.
UNIT_TESTS += %D%/test_json
UNIT_TESTS += %D%/test_reply %D%/test_endpoint
UNIT_TESTS += %D%/test_timers
UNIT_TESTS += %D%/test_crc32c %D%/test_codec %D%/test_class
UNIT_TESTS += %D%/test_refusal
%C%_test_refusal_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=lane_admit,--wrap=lane_add,--wrap=lane_nospace,--wrap=lane_failed,--wrap=lane_drop,--wrap=lane_owes,--wrap=lane_prepare_err
UNIT_TESTS += %D%/test_readback
tests_unit_test_readback_SOURCES = %D%/test_readback.c %D%/fake_store.h
UNIT_TESTS += %D%/test_health
tests_unit_test_health_SOURCES = %D%/test_health.c %D%/fake_store.h
UNIT_TESTS += %D%/test_metrics
tests_unit_test_metrics_SOURCES = %D%/test_metrics.c %D%/fake_store.h
tests_unit_test_metrics_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=disk_waits_ms,--wrap=std_lost,--wrap=now_wall_ms
UNIT_TESTS += %D%/test_admin
tests_unit_test_admin_SOURCES = %D%/test_admin.c %D%/fake_store.h
UNIT_TESTS += %D%/test_http
%C%_test_http_SOURCES = %D%/test_http.c %D%/http_table.h %D%/http_outcome.h
SCRIPT_TESTS += %D%/http_parser.sh
UNIT_TESTS += %D%/test_cgroup %D%/test_config %D%/test_daemon
# The same scenarios over each ring; a ring that is not there exits 77: io_uring where it is
# forbidden, paste but in a machine with the module (tests/vm/paste_e2e.py).
UNIT_TESTS += %D%/test_ring_socket %D%/test_ring_uring %D%/test_ring_paste
%C%_test_ring_socket_SOURCES = %D%/test_ring.c %D%/test_ring_ends.c %D%/ring_world.c %D%/ring_world.h
%C%_test_ring_socket_CPPFLAGS = $(AM_CPPFLAGS) -DTEST_RING=ring_socket
%C%_test_ring_uring_SOURCES = $(%C%_test_ring_socket_SOURCES)
%C%_test_ring_uring_CPPFLAGS = $(AM_CPPFLAGS) -DTEST_RING=ring_uring
%C%_test_ring_paste_SOURCES = $(%C%_test_ring_socket_SOURCES)
%C%_test_ring_paste_CPPFLAGS = $(AM_CPPFLAGS) -DTEST_RING=ring_paste
%C%_test_ring_paste_LDADD = $(UNIT_LIBS)
UNIT_TESTS += %D%/test_admin_reply
%C%_test_admin_reply_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=realloc
UNIT_TESTS += %D%/test_pool %D%/test_pm_sim %D%/test_walfile
UNIT_TESTS += %D%/test_scan
UNIT_TESTS += %D%/test_lane %D%/test_follow
UNIT_TESTS += %D%/test_recover
UNIT_TESTS += %D%/test_store
%C%_test_store_SOURCES = %D%/test_store.c tests/crash/world.c tests/crash/world.h \
	tests/crash/model.c tests/crash/model.h
UNIT_TESTS += %D%/test_blk_sim %D%/test_storefile
UNIT_TESTS += %D%/test_found %D%/test_findings %D%/test_open
%C%_test_found_SOURCES = %D%/test_found.c tests/crash/world.c tests/crash/world.h \
	tests/crash/model.c tests/crash/model.h
%C%_test_findings_SOURCES = %D%/test_findings.c tests/crash/world.c tests/crash/world.h \
	tests/crash/model.c tests/crash/model.h
%C%_test_open_SOURCES = %D%/test_open.c %D%/sh.h tests/crash/world.c tests/crash/world.h \
	tests/crash/model.c tests/crash/model.h
UNIT_TESTS += %D%/test_clock %D%/test_image
UNIT_TESTS += %D%/test_segment %D%/test_seg_scan %D%/test_seg_read
%C%_test_segment_SOURCES = %D%/test_segment.c %D%/locks.h %D%/seg_model.h %D%/blk_path.h
%C%_test_seg_scan_SOURCES = %D%/test_seg_scan.c %D%/seg_model.h
%C%_test_seg_read_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=calloc,--wrap=pthread_mutex_lock,--wrap=pthread_mutex_unlock
%C%_test_segment_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=pthread_mutex_lock,--wrap=pthread_mutex_unlock
%C%_test_seg_read_SOURCES = %D%/test_seg_read.c %D%/locks.h %D%/seg_model.h
UNIT_TESTS += %D%/test_seams %D%/test_dax %D%/test_place %D%/test_flushes
%C%_test_dax_SOURCES = %D%/test_dax.c %D%/sh.h
%C%_test_place_SOURCES = %D%/test_place.c %D%/sh.h
%C%_test_place_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=malloc,--wrap=free
UNIT_TESTS += %D%/test_identity %D%/test_results
%C%_test_results_SOURCES = %D%/test_results.c tests/crash/world.c tests/crash/world.h \
	tests/crash/model.c tests/crash/model.h
UNIT_TESTS += %D%/test_worker
%C%_test_worker_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=diag,--wrap=diag_limited,--wrap=mmap,--wrap=munmap,--wrap=calloc,--wrap=pthread_create
%C%_test_worker_SOURCES = %D%/test_worker.c %D%/worker_world.h
UNIT_TESTS += %D%/test_seg_faults
%C%_test_seg_faults_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=pthread_mutex_lock,--wrap=pthread_mutex_unlock
%C%_test_seg_faults_SOURCES = %D%/test_seg_faults.c %D%/locks.h tests/crash/world.c tests/crash/world.h \
	tests/crash/model.c tests/crash/model.h
UNIT_TESTS += %D%/test_admin_slots
%C%_test_admin_slots_SOURCES = %D%/test_admin_slots.c %D%/worker_world.h
UNIT_TESTS += %D%/test_parting %D%/test_std
UNIT_TESTS += %D%/test_checkpoint %D%/test_report %D%/test_diag %D%/test_disk %D%/test_watch
UNIT_TESTS += %D%/test_listen
%C%_test_listen_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=socket,--wrap=setsockopt,--wrap=getsockopt,--wrap=bind,--wrap=connect,--wrap=listen,--wrap=getsockname,--wrap=fchmod,--wrap=chmod,--wrap=lstat,--wrap=fcntl,--wrap=unlink,--wrap=calloc,--wrap=malloc,--wrap=free
%C%_test_checkpoint_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=eventfd,--wrap=pthread_create,--wrap=read,--wrap=write
UNIT_TESTS += %D%/test_ring_conn
UNIT_TESTS += %D%/test_ring_open
%C%_test_ring_open_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=calloc,--wrap=malloc,--wrap=mmap,--wrap=munmap,--wrap=eventfd,--wrap=epoll_create1,--wrap=sem_init,--wrap=pthread_create,--wrap=epoll_ctl,--wrap=epoll_wait,--wrap=accept4,--wrap=recv,--wrap=read,--wrap=readv,--wrap=send,--wrap=sendmsg,--wrap=shutdown,--wrap=sem_post,--wrap=close,--wrap=fcntl,--wrap=io_uring_queue_init_params,--wrap=io_uring_register_buf_ring,--wrap=io_uring_register_probe,--wrap=io_uring_submit,--wrap=io_uring_submit_and_get_events,--wrap=io_uring_submit_and_wait_timeout
UNIT_TESTS += %D%/test_doctor
%C%_test_doctor_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=fopen,--wrap=opendir,--wrap=realpath,--wrap=readlink,--wrap=stat,--wrap=statvfs,--wrap=uname,--wrap=getrlimit,--wrap=choose_probe,--wrap=choose_ring,--wrap=choose_try_ring
UNIT_TESTS += %D%/test_choose %D%/test_fault %D%/test_now
UNIT_TESTS += %D%/test_main %D%/test_startup
