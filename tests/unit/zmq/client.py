"""A client of a carrel broker, written from backends/zmq/PROTOCOL.md alone."""
import io
import struct
import uuid

import zmq

HELLO, ENQUEUE, TAKE, BEAT, FINISH, AWAIT, JOB = 1, 10, 11, 13, 14, 20, 21
REFUSED, ERROR = 254, 255
SECOND = 1_000_000


def pack(layout, *values):
    """The fields of a row: a letter each, t for a text, any other as struct has it."""
    fields = []
    for letter, value in zip(layout, values, strict=True):
        if letter == "t":
            data = value.encode() if isinstance(value, str) else value
            fields.append(struct.pack("<I", len(data)) + data)
        else:
            fields.append(struct.pack("<" + letter, value))
    return b"".join(fields)


def listing(rows):
    return struct.pack("<I", len(rows)) + b"".join(rows)


class Reader(io.BytesIO):
    def field(self, letter):
        if letter == "t":
            return self.read(self.field("I"))
        return struct.unpack("<" + letter, self.read(struct.calcsize("<" + letter)))[0]

    def row(self, layout, names):
        return dict(zip(names.split(), [self.field(letter) for letter in layout], strict=True))

    def list(self, item):
        return [item() for _ in range(self.field("I"))]

    def result(self, item):
        return item() if self.field("?") else self.error()

    def error(self):
        return RuntimeError(*self.row("Bttiq", "code message origin native retry_in").values())

    def ticket(self):
        return self.row("Qtth", "id queue kind priority")

    def inserted(self):
        return self.row("Q??", "id existed replaced") | {"ticket": self.ticket() if self.field("?") else None}

    def claimed(self):
        return self.row("QQttttqhHHH", "id fence queue kind payload checkpoint timeout priority "
                                       "attempt max_attempts crashes")

    def finished(self):
        return self.row("BB", "kind state") | {"freed": self.list(self.ticket)}


class Client:
    def __init__(self, endpoint):
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.linger, self.socket.rcvtimeo = 0, 20_000
        self.socket.connect(endpoint)
        self.id = self.received = 0
        welcome = self.ask(HELLO, pack("ttqQ", uuid.uuid4().hex, "client.py", 10 * SECOND, 1 << 20))
        self.broker = welcome.row("tB?", "name role hosts_store")

    def ask(self, kind, body, version=4):
        self.id += 1
        self.socket.send(b"CRL" + struct.pack("<BB3xQQ", version, kind, self.id, self.received) + body)
        frame = self.socket.recv()
        answer, request = struct.unpack_from("<B3xQ", frame, 4)
        self.received += answer != REFUSED
        if answer in (REFUSED, ERROR):
            raise Reader(frame[24:]).error()
        assert (answer, request) == (kind + 128, self.id), (answer, request)
        return Reader(frame[24:])

    def enqueue(self, jobs):
        rows = [pack("ttttqqqhH???", "default", *job, 0, 0, 0, 0, 25, False, False, False) for job in jobs]
        r = self.ask(ENQUEUE, listing(rows) + pack("q", 5 * SECOND))
        return r.list(lambda: r.result(r.inserted))

    def take(self, kinds, most, worker, number, wait=0):
        demand = pack("I", 0) + listing([pack("t", kind) for kind in kinds])  # of every queue
        r = self.ask(TAKE, demand + pack("I?ItQqq", most, False, 0, worker, number, 30 * SECOND, wait))
        jobs = r.list(r.claimed)
        r.field("q")  # waited
        return jobs

    def beat(self, worker, settled, jobs):
        rows = [pack("QQ?ft?t", job["id"], job["fence"], True, 0.5, "half", False, "line\n") for job in jobs]
        r = self.ask(BEAT, pack("tQ", worker, settled) + listing(rows) + pack("?q", True, 30 * SECOND))
        return r.list(lambda: r.field("B"))

    def complete(self, jobs):
        rows = [pack("QQBq?t???t", job["id"], job["fence"], 0, 0, False, job["payload"], False, False, False, "")
                for job in jobs]
        r = self.ask(FINISH, listing(rows))
        return r.list(lambda: r.result(r.finished))
