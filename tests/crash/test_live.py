"""Readers and writers in processes of their own do not disturb each other."""

import subprocess
import sys
import threading
from pathlib import Path

CHILD = Path(__file__).with_name("recorder_child.py")


def test_a_reader_sees_what_another_process_acknowledged(store):
    """While another process records and rotates, each refresh shows at least what was acknowledged before it, once."""
    said = []
    with subprocess.Popen(
        [sys.executable, CHILD, store.path, "3", "100000", "paced"], stdout=subprocess.PIPE
    ) as child:

        def listen():
            assert child.stdout is not None
            said.extend(line.split() for line in child.stdout)

        listener = threading.Thread(target=listen)
        listener.start()
        try:
            seen = 0
            while seen < 3:
                acknowledged = list(said)
                store.refresh()
                rows = store.query("SELECT span_id, end_ns IS NOT NULL AS e FROM all_spans").to_pylist()
                shown = {row["span_id"]: row["e"] for row in rows}
                assert len(shown) == len(rows)
                for kind, _, span in acknowledged:
                    assert shown[span.decode()] or kind == b"start"
                if len(acknowledged) > 100:
                    seen += bool(store.seal().sealed)
        finally:
            child.kill()
            listener.join()
    assert len(store.segments()) > 0
