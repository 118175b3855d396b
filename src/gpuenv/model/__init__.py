"""The nouns of gpuenv: frozen values, to and from one JSON. `docs/glossary.md` says what each word means.

Nothing here reads a file, asks a driver or decides anything. Sizes are bytes. A value that nobody could find out
is None (or the state `unknown`), which is never the same as knowing that it is absent.
"""

from gpuenv.model import artifact, audit, building, catalog, documents, environment, lock, machine

# isort: split
from gpuenv.model import needs, nouns, plan, telling, wheel_package
from gpuenv.model.artifact import *
from gpuenv.model.audit import *
from gpuenv.model.building import *
from gpuenv.model.catalog import *
from gpuenv.model.documents import *
from gpuenv.model.environment import *
from gpuenv.model.lock import *
from gpuenv.model.machine import *
from gpuenv.model.needs import *
from gpuenv.model.nouns import *
from gpuenv.model.plan import *
from gpuenv.model.telling import *
from gpuenv.model.wheel_package import *

__all__ = []
__all__ += artifact.__all__
__all__ += audit.__all__
__all__ += building.__all__
__all__ += catalog.__all__
__all__ += documents.__all__
__all__ += environment.__all__
__all__ += lock.__all__
__all__ += machine.__all__
__all__ += needs.__all__
__all__ += nouns.__all__
__all__ += plan.__all__
__all__ += telling.__all__
__all__ += wheel_package.__all__
