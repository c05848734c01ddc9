"""The locks of a replay worker: nothing that an agent does in a replay reaches the world.

| Lock | Module |
|---|---|
| A tool's declared effect; undeclared means `write` | `intercept` |
| Interception below the decorator: the body is never entered | `intercept` |
| The process-wide switch, and the audit hook over sockets, processes and files | `state`, `guard` |
| A process that starts without credentials | `environment` |
| The kernel's own rules, where it has them (Linux) | `kernel` |

Each is meant to be enough alone. What one of them refused is remembered, and makes the case `invalid` even when
the agent swallowed the refusal.
"""
