# SPDX-License-Identifier: BSD-2-Clause
# Rules of the house, checked: SCRIPT_TESTS += %D%/name.sh
SCRIPT_TESTS += %D%/deps.sh %D%/man.sh %D%/options.sh %D%/text.sh %D%/format_page.py %D%/listed.py %D%/clocks.py \
	%D%/check.sh %D%/unit.sh %D%/cycles.py %D%/names.py %D%/endpoints.py %D%/statuses.py
EXTRA_DIST += %D%/lint.sh
