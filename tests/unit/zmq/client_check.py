#!/usr/bin/python3
"""client_check.py ENDPOINT   enqueues jobs, runs them as a worker would, and checks what comes back."""
import sys

from client import AWAIT, JOB, SECOND, Client, listing, pack


def code_of(call):
    try:
        call()
    except RuntimeError as e:
        return e.args[0]
    return None


def main(endpoint):
    client = Client(endpoint)
    assert client.broker["hosts_store"] and client.broker["name"] == b"carrel", client.broker
    sent = client.enqueue([("work", '{"n": %d}' % n, "request-%d" % n) for n in range(3)])
    assert [s["existed"] for s in sent] == [False] * 3 and sent[0]["ticket"]["kind"] == b"work", sent
    again = client.enqueue([("work", "{}", "request-1")])[0]
    assert (again["id"], again["existed"]) == (sent[1]["id"], True), again
    jobs = client.take(["work"], 10, "py-1", 1)
    assert [j["payload"] for j in jobs] == [b'{"n": 0}', b'{"n": 1}', b'{"n": 2}'], jobs
    assert client.beat("py-1", 1, jobs) == [0, 0, 0], "alive"
    assert [f["kind"] for f in client.complete(jobs)] == [0, 0, 0]
    assert [f["kind"] for f in client.complete(jobs)] == [1, 1, 1], "the same again is 'already'"
    first, last = sent[0]["id"], sent[2]["id"]
    waited = client.ask(AWAIT, listing([pack("Q", first)]) + pack("q", SECOND))
    assert waited.list(lambda: waited.field("Q")) == [first]
    record = client.ask(JOB, pack("Q", last))
    assert record.row("QB", "id state") == {"id": last, "state": 5}, "completed"
    assert client.take(["work"], 1, "py-1", 2, wait=10_000) == []
    assert code_of(lambda: client.ask(JOB, pack("Q", 999))) == 2, "not_found"
    assert code_of(lambda: client.ask(JOB, b"", version=9)) == 8, "unsupported"
    print("ok")


if __name__ == "__main__":
    main(sys.argv[1])
