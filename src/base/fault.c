/* SPDX-License-Identifier: BSD-2-Clause */
/* fault.c - see fault.h.  The signal handler calls only async-signal-safe functions. */
#include "base/fault.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static struct store_memory watched[STORE_MEMORIES];
static volatile sig_atomic_t nwatched;

static char *fault_add(char *at, const char *end, const char *text)
{
	while (*text && at < end)
		*at++ = *text++;
	return at;
}

static char *add_number(char *at, const char *end, uint64_t v)
{
	char digits[24];
	size_t n = sizeof(digits) - 1;

	digits[n] = '\0';
	do
		digits[--n] = (char)('0' + v % 10);
	while (v /= 10);
	return fault_add(at, end, digits + n);
}

static void fault_tell(const struct store_memory *m, uint64_t off)
{
	char text[1024], *end = text + sizeof(text), *at = fault_add(text, end, "pasted: byte ");
	struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };

	at = add_number(at, end, off);
	at = fault_add(at, end, " of ");
	at = fault_add(at, end, m->path);
	at = fault_add(at, end, " cannot be reached any more: its memory is bad, or the file was cut short; the server "
			  "ends here. Nothing is lost but what it held: the next start goes round a bad place, and says what to do about a file "
			  "that is cut short\n");
	/* It may be a pipe that nobody reads. */
	if (poll(&p, 1, 1000) > 0 && write(STDERR_FILENO, text, (size_t)(at - text)) < 0)
		return;
}

static void on_fault(int sig, siginfo_t *si, void *context)
{
	const uint8_t *at = si->si_addr;

	(void)context;
	for (int i = 0; i < nwatched; i++) {
		if (at < watched[i].addr || at >= watched[i].addr + watched[i].len)
			continue;
		fault_tell(&watched[i], watched[i].off + (uint64_t)(at - watched[i].addr));
		_exit(FAULT_STATUS);
	}
	signal(sig, SIG_DFL);		/* the access is repeated and ends the process */
}

void fault_watch(const struct store *w)
{
	struct sigaction a = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };

	nwatched = (int)store_memory(w, watched);
	if (!nwatched)
		return;
	sigemptyset(&a.sa_mask);
	sigaction(SIGBUS, &a, NULL);
	sigaction(SIGSEGV, &a, NULL);
}

void fault_look(void)
{
	for (int i = 0; i < nwatched; i++)
		for (size_t at = 0; at < watched[i].len; at += 4096)
			(void)*(const volatile uint8_t *)(watched[i].addr + at);
}

void fault_forget(void)
{
	nwatched = 0;
}
