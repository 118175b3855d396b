"""Writes `docs/rules.md` from the table of rules: `python scripts/write_rules_page.py`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from gpuenv.rules import RULES, Rule

PAGE = Path(__file__).parent.parent / "docs" / "rules.md"
HEAD = """\
# Rules

<!-- Made by `python scripts/write_rules_page.py` from the table in src/gpuenv/rules/table.py: do not edit. -->

A rule looks at what a build needs and at what a machine offers, and says `works`, `degraded`, `unknown` or `fails`,
with a reason and its evidence, or nothing where it has no word. The worst verdict counts. `gpuenv info` runs all rules
on the machine as a whole, `gpuenv check` on any package, `gpuenv plan` and `gpuenv create` on every build that could
take part. With `-v` they print what each rule said; `--json` adds the evidence and where it was read. The rules run in
this order.

What counts as code for a GPU has [a page of its own](coverage.md). To write a rule, see [Add a rule](add-a-rule.md).
"""


def rules_page() -> str:
    """The text of the page."""
    return "\n".join([HEAD, *(line for rule in RULES for line in _entry(rule))])


def _entry(rule: Rule) -> Iterator[str]:
    yield f"## {rule.id}"
    yield ""
    yield rule.documentation
    yield ""
    yield f"Source: {rule.source}."
    yield ""


def main() -> int:
    """Writes the page."""
    PAGE.write_text(rules_page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
