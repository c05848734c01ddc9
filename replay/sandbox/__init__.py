"""The locks of a replay worker: nothing that an agent does in a replay reaches the world.

| Lock | Module |
|---|---|
| A tool's declared effect; undeclared means `write` | `intercept` |
| Interception below the decorator: the body is never entered | `intercept` |
| The process-wide switch, and the audit hook over sockets, processes and files | `state`, `guard`, `rules` |
| What the hook is not told, or not enough | `side_doors`, `threads` |
| A process that starts without credentials, and is put back after each case | `environment`, `surroundings`, `settings` |
| The kernel's own rules, where it has them (Linux) | `kernel`, `seccomp` |

`locking` takes them in their order. What a run serves and what it lets happen all the same is `modes`; `fork` and `simulate`
are two of these.

Each is meant to be enough alone. What one of them refused is remembered, and makes the case `invalid` even when
the agent swallowed the refusal.
"""
