"""What runs where: every rule is one row of `RULES`, a pure function of `Needs` and `Machine`."""

from gpuenv.rules.report import CudaLineReport, MachineReport, report_machine
from gpuenv.rules.table import RULES, Rule, check

__all__ = ["RULES", "CudaLineReport", "MachineReport", "Rule", "check", "report_machine"]
