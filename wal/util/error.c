/* SPDX-License-Identifier: BSD-2-Clause */
/* error.c - the words of an error (error.h). */
#include "util/error.h"

#include <string.h>

const char *store_strerror(int err)
{
	switch (err) {
#define WAL_ERROR_WORDS(name, number, words) case name: return words;
	WAL_ERROR_TABLE(WAL_ERROR_WORDS)
#undef WAL_ERROR_WORDS
	}
	return strerror(err < 0 ? -err : err);
}
