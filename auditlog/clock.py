"""The clock that records are stamped with: the machine's own, whatever time a replay shows to the agent.

Called as `clock.time_ns()`, so that the one process that changes the agent's clock can keep ours.
"""

from __future__ import annotations

import time

time_ns = time.time_ns
