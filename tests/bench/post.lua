-- SPDX-License-Identifier: BSD-2-Clause
-- wrk: a POST of 1 KiB, made once; one line at the end that run.py reads.
-- Argument: the body's size in bytes (default 1024).
local request_bytes

function init(args)
	local size = tonumber(args[1]) or 1024
	local body = string.rep("0123456789abcdef", math.ceil(size / 16)):sub(1, size)
	request_bytes = wrk.format("POST", "/bench/orders",
		{ ["Content-Type"] = "application/octet-stream" }, body)
end

function request()
	return request_bytes
end

function done(summary, latency, requests)
	local e = summary.errors
	io.write(string.format("BENCH requests=%d us=%d refused=%d broken=%d mean=%.1f p50=%.1f p99=%.1f\n",
		summary.requests, summary.duration, e.status,
		e.connect + e.read + e.write + e.timeout,
		latency.mean, latency:percentile(50), latency:percentile(99)))
end
