# SPDX-License-Identifier: BSD-2-Clause
# The simulators behind the seams wal/media/pm.h and wal/media/blk.h: of wal/ they take headers alone.
check_LIBRARIES += libsim.a
libsim_a_SOURCES = %D%/blk_sim.c %D%/blk_sim.h %D%/blk_sim_priv.h %D%/blk_sim_files.c %D%/blk_sim_cut.c
libsim_a_SOURCES += %D%/sim_pick.c %D%/sim_pages.c %D%/sim_pages.h
libsim_a_SOURCES += %D%/pm_sim.c %D%/pm_sim.h
