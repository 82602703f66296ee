# SPDX-License-Identifier: BSD-2-Clause
# Measurements, not part of make check: make bench.
bench: all
