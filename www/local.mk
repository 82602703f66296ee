# SPDX-License-Identifier: BSD-2-Clause
# www/: the page, compiled into the server as an array of its bytes.
libpasted_a_SOURCES += %D%/page.h
nodist_libpasted_a_SOURCES = %D%/page.c
EXTRA_DIST += %D%/index.html
CLEANFILES += %D%/page.c
%D%/page.c: $(top_srcdir)/%D%/index.html $(top_srcdir)/%D%/local.mk
	$(AM_V_GEN)$(MKDIR_P) $(@D) && { \
		echo '/* made from index.html */'; \
		echo '#include <stddef.h>'; \
		echo 'extern const unsigned char page_html[];'; \
		echo 'extern const size_t page_html_len;'; \
		echo 'const unsigned char page_html[] = {'; \
		od -An -v -tx1 $(top_srcdir)/%D%/index.html | sed 's/ \([0-9a-f][0-9a-f]\)/0x\1,/g'; \
		echo '};'; \
		echo 'const size_t page_html_len = sizeof page_html;'; \
	} > $@.tmp && mv $@.tmp $@
