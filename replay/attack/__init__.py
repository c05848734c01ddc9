"""Adversarial cases: what an attacker could say to a candidate, tried in the replay sandbox, judged without a model.

| Step | Module |
|---|---|
| The lists of risks, their cells, and what is kept of each | `replay.risks` |
| What an attack is, and what proposes attacks | `model` |
| The recorded turns that attacks are laid into | `hosts` |
| The built-in attacker: families of texts, and mutations of what failed | `templates`, `mutations` |
| An attacker that is a model, what it may be told, and what it wrote | `llm`, `words`, `notebook` |
| Where the words go: the message, a document, a tool's result, the memory | `substitute` |
| One attack on one version; who runs it, how fast and for how much; where it is judged | `bouts`, `crew`, `arena` |
| Whether it worked | `oracles` |
| The search: reproducing, shrinking, leaving out what is alike | `campaign`, `shrink`, `alike` |
| A campaign as a value, from its plan to its records, and going on with one | `settings`, `running`, `keeping` |
| Making a regression case of a finding | `folding` |
"""
