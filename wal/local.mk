# SPDX-License-Identifier: BSD-2-Clause
# wal/: the durable formats.  Add a line per module, header beside its source.
noinst_LIBRARIES += libwal.a
libwal_a_CFLAGS = $(AM_CFLAGS) $(PMEM_CFLAGS) $(BSD_CFLAGS)
libwal_a_SOURCES = %D%/format/format.h %D%/media/pm.h %D%/media/blk.h %D%/lane/pool.h %D%/lane/lane.h %D%/segment/segment.h %D%/store/store.h
libwal_a_SOURCES += %D%/util/error.c %D%/util/error.h %D%/format/class.c %D%/format/class.h %D%/format/json.c %D%/format/json.h %D%/format/record.c %D%/format/record.h
libwal_a_SOURCES += %D%/util/mutant.h %D%/util/dice.c %D%/util/dice.h %D%/util/std.c %D%/util/std.h %D%/util/crc32c.c %D%/util/crc32c.h %D%/format/codec.c %D%/format/codec.h %D%/media/pm_nvmm.c %D%/media/pm_probe.c %D%/lane/pool.c
libwal_a_SOURCES += %D%/media/place.c %D%/media/place.h %D%/media/dax.c %D%/media/dax.h %D%/media/pm_image.c %D%/media/pm_image.h
libwal_a_SOURCES += %D%/lane/lane.c %D%/lane/lane_wal.c %D%/lane/lane_fsync.c %D%/lane/lane_none.c %D%/lane/lane_priv.h %D%/files/walfile.c %D%/files/walfile.h %D%/files/bond.c %D%/files/bond.h %D%/media/pm_hold.c
libwal_a_SOURCES += %D%/lane/follow.c %D%/lane/follow.h %D%/segment/floor.h
libwal_a_SOURCES += %D%/lane/scan.c %D%/lane/scan.h %D%/lane/lane_checkpoint.c %D%/lane/lane_checkpoint.h
libwal_a_SOURCES += %D%/recovery/recover.c %D%/recovery/recover.h %D%/recovery/rec_priv.h %D%/recovery/rec_table.c %D%/recovery/rec_table.h %D%/recovery/rec_store.c %D%/recovery/rec_lane.c %D%/recovery/rec_wal.c
libwal_a_SOURCES += %D%/format/absent.c %D%/format/absent.h %D%/recovery/rec_act.c %D%/tool/rec_tool.c %D%/tool/rec_tool.h %D%/tool/report.c %D%/tool/report.h %D%/tool/progress.c %D%/tool/progress.h
libwal_a_SOURCES += %D%/util/clock.c %D%/util/clock.h %D%/store/store.c %D%/store/store_priv.h %D%/store/store_read.c %D%/store/store_watch.c
libwal_a_SOURCES += %D%/media/blk_file.c %D%/segment/segment.c %D%/segment/seg_batch.c %D%/segment/seg_back.c %D%/segment/segment_priv.h %D%/files/storefile.c %D%/files/storefile.h %D%/files/storefile_lanes.c
libwal_a_SOURCES += %D%/segment/seg_walk.c %D%/segment/seg_scan.c %D%/segment/seg_scan.h %D%/segment/seg_read.c %D%/segment/seg_read.h %D%/segment/seg_why.c %D%/segment/seg_again.c

WAL_LIBS = libwal.a $(PMEM_LIBS) $(BSD_LIBS)

# The program for the files alone: wal/ and nothing else.
sbin_PROGRAMS += pasted-recover
pasted_recover_SOURCES = %D%/tool/recover_main.c
pasted_recover_LDADD = $(WAL_LIBS)
