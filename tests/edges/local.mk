# SPDX-License-Identifier: BSD-2-Clause
# The edges: how a program is started, who reads it, what happens beside it to its files and
# its disk.  With what tests/e2e/harness.py needs, and says.
SCRIPT_TESTS += %D%/descriptors.py
SCRIPT_TESTS += %D%/unread.py
SCRIPT_TESTS += %D%/retain_age.py
EXTRA_DIST += %D%/edges.py
SCRIPT_TESTS += %D%/readers.py
SCRIPT_TESTS += %D%/full_start.py
SCRIPT_TESTS += %D%/no_room.py
EXTRA_DIST += %D%/disks.py
SCRIPT_TESTS += %D%/moved.py
SCRIPT_TESTS += %D%/gone.py
SCRIPT_TESTS += %D%/doors.py
SCRIPT_TESTS += %D%/clients.py
SCRIPT_TESTS += %D%/limits.py
