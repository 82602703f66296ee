# SPDX-License-Identifier: BSD-2-Clause
# Tests in a virtual machine: part of make check, or alone with make check-vm.  What
# they need and what the environment may say: vm.py, image.py and powercut.py.
VM_TESTS = %D%/powercut.py %D%/faults.py %D%/paste_core.py %D%/paste_e2e.py %D%/vnet.py
LONG_TESTS += $(VM_TESTS)
check_PROGRAMS += %D%/paste_test
%C%_paste_test_SOURCES = %D%/paste_test.c %D%/paste_rows.c %D%/paste_socks.c %D%/paste_tun.c %D%/paste_dev.h
%C%_paste_test_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/kmod
%C%_paste_test_LDADD =
EXTRA_DIST += %D%/vm.py %D%/image.py %D%/disk.py %D%/guest.py %D%/init.sh %D%/debug_kernel.sh %D%/other_kernel.sh \
	%D%/module.py %D%/bodies_guest.py %D%/outside.py %D%/bench.py %D%/insns.py %D%/insns.c
if BUILD_KMOD
check_DATA += kmod/untracked/paste.ko
endif
check_PROGRAMS += %D%/tiny %D%/wire
%C%_tiny_SOURCES = %D%/tiny.c
%C%_tiny_LDADD =
%C%_wire_SOURCES = %D%/wire.c
%C%_wire_LDADD =

# Counts instructions for bench.py; QEMU loads it.
%D%/insns.so: %D%/insns.c
	$(AM_V_at)$(MKDIR_P) %D%
	$(AM_V_GEN)$(CC) -std=gnu11 $(WARN_CFLAGS) -O2 -g -shared -fPIC -fvisibility=hidden -o $@ $(srcdir)/%D%/insns.c
CLEANFILES += %D%/insns.so

check-vm:
	$(AM_V_at)$(MAKE) $(AM_MAKEFLAGS) check TESTS='$(VM_TESTS)'
# The module's tests on a kernel with KASAN, lockdep, kmemleak and failslab, which is built
# first, for about twenty minutes.
VM_DEBUG = $(abs_top_builddir)/%D%/cache/debug
VM_DEBUG_TESTS = %D%/paste_core.py %D%/vnet.py
check-vm-debug: all $(check_PROGRAMS)
	$(AM_V_at)$(AM_TESTS_ENVIRONMENT) sh $(srcdir)/%D%/debug_kernel.sh $(VM_DEBUG)
	$(AM_V_at)$(AM_TESTS_ENVIRONMENT) export PASTED_TEST_SLOW=$${PASTED_TEST_SLOW-4}; \
		export PASTED_VM_KERNEL=$(VM_DEBUG)/root PASTED_KMOD=$(VM_DEBUG)/kmod/paste.ko; \
		for t in $(VM_DEBUG_TESTS); do $(PYTHON3) $(srcdir)/$$t || exit 1; done
# And on other kernels of Debian's, as far as the mirror has them: 6.12, and the newest.
VM_SUITES = bookworm-backports trixie-backports
check-vm-kernels: all $(check_PROGRAMS)
	$(AM_V_at)$(AM_TESTS_ENVIRONMENT) export KERNEL_CC='$(KERNEL_CC)'; for s in $(VM_SUITES); do \
		dir=$(abs_top_builddir)/%D%/cache/$$s; \
		sh $(srcdir)/%D%/other_kernel.sh $$s $$dir || exit 1; \
		for t in $(VM_DEBUG_TESTS); do PASTED_VM_KERNEL=$$dir/root PASTED_KMOD=$$dir/kmod/paste.ko \
			$(PYTHON3) $(srcdir)/$$t || exit 1; done; done
distclean-local:
	rm -rf %D%/cache
# What the kernel rings are worth; BENCH names configurations and --quick, --strict.
bench-vm: all %D%/insns.so
	$(AM_V_at)$(AM_TESTS_ENVIRONMENT) $(PYTHON3) $(srcdir)/%D%/bench.py $(BENCH)
.PHONY: check-vm bench-vm check-vm-debug check-vm-kernels
