"""The differences that are meant: a row each, as narrow as its reason, with the section of doc/differences.md that
tells users about it. What no row explains is a failure.

    look.py        what a rule may look at
    rule.py        the table; how to write a row
    errors.py      the reference answers 500; which error comes first
    judging.py     JSON Schema
    values.py      numbers, text, times, ids, bodies
    lists.py       filters and pages
    history.py     the history and its snapshots
    access.py      permissions, what a user may see, CORS
    accounts.py    kinto.plugins.accounts
    protocol.py    URLs, headers, batches, the default bucket, descriptions of oneself

A row's `match` sees one difference (where, the reference's value, ours) and a Look at everything around it. Where the
reference answers 500, ours must answer something below 500; each cause of such an answer has a row of its own. The first
row that matches gets the difference.
"""

from .look import Difference, Look, patches
from .rule import RULES
from . import errors, judging, values, lists, access, accounts, protocol, history
from .protocol import late_effects
