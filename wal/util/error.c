/* SPDX-License-Identifier: BSD-2-Clause */
/* error.c - the words of an error (error.h). */
#include "util/error.h"

#include <string.h>

const char *store_strerror(int err)
{
	switch (err) {
#define STORE_ERROR_WORDS(name, number, words) case name: return words;
	STORE_ERROR_TABLE(STORE_ERROR_WORDS)
#undef STORE_ERROR_WORDS
	}
	return strerror(err < 0 ? -err : err);
}
