# SPDX-License-Identifier: BSD-2-Clause
# man/: one page per program and per file format: dist_man_MANS += %D%/name.8
dist_man_MANS += %D%/pasted-recover.8 %D%/pasted-wal.5
dist_man_MANS += %D%/pasted.8 %D%/pasted.conf.5 %D%/paste.4
