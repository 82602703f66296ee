# SPDX-License-Identifier: BSD-2-Clause
# wal/: the durable formats.  Add a line per module, header beside its source.
noinst_LIBRARIES += libwal.a
libwal_a_CFLAGS = $(AM_CFLAGS) $(PMEM_CFLAGS) $(BSD_CFLAGS)
libwal_a_SOURCES = %D%/format.h %D%/pm.h %D%/blk.h %D%/pool.h %D%/lane.h %D%/segment.h %D%/store.h
libwal_a_SOURCES += %D%/error.c %D%/error.h %D%/class.c %D%/class.h %D%/json.c %D%/json.h %D%/record.c %D%/record.h
libwal_a_SOURCES += %D%/mutant.h %D%/dice.c %D%/dice.h %D%/std.c %D%/std.h %D%/crc32c.c %D%/crc32c.h %D%/codec.c %D%/codec.h %D%/pm_nvmm.c %D%/pm_probe.c %D%/pool.c
libwal_a_SOURCES += %D%/place.c %D%/place.h %D%/dax.c %D%/dax.h %D%/pm_image.c %D%/pm_image.h
libwal_a_SOURCES += %D%/lane.c %D%/lane_wal.c %D%/lane_fsync.c %D%/lane_none.c %D%/lane_priv.h %D%/walfile.c %D%/walfile.h %D%/bond.c %D%/bond.h %D%/pm_hold.c
libwal_a_SOURCES += %D%/follow.c %D%/follow.h %D%/floor.h
libwal_a_SOURCES += %D%/scan.c %D%/scan.h %D%/lane_checkpoint.c %D%/lane_checkpoint.h
libwal_a_SOURCES += %D%/recover.c %D%/recover.h %D%/rec_priv.h %D%/rec_table.c %D%/rec_table.h %D%/rec_store.c %D%/rec_lane.c %D%/rec_wal.c
libwal_a_SOURCES += %D%/absent.c %D%/absent.h %D%/rec_act.c %D%/rec_tool.c %D%/rec_tool.h %D%/report.c %D%/report.h %D%/progress.c %D%/progress.h
libwal_a_SOURCES += %D%/clock.c %D%/clock.h %D%/store.c %D%/store_priv.h %D%/store_read.c %D%/store_watch.c
libwal_a_SOURCES += %D%/blk_file.c %D%/segment.c %D%/seg_batch.c %D%/seg_back.c %D%/segment_priv.h %D%/storefile.c %D%/storefile.h %D%/storefile_lanes.c
libwal_a_SOURCES += %D%/seg_walk.c %D%/seg_scan.c %D%/seg_scan.h %D%/seg_read.c %D%/seg_read.h %D%/seg_why.c %D%/seg_again.c

WAL_LIBS = libwal.a $(PMEM_LIBS) $(BSD_LIBS)

# The program for the files alone: wal/ and nothing else.
sbin_PROGRAMS += pasted-recover
pasted_recover_SOURCES = %D%/recover_main.c
pasted_recover_LDADD = $(WAL_LIBS)
