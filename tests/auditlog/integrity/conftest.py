"""A small sealed store, and the attacker who tampers with copies of it."""

import hashlib
import shutil

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from auditlog.integrity.verify import verify
from auditlog.layout import Layout
from auditlog.ledger import keys
from auditlog.ledger.entries import frame_at, frame_of
from auditlog.ledger.ledger import append_entry
from auditlog.ledger.merkle import Tree
from auditlog.ledger.merkle import leaf_hash as entry_hash
from auditlog.ledger.note import Checkpoint, Signer, parse_checkpoint
from auditlog.record import LEAF_BYTES, leaf_hash
from auditlog.sealing import rows
from auditlog.sealing.packing import packed
from auditlog.sealing.segment import read_segment
from auditlog.store import Store


class Attacker:
    """Can write every file of a store, and knows its formats; holds the signing key only where a test gives it."""

    def __init__(self, path):
        self.path = path
        self.layout = Layout(path)

    def verify(self, **options):
        """Verify what the attacker has left; in this process."""
        return verify(self.layout, jobs=1, **options)

    def checkpoint(self):
        """Give the checkpoint that stands there."""
        return parse_checkpoint(keys.checkpoint_path(self.layout).read_bytes())

    def key(self):
        """Give the store's real signing key."""
        return keys.signer_of(self.layout)

    def entries(self):
        """Give the bytes of every entry."""
        data, found = self.layout.entries.read_bytes(), []
        while (frame := frame_at(data, sum(20 + len(payload) for payload in found), len(found))) is not None:
            found.append(frame.payload)
        return found

    def write_entries(self, payloads, signer=None):
        """Write entries, with the frames and checksums that they need, and sign their head where a key is given."""
        frames = (frame_of(number, payload) for number, payload in enumerate(payloads))
        self.layout.entries.write_bytes(b"".join(frames))
        if signer is not None:
            root = Tree([entry_hash(payload) for payload in payloads]).root()
            head = Checkpoint(signer.key.name, len(payloads), root).signed(signer)
            keys.checkpoint_path(self.layout).write_text(head.note())

    def change_entry(self, number, change, signer=None):
        """Change what an entry says."""
        payloads = self.entries()
        entry = orjson.loads(payloads[number])
        change(entry)
        payloads[number] = orjson.dumps(entry)
        self.write_entries(payloads, signer)

    def segments(self):
        """Give the paths of the sealed files."""
        return sorted(self.layout.segments.rglob("*.parquet"))

    def rewrite(self, path, change, *, honest_leaves=True):
        """Change a sealed file's rows, as a table; give what the ledger should say of it now."""
        table = change(read_segment(path))
        if honest_leaves:
            made = [leaf_hash(text) for text in rows.leaves(table)]
            index = table.schema.get_field_index("leaf")
            column = pa.array([leaf[:LEAF_BYTES] for leaf in made], pa.binary())
            table = table.set_column(index, table.schema.field(index), column)
        pq.write_table(packed(table), path, compression="zstd", write_page_checksum=True)
        data = path.read_bytes()
        return {
            "rows": table.num_rows,
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "root": Tree([leaf_hash(text) for text in rows.leaves(table)]).root().hex(),
        }

    def own_key(self):
        """Make a key of the attacker's own, under the ledger's name, and put it into `store.toml`."""
        name = self.checkpoint().origin
        signer = Signer.of(name, Ed25519PrivateKey.from_private_bytes(b"a" * 32))
        text = self.layout.settings.read_text().splitlines()
        text = [f'public_key = "{signer.key}"' if t.startswith("public_key") else t for t in text]
        self.layout.settings.write_text("\n".join(text) + "\n")
        return signer


def copied(attacker, path):
    """Give another attacker with a copy of the store."""
    shutil.copytree(attacker.path, path)
    return Attacker(path)


@pytest.fixture(scope="session")
def built(tmp_path_factory, script_for):
    """Give a sealed store with three files and an access record; nobody changes it."""
    path = tmp_path_factory.mktemp("integrity") / "audit"
    with Store.create(path) as store:
        for number in range(3):
            writer = store.writer()
            script_for(writer).turn(f"case-{number}", user=f"question {number}", answer=f"answer {number}")
            writer.close()
            store.seal()
        append_entry(store._layout, {"type": "access", "who": "somebody", "action": "show"})
    return Attacker(path)


@pytest.fixture
def attacker(built, tmp_path):
    """Give an attacker with a copy of the small store."""
    return copied(built, tmp_path / "attacked")


@pytest.fixture
def outcome_of():
    """Give a function that says in short what verifying found."""

    def told(report):
        return report.outcome.value, sorted({fault.path for fault in report.faults})

    return told


@pytest.fixture
def tweaked():
    """Give a function that changes one character of a table's column of bytes."""

    def change(table, name, row=0):
        index = table.schema.get_field_index(name)
        values = table.column(name).to_pylist()
        values[row] = values[row].replace(b"question", b"quesTion")
        return table.set_column(index, table.schema.field(index), pa.array(values, pa.binary()))

    return change
