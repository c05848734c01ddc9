"""Records for ever, and says each record on stdout once it is acknowledged; until somebody kills it.

    recorder_child.py STORE SEED ROTATE_BYTES [fork] [paced]

Each line is `start|end <trace> <span>`. With `fork`, children record too, each into its own file; with `paced`, about a
hundred turns a second.
"""

import os
import random
import sys
import time
from pathlib import Path

from auditlog import layout
from auditlog.journal import JournalWriter
from auditlog.record import encode_record


def main(path, seed, rotate_bytes, *flags):
    """Record turns of random size and nesting."""
    chance = random.Random(seed)
    writer = JournalWriter(layout.ensure(Path(path)).journal, rotate_bytes=rotate_bytes)
    number = 0
    while True:
        number += 1
        if "fork" in flags and number == 5:
            os.fork()
        if "paced" in flags:
            time.sleep(0.01)
        trace = f"{os.getpid():016x}{number:016x}"
        spans = [f"{chance.getrandbits(63):016x}" for _ in range(chance.randint(1, 5))]
        for span in spans:
            entry = {"type": "start", "time": time.time_ns(), "trace": trace, "span": span, "turn": spans[0]}
            entry |= {"kind": "agent" if span == spans[0] else "tool", "name": "n", "conversation": trace}
            if span != spans[0]:
                entry["parent"] = spans[0]
            content = b'"%s"' % (b"x" * chance.randint(1, 4000))
            if writer.append(encode_record(entry, {"input": content}), opens=span):
                acknowledge("start", trace, span)
        for span in reversed(spans):
            if chance.random() < 0.05:
                continue
            entry = {"type": "end", "time": time.time_ns(), "trace": trace, "span": span, "status": "ok"}
            if writer.append(encode_record(entry, {"output": b"[1]"}), closes=span):
                acknowledge("end", trace, span)


def acknowledge(kind, trace, span):
    """Say that a record is in the journal, in one write."""
    os.write(1, f"{kind} {trace} {span}\n".encode())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])
