"""The sample agent: customer support of Marrowby, an invented shop for household goods that last.

    python -m examples.support_bot            chat with it, recorded
    auditlog replay run --agent examples.support_bot:v2 --where "agent:support-bot version:v1"

`v1` is right. `v2` is a plausible improvement with faults that a team would want to catch before customers do;
`planted_faults.toml` says which, and in which turns they show. All people, orders and addresses are invented.
"""

from __future__ import annotations

from .agent_v1 import v1, v1_brief
from .agent_v2 import v2

__all__ = ["v1", "v1_brief", "v2"]
