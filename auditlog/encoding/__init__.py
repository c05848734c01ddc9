"""Any Python value to JSON text, and what that loses.

`encode` is the way in; `substitution` says what stands for a value that JSON has no word for, `object_fields` reads
strangers' objects without running them, `tabular` knows arrays and tables.
"""
