"""Statistics of a comparison: intervals, verdicts, sample sizes. Numbers in, numbers out.

The rules:

1. Pure: no file, store, clock or screen, and nothing of ours is imported. The same numbers give the same result, in whatever
   order the cases come.
2. Cheap to import: scipy (the extra `gate`) is imported by the first call that needs it; sample sizes never do.
3. Nonsense is refused with a `ValueError` that names its place: what is not finite, lies outside its range, or is not paired.
4. Little is known from little: no case, one cluster, or no flip at all give wide intervals, and never an interval of width 0.
"""

from __future__ import annotations

from replay.stats.agreement import cohen_kappa, lcs_f1, pass_hat_k
from replay.stats.distributions import StatisticsMissingError
from replay.stats.intervals import (
    bonett_price,
    clustered_interval,
    paired_interval,
    paired_p,
    rate_interval,
)
from replay.stats.permutation import permutation_interval, permutation_p
from replay.stats.proportions import (
    Chi2,
    cases_for_bound,
    clopper_pearson,
    mcnemar_chi2,
    mcnemar_exact,
    rule_of_three,
    wilson,
)
from replay.stats.sequential import Look, SequentialTest
from replay.stats.several import Discoveries, benjamini_hochberg, diffy_filter, holm
from replay.stats.sizes import minimum_detectable_effect, required_n
from replay.stats.values import Interval, differences
from replay.stats.verdict import BothWays, Noninferiority, Scored, Verdict, both_ways, noninferiority

__all__ = [
    # One difference
    "Interval",
    "differences",
    "paired_interval",
    "paired_p",
    "clustered_interval",
    "bonett_price",
    "permutation_interval",
    "permutation_p",
    # A verdict
    "Verdict",
    "Noninferiority",
    "noninferiority",
    "BothWays",
    "Scored",
    "both_ways",
    "SequentialTest",
    "Look",
    # How many cases
    "required_n",
    "minimum_detectable_effect",
    "rule_of_three",
    "cases_for_bound",
    # Rates
    "clopper_pearson",
    "wilson",
    "rate_interval",
    "mcnemar_exact",
    "mcnemar_chi2",
    "Chi2",
    # Many at once
    "benjamini_hochberg",
    "holm",
    "Discoveries",
    "diffy_filter",
    # Agreement
    "cohen_kappa",
    "lcs_f1",
    "pass_hat_k",
    # What may be missing
    "StatisticsMissingError",
]
