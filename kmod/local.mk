# SPDX-License-Identifier: BSD-2-Clause
# kmod/: the kernel module, built by the kernel's own build system in kmod/obj, where the
# sources are links.  Nothing here is part of make install: kmod-install is, or DKMS.
kmod_files = %D%/main.c %D%/region.c %D%/buf.c %D%/ring.c %D%/conn.c %D%/flow.c %D%/read.c %D%/tx.c \
	%D%/vnet_dev.c %D%/vnet_sock.c %D%/vnet_tx.c %D%/src_vnet.c %D%/vnet.h %D%/vnet_parse.h \
	%D%/core.h %D%/compat.h %D%/ring.h %D%/paste.h %D%/uapi/paste.h %D%/Kbuild
EXTRA_DIST += $(kmod_files) %D%/60-paste.rules
include_HEADERS = %D%/uapi/paste.h

# Without our variables and flags: make CC=clang is not meant for the kernel.
KBUILD_IN = env -u MAKEFLAGS -u MFLAGS $(MAKE) -s -C '$(KERNEL_BUILD)' $(KERNEL_MAKE_CC) M='$(abs_top_builddir)/%D%'
KBUILD = $(KBUILD_IN)/obj KCFLAGS='$(KERNEL_CFLAGS)'

if BUILD_KMOD
all-local: %D%/obj/paste.ko
kmod_links = rm -rf $(@D) && $(MKDIR_P) $(@D)/uapi && \
	to=`cd $(@D) && pwd` && cd '$(abs_top_srcdir)/%D%' && for f in *.c *.h uapi/*.h Kbuild; do \
		ln -s '$(abs_top_srcdir)/%D%'/$$f $$to/$$f || exit 1; done
%D%/obj/paste.ko: $(kmod_files)
	$(AM_V_at)$(kmod_links)
	$(AM_V_GEN)$(KBUILD) modules
kmod: %D%/obj/paste.ko
# For a test only, see buf.c.
%D%/untracked/paste.ko: $(kmod_files)
	$(AM_V_at)$(kmod_links)
	$(AM_V_GEN)$(KBUILD_IN)/untracked KCFLAGS='$(KERNEL_CFLAGS) -DPASTE_UNTRACKED' modules

LINTS += kmod-lint
kmod-lint: kmod
	$(AM_V_at)command -v sparse >/dev/null || { echo 'sparse is not installed: package sparse'; exit 0; }; \
	! $(KBUILD) C=2 CF=-D__CHECK_ENDIAN__ modules 2>&1 | grep -E '/kmod/obj/.*(warning|error):'

# Into the kernel's own folders, for the kernel it was built for.
kmod-install: kmod
	$(KBUILD) modules_install INSTALL_MOD_PATH='$(DESTDIR)'
	$(MKDIR_P) '$(DESTDIR)/etc/udev/rules.d'
	$(INSTALL_DATA) $(srcdir)/%D%/60-paste.rules '$(DESTDIR)/etc/udev/rules.d'
else
kmod kmod-install:
	@echo 'configured without the kernel module: install linux-headers-amd64, or --with-kernel=DIR'; exit 1
endif

# What "dkms add paste/$(VERSION)" wants, for machines that build it themselves.
kmod-dkms: %D%/dkms.conf
	$(MKDIR_P) '$(DESTDIR)/usr/src/paste-$(VERSION)/uapi'
	cd '$(abs_top_srcdir)/%D%' && $(INSTALL_DATA) *.c *.h Kbuild '$(DESTDIR)/usr/src/paste-$(VERSION)'
	$(INSTALL_DATA) $(srcdir)/%D%/uapi/paste.h '$(DESTDIR)/usr/src/paste-$(VERSION)/uapi'
	$(INSTALL_DATA) %D%/dkms.conf '$(DESTDIR)/usr/src/paste-$(VERSION)'

mostlyclean-local:
	-rm -rf %D%/obj %D%/untracked
.PHONY: kmod kmod-lint kmod-install kmod-dkms
