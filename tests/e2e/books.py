# SPDX-License-Identifier: BSD-2-Clause
"""books - sums that hold in every server, whatever was done to it: what came in is what was
answered or is still open, and each count is the sum of what it is made of.

The harness asks for them at the end of every case, of each server that is still there, and
before each clean stop: a counter that stands still, or counts another thing than its name
says, is seen by whatever test comes along.  At the end of a case, when all clients have gone,
what they had is back too: connections, sockets, buffers.  balance() waits, since what has ended a moment ago may be counted a moment
from now; it fails with each sum that does not come out."""
import re
import time


class Books:
    """One reading of /-/metrics.  given_up: so many connections were closed from outside just
    now, whose requests may have no reply; asking: requests of this reading itself; sockets: as
    many there are, and were when nobody had come, if everybody has gone."""

    def __init__(self, m, given_up=0, asking=1, sockets=None):
        self.m, self.given_up, self.asking = m, given_up, asking
        self.wrong = []
        self.lost = self["connections_vanished_total"] + self["timeouts_total"] + given_up
        self.connections()
        self.requests()
        self.records()
        self.latency()
        self.ring()
        self.pool()
        if sockets:
            self.at_rest(*sockets)

    def __getitem__(self, name):
        return self.m.sum("pasted_" + name)

    def is_equal(self, what, a, b):
        if a != b:
            self.wrong.append(f"{what}: {a:.0f} and {b:.0f}")

    def not_more(self, what, a, b):
        if a > b:
            self.wrong.append(f"{what}: {a:.0f}, and no more than {b:.0f}")

    def connections(self):
        self.is_equal("connections accepted; closed and open", self["connections_accepted_total"],
                      self["connections_closed_total"] + self["connections_open"])
        self.not_more("connections vanished", self["connections_vanished_total"], self["connections_accepted_total"])

    def requests(self):
        """Each request has one reply, but for those whose client was given up, or gave up; what
        the parser refuses may have had a head that was understood."""
        asked = self["requests_total"] - self.asking
        replies = self["responses_total"] - self.m.any(r'^pasted_responses_total\{.*status="100"')
        self.not_more("requests", asked, replies + self.lost)
        self.not_more("replies", replies, asked + self["requests_bad_total"] + self.lost)
        self.not_more("requests refused", self["refused_total"],
                      self.m.any(r'^pasted_responses_total\{.*status="50[37]"') + self.lost)

    def records(self):
        if 'class="none"' in self.m.text:
            return          # there are no lanes
        acknowledged, appended = self["recorded_requests_total"], self["lane_records_total"]
        self.not_more("records acknowledged", acknowledged, appended)
        self.not_more("requests to record", appended, self.m.any(r'^pasted_requests_total\{.*kind="record"'))
        self.not_more("requests in chunks", self["chunked_requests_total"], appended)
        self.is_equal("bytes of records, as the workers and as the lanes count them", self["recorded_bytes_total"],
                      self["lane_record_bytes_total"])
        self.not_more("commits", self["lane_commits_total"], appended)
        if acknowledged and not self["lane_commits_total"]:
            self.wrong.append(f"{acknowledged:.0f} records were acknowledged without a commit")
        for lane in re.findall(r'^pasted_lane_durable_sequence(\{.*\})', self.m.text, re.M):
            of = {k: self.m.rows[f"pasted_lane_{k}{lane}"] for k in
                  ("durable_sequence", "settled_sequence", "oldest_sequence", "records_total", "failed_errno")}
            self.not_more(f"number settled, lane {lane}", of["settled_sequence"], of["durable_sequence"])
            # A lane that has failed had taken some, and acknowledges none of them; what a write
            # found no room for was taken too, and refused, if its client was still there.
            if not of["failed_errno"]:
                found_no_room = self.m.any(r'^pasted_refused_total\{.*reason="nospace"')
                self.not_more(f"number of records, lane {lane}", of["records_total"],
                              of["durable_sequence"] + found_no_room + (self.lost if found_no_room else 0))

    def latency(self):
        n = self["durable_latency_seconds_count"]
        buckets = [self.m.rows[k] for k in self.m.rows if k.startswith("pasted_durable_latency_seconds_bucket")]
        self.is_equal("latencies and records acknowledged", n, self["recorded_requests_total"])
        self.is_equal("latencies and the last bucket", n, buckets[-1])
        if buckets != sorted(buckets):
            self.wrong.append("a bucket has more than a larger one")
        if n and not 0 < self["durable_latency_seconds_sum"] / n < 3600:
            self.wrong.append(f"{n:.0f} latencies are {self['durable_latency_seconds_sum']} s")

    def ring(self):
        came = self["ring_received_bytes_total"]
        self.not_more("bytes of records", self["recorded_bytes_total"], came)
        if 'ring="paste"' not in self.m.text:     # there the module counts, all that comes
            self.is_equal("bytes copied; received", self["ring_copied_bytes_total"], came)
        self.not_more("pieces received", self["ring_data_total"], came)
        self.not_more("sends", self["ring_sends_total"], self["ring_sent_bytes_total"])
        self.not_more("turns with work", self["batches_total"], self["ring_waits_total"])

    def pool(self):
        self.not_more("buffers free or the kernel's", self["pool_buffers_free"] + self["pool_buffers_kernel"],
                      self["pool_buffers"])


    def at_rest(self, now, before):
        self.not_more("connections besides this one", self["connections_open"] - 1, 0)
        self.not_more("sockets", now, before)
        if 'ring="paste"' in self.m.text:       # the module has some in connections of its own
            return
        if 'class="none"' in self.m.text or (self["lane_durable_sequence"] == self["lane_settled_sequence"] and
                                             not self["lane_failed_errno"]):
            self.not_more("buffers that are held", self["pool_buffers"] - self["pool_buffers_free"] -
                          self["pool_buffers_kernel"], 1)


def balance(read, seconds, sockets=None, **k):
    """Until the books of a reading balance; what is wrong with the last one.  sockets: how many
    there are, asked each time, and how many there were."""
    end = time.monotonic() + seconds
    while True:
        m = read()
        wrong = Books(m, sockets=sockets and (sockets[0](), sockets[1]), **k).wrong
        if not wrong or time.monotonic() > end:
            return wrong
        time.sleep(0.02)
