/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * metrics.h - the server's counters and state as text: /-/metrics in Prometheus' format
 * (version 0.0.4), /-/stats as JSON for the page.
 *
 * Both are made from the tables in counters.h (per worker) and metrics.c (per
 * lane, from store_stats), so nothing is counted that is not shown.
 */
#ifndef ADMIN_METRICS_H
#define ADMIN_METRICS_H

#include "admin/admin.h"
#include "admin/admin_reply.h"

/* metrics_text() and stats_json() are declared by admin.h, which takes them from endpoint.h. */

/* The latency in microseconds that the fraction q (0..1) of the requests in the histogram stayed
 * below, interpolated within its bucket; 0 when the histogram is empty. */
double latency_quantile(const uint64_t bucket[LATENCY_BUCKETS], double q);

#endif
