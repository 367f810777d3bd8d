"""Rules about what a statement does, and the verdict on one message.

Rules are ordered by strength, not by place: a refusal beats a hold beats an allowance.  What no
rule speaks of is allowed within the scope of the grant, but for three effects that are refused
unless a rule names them: ``unknown``, ``server_file`` and ``program``.

Where the text, or what is known of the session, leaves a doubt, a refusal takes it as met and an
allowance as not met.

``about``: whom, where and when · ``windows``: hours of the week · ``patterns``: names · ``rules``:
what a statement does · ``scope``: the grant's part · ``deciding``: the verdict, and rules sorted
for one session · ``budgets``: how much an hour · ``impositions``: settings nobody can undo ·
``entries``, ``examples``, ``loading``: rules.toml · ``doubts``: what is not wrong there and still
cannot be meant · ``surroundings``: names in other files · ``explaining``: a verdict, for people.
"""

from hoopcore.policy.about import LOCAL, About, Known
from hoopcore.policy.budgets import (
    Amount,
    Budget,
    Reached,
    Spent,
    ending,
    free_at,
    holding,
    newly_reached,
    passing,
    reached,
)
from hoopcore.policy.deciding import BoundPolicy, Policy, decide
from hoopcore.policy.doubts import Doubt, doubts
from hoopcore.policy.entries import RuleError
from hoopcore.policy.explaining import explain
from hoopcore.policy.facts import ALLOWED, Facts, Verdict
from hoopcore.policy.files import NOTHING_WATCHED, FileRules, Watch
from hoopcore.policy.impositions import Imposition
from hoopcore.policy.loading import BUDGET_KEYS, IMPOSE_KEYS, RESERVED, RULE_KEYS, load
from hoopcore.policy.patterns import ColumnPattern, RelationPattern
from hoopcore.policy.rules import NEEDS_ALLOWANCE, STRENGTHS, Rule
from hoopcore.policy.scope import NARROWED, SCOPE, learnable, outside
from hoopcore.policy.surroundings import Place, Surroundings, surroundings
from hoopcore.policy.windows import Window

__all__ = [
    "ALLOWED",
    "BUDGET_KEYS",
    "IMPOSE_KEYS",
    "LOCAL",
    "NARROWED",
    "NEEDS_ALLOWANCE",
    "NOTHING_WATCHED",
    "RESERVED",
    "RULE_KEYS",
    "SCOPE",
    "STRENGTHS",
    "About",
    "Amount",
    "BoundPolicy",
    "Budget",
    "ColumnPattern",
    "Doubt",
    "Facts",
    "FileRules",
    "Imposition",
    "Known",
    "Place",
    "Policy",
    "Reached",
    "RelationPattern",
    "Rule",
    "RuleError",
    "Spent",
    "Surroundings",
    "Verdict",
    "Watch",
    "Window",
    "decide",
    "doubts",
    "ending",
    "explain",
    "free_at",
    "holding",
    "learnable",
    "load",
    "newly_reached",
    "outside",
    "passing",
    "reached",
    "surroundings",
]
