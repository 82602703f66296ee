/* SPDX-License-Identifier: BSD-2-Clause */
/* page.h - index.html as bytes; page.c is made from it by the rule in local.mk. */
#ifndef WWW_PAGE_H
#define WWW_PAGE_H

#include <stddef.h>

extern const unsigned char page_html[];
extern const size_t page_html_len;

#endif
