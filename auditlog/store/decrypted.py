"""Gives the engine the sealed rows of a store that encrypts, decrypted.

The rules:

1. The engine decrypts nothing: Arrow reads the files, and the engine asks it for columns and rows as it would ask a file.
2. What is decrypted is in memory only.
3. Arrow makes what unwraps keys before any of its threads reads: made by two at once, where the engine's thread holds the
   interpreter and Arrow's the lock that makes it, neither would ever go on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from auditlog.errors import StoreError
from auditlog.sealing import content_key

if TYPE_CHECKING:
    import pyarrow.dataset as ds


def sealed_rows(root: str, paths: Sequence[str], secret: bytes) -> ds.Dataset:
    """Give the rows of sealed files as they lie there, and `segment`.

    Args:
        root: the store's path; what follows it is a row's `segment`.
        paths: the files, absolute.
        secret: the content key.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.dataset as ds
    from pyarrow import fs

    from auditlog.sealing.packing import stored_schema

    options = ds.ParquetFragmentScanOptions(decryption_config=content_key.dataset_decryption(secret))
    form = ds.ParquetFileFormat(default_fragment_scan_options=options)
    files = fs.LocalFileSystem()
    fragments = [
        form.make_fragment(path, files, pc.field("segment") == path[len(root) + 1 :]) for path in paths
    ]
    for fragment in fragments:
        # A damaged file is told of by whoever reads it.
        with contextlib.suppress(pa.ArrowException, OSError, StoreError):
            fragment.ensure_complete_metadata()
            break
    schema = stored_schema().append(pa.field("segment", pa.string()))
    return ds.FileSystemDataset(fragments, schema, form, files)
