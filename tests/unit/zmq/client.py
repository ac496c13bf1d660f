#!/usr/bin/python3
"""A client of a carrel broker, written from backends/zmq/PROTOCOL.md alone.

client.py ENDPOINT   enqueues jobs, runs them as a worker would, and checks what comes back.
"""
import struct
import sys
import uuid

import zmq

HELLO, HEARTBEAT, BYE, ABANDON, ENQUEUE, TAKE, BEAT, FINISH, AWAIT, JOB = 1, 2, 3, 4, 10, 11, 13, 14, 20, 21
BUSY, REFUSED, ERROR = 253, 254, 255
SECOND = 1_000_000


def text(value):
    data = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<I", len(data)) + data


def listing(items):
    return struct.pack("<I", len(items)) + b"".join(items)


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def get(self, layout):
        values = struct.unpack_from("<" + layout, self.data, self.at)
        self.at += struct.calcsize("<" + layout)
        return values if len(values) > 1 else values[0]

    def text(self):
        size = self.get("I")
        self.at += size
        return self.data[self.at - size:self.at]

    def list(self, item):
        return [item() for _ in range(self.get("I"))]

    def optional(self, item):
        return item() if self.get("?") else None

    def result(self, item):
        return item() if self.get("?") else self.error()

    def error(self):
        code, message, origin = self.get("B"), self.text(), self.text()
        self.get("iq")
        return RuntimeError(code, message.decode(), origin.decode())

    def ticket(self):
        return {"id": self.get("Q"), "queue": self.text(), "kind": self.text(), "priority": self.get("h")}

    def inserted(self):
        return {"id": self.get("Q"), "existed": self.get("?"), "ticket": self.optional(self.ticket)}

    def claimed(self):
        lease = self.get("QQ")
        queue, kind, payload, checkpoint = self.text(), self.text(), self.text(), self.text()
        timeout, priority, attempt, most, crashes = self.get("qhHHH")
        return {"lease": lease, "kind": kind, "payload": payload, "attempt": attempt}

    def finished(self):
        return {"kind": self.get("B"), "state": self.get("B"), "freed": self.list(self.ticket)}


class Client:
    def __init__(self, endpoint):
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.connect(endpoint)
        self.id = self.received = 0
        r = self.ask(HELLO, text(uuid.uuid4().hex) + text("client.py") + struct.pack("<qQ", 10 * SECOND, 1 << 20))
        self.broker, self.role, self.hosts_store = r.text().decode(), r.get("B"), r.get("?")

    def ask(self, kind, body, version=1):
        self.id += 1
        self.socket.send(b"CRL" + struct.pack("<BB3xQQ", version, kind, self.id, self.received) + body)
        if not self.socket.poll(20_000):
            raise TimeoutError("no answer")
        frame = self.socket.recv()
        answer, request = struct.unpack_from("<B3xQ", frame, 4)
        reader = Reader(frame[24:])
        if answer == REFUSED:
            raise reader.error()
        self.received += 1
        if answer == ERROR:
            raise reader.error()
        assert (answer, request) == (kind + 128, self.id), (answer, request)
        return reader

    def enqueue(self, jobs):
        rows = [text("default") + text(kind) + text(payload) + text(request) + struct.pack("<qqqhH?", 0, 0, 0, 0, 25, False)
                for kind, payload, request in jobs]
        r = self.ask(ENQUEUE, listing(rows) + struct.pack("<q", 5 * SECOND))
        return r.list(lambda: r.result(r.inserted))

    def take(self, kinds, most, worker, number, wait=0):
        body = listing([]) + listing([text(k) for k in kinds]) + struct.pack("<I", most) + text(worker)
        r = self.ask(TAKE, body + struct.pack("<Qqq", number, 30 * SECOND, wait))
        return r.list(r.claimed)

    def beat(self, worker, settled, leases):
        rows = [struct.pack("<QQ", *lease) + b"\1" + struct.pack("<f", 0.5) + text("half") + b"\0" + text("line\n")
                for lease in leases]
        r = self.ask(BEAT, text(worker) + struct.pack("<Q", settled) + listing(rows) + struct.pack("<?q", True, 30 * SECOND))
        return r.list(lambda: r.get("B"))

    def complete(self, results):
        rows = [struct.pack("<QQBq?", *lease, 0, 0, False) + text(result) + b"\0\0\0" + text("") for lease, result in results]
        r = self.ask(FINISH, listing(rows))
        return r.list(lambda: r.result(r.finished))


def main(endpoint):
    client = Client(endpoint)
    assert client.hosts_store and client.broker == "carrel", client.broker
    sent = client.enqueue([("work", '{"n": %d}' % n, "request-%d" % n) for n in range(3)])
    assert [s["existed"] for s in sent] == [False] * 3 and sent[0]["ticket"]["kind"] == b"work"
    again = client.enqueue([("work", "{}", "request-1")])[0]
    assert (again["id"], again["existed"]) == (sent[1]["id"], True), again
    jobs = client.take(["work"], 10, "py-1", 1)
    assert [j["payload"] for j in jobs] == [b'{"n": 0}', b'{"n": 1}', b'{"n": 2}'], jobs
    assert client.beat("py-1", 1, [j["lease"] for j in jobs]) == [0, 0, 0]
    done = [(j["lease"], j["payload"]) for j in jobs]
    assert [f["kind"] for f in client.complete(done)] == [0, 0, 0]
    assert [f["kind"] for f in client.complete(done)] == [1, 1, 1], "the same again is 'already'"
    waited = client.ask(AWAIT, listing([struct.pack("<Q", sent[0]["id"])]) + struct.pack("<q", SECOND))
    assert waited.list(lambda: waited.get("Q")) == [sent[0]["id"]]
    record = client.ask(JOB, struct.pack("<Q", sent[2]["id"]))
    assert record.get("QB") == (sent[2]["id"], 5), "completed"
    assert client.take(["work"], 1, "py-1", 2, wait=10_000) == []
    for call, expected in ((lambda: client.ask(JOB, struct.pack("<Q", 999)), 2), (lambda: client.ask(JOB, b"", version=2), 8)):
        try:
            call()
            raise AssertionError("an error was expected")
        except RuntimeError as e:
            assert e.args[0] == expected, e
    print("ok")


if __name__ == "__main__":
    main(sys.argv[1])
