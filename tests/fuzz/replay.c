/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * replay.c - a fuzz target without a fuzzer: every file of its corpus, or the files
 * that are named.
 *
 *	FUZZ_NAME	the corpus is tests/fuzz/corpus/FUZZ_NAME
 *	FUZZ_VARIANTS	each file that many times, with 0, 1, .. as its first byte
 */
#include <dirent.h>

#include "fuzz.h"

#ifndef FUZZ_VARIANTS
#define FUZZ_VARIANTS 0
#endif

static void replay(const char *path)
{
	const unsigned variants = FUZZ_VARIANTS;
	FILE *f = fopen(path, "rb");
	uint8_t *in = NULL;
	long n = -1;

	if (f && !fseek(f, 0, SEEK_END))
		n = ftell(f);
	if (n >= 0)
		in = malloc(n ? (size_t)n : 1);	/* of its size: the sanitizer sees the end */
	if (!in || fseek(f, 0, SEEK_SET) || fread(in, 1, (size_t)n, f) != (size_t)n) {
		perror(path);
		exit(99);
	}
	fclose(f);
	LLVMFuzzerTestOneInput(in, (size_t)n);
	for (unsigned v = 0; n && v < variants; v++) {
		in[0] = (uint8_t)v;
		LLVMFuzzerTestOneInput(in, (size_t)n);
	}
	free(in);
}

int main(int argc, char **argv)
{
	const char *top = getenv("top_srcdir");
	char dir[4096], path[8192];
	unsigned files = 0;
	struct dirent *e;
	DIR *d;

	for (int i = 1; i < argc; i++)
		replay(argv[i]);
	if (argc > 1)
		return 0;
	snprintf(dir, sizeof(dir), "%s/tests/fuzz/corpus/%s", top ? top : ".", FUZZ_NAME);
	d = opendir(dir);
	if (!d) {
		perror(dir);
		return 99;
	}
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		replay(path);
		files++;
	}
	closedir(d);
	printf("%u inputs\n", files);
	return files >= 5 ? 0 : 1;
}
