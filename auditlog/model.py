raise ImportError("auditlog.model became auditlog.values: `auditlog.model` is the @model decorator. Write `from auditlog.values import …`.")
