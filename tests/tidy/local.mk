# SPDX-License-Identifier: BSD-2-Clause
# Rules of the house, checked: SCRIPT_TESTS += %D%/name.sh
SCRIPT_TESTS += %D%/format_page.py
