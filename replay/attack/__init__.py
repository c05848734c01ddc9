"""Adversarial cases: what an attacker could say to a candidate, tried in the replay sandbox, judged without a model.

| Step | Module |
|---|---|
| The lists of risks, their cells, and what is kept of each | `replay.risks` |
| What an attack is, and what proposes attacks | `model` |
| The recorded turns that attacks are laid into | `hosts` |
| The built-in attacker: families of texts, and mutations of what failed | `templates`, `mutations` |
| An attacker that is a model | `llm` |
| Where the words go: the message, a document, a tool's result, the memory | `substitute` |
| Whether it worked | `oracles` |
| Running them, bounded; reproducing, shrinking, keeping | `arena`, `campaign`, `shrink`, `alike`, `keeping` |
| Making a regression case of a finding | `folding` |
"""
