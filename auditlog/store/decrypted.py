"""Gives the engine the sealed rows of a store that encrypts, decrypted.

The rules:

1. The engine decrypts nothing: Arrow reads the files, and the engine asks it for columns and rows as it would ask a file.
2. What is decrypted is in memory only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

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
    schema = stored_schema().append(pa.field("segment", pa.string()))
    return ds.FileSystemDataset(fragments, schema, form, files)
