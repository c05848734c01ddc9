"""What of a replay is held still, and what is not: time, randomness, ids, models' answers.

| What the agent asks | What it gets | Module |
|---|---|---|
| `auditlog.now()`, `rng()`, `uuid4()` | what was recorded, by the way to the span and the counter | `recorded_values` |
| `random`, numpy, `uuid` | a seed of its own for each recorded turn and repeat, the same in both arms | `seeds` |
| `time`, `datetime` | the recorded turn's time going on, if wished | `clocks` |
| a model, where answers are cached | what it answered to the same request before | `model_cache` |
| anything else | the real thing, and the run says so | `direct_reads`, `not_pinned` |

Nothing here opens a way out of the sandbox: what is given comes with the case, and what is not there ends as it would without.
"""
