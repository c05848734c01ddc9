"""The attributes of a span that say how a replay answered the call, or why it could not.

The rules:

1. Written once, where the call is answered; read once, where the diff makes steps of spans.
2. What stands in them came out of a recording or an agent: whoever shows it takes it for foreign text.
"""

from __future__ import annotations

MATCH_RULES = "auditlog.replay.match_rules"
"""The declared rules that a `normalised` answer took, such as `lower /name`."""
REUSED = "auditlog.replay.reused"
"""The same caller was served the same recording before."""
OTHER_CALLER = "auditlog.replay.other_caller"
"""The recorded call was made by another agent, tool or model step."""
OTHER_EPOCH = "auditlog.replay.other_epoch"
"""It was recorded with another number of writes before it."""
MISS_RULE = "auditlog.replay.miss_rule"
"""Why nothing answered: `not recorded`, `arguments differ`, `used up` or `arguments lost`."""
MISS_HINT = "auditlog.replay.miss_hint"
"""Which rule would have served it, or came closest."""
NEAREST = "auditlog.replay.nearest_span_id"
"""The recorded call that came nearest."""
PATCH = "auditlog.replay.difference"
"""From its arguments to those asked for, as an RFC 6902 patch."""
PATCH_SIZE = "auditlog.replay.difference_size"
"""How many operations there would be, where not all of them are kept."""
