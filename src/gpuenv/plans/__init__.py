"""From a request to a plan, or to the reasons why there is none: rattler for the GPU layer, `uv` for the rest."""

from gpuenv.plans.make import make_plan

__all__ = ["make_plan"]
