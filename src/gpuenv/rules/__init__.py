"""What runs where: every rule is one row of `RULES`, a pure function of `Needs` and `Machine`."""

from gpuenv.rules.report import report_machine
from gpuenv.rules.table import RULES, Rule, check

__all__ = ["RULES", "Rule", "check", "report_machine"]
