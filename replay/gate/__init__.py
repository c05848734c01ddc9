"""The gate: a policy, a run and the store in; PASS, FAIL or INCONCLUSIVE out, with the figures behind it.

What it says is evidence for a release, and no more than that: what was not run, not scored or not recorded is named, and never
counted in the candidate's favour.
"""
