/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * print_table.c - the rows of tests/unit/http_table.h, a line of JSON each, for
 * differential.py: section, status (0: accepted), reason, the input in hex.
 */
#include <stddef.h>
#include <stdio.h>

struct row {
	const char *section, *reason, *input;
	size_t len;
	int status;
};

#define OK(section, method, target, flags, body, input) { section, "", input, sizeof(input) - 1, 0 },
#define SECRET(section, input, head) { section, "", input, sizeof(input) - 1, 0 },
#define BAD(section, status, reason, input) { section, reason, input, sizeof(input) - 1, status },

static const struct row rows[] = {
#include "http_table.h"
};

int main(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];

		printf("{\"section\":\"%s\",\"status\":%d,\"reason\":\"%s\",\"input\":\"", r->section, r->status,
		       r->reason);
		for (size_t k = 0; k < r->len; k++)
			printf("%02x", (unsigned char)r->input[k]);
		printf("\"}\n");
	}
	return 0;
}
