"""How uv's failures are told apart: what it said becomes an error of ours with the right exit code."""

from __future__ import annotations

import pytest

from gpuenv._process import Completed
from gpuenv.channels.uv import explain_failure, find_uv, run_uv, uv_environ
from gpuenv.errors import GpuenvError, IntegrityError, NoPlanError, ToolError, UnavailableError

UNSATISFIABLE = (
    "error: No solution found when resolving dependencies\n  cause: Because you require numpy<1 and numpy>=2"
)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (UNSATISFIABLE, NoPlanError),
        ("error: Because foo was not found in the package registry and you require foo", NoPlanError),
        ("error: Hash mismatch for `foo==1.0`", IntegrityError),
        ("error: Failed to write\n  cause: No space left on device (os error 28)", UnavailableError),
        ("error: Failed to write\n  cause: Disk quota exceeded (os error 122)", UnavailableError),
        ("error: failed to open file\n  cause: Permission denied (os error 13)", UnavailableError),
        ("error: Failed to fetch: `http://127.0.0.1/simple/foo/`\n  cause: error sending request", UnavailableError),
        ("error: Network connectivity is disabled, but the requested data wasn't found in the cache", UnavailableError),
        (f"{UNSATISFIABLE}\n\nhint: Packages were unavailable because the network was disabled", UnavailableError),
        (f"{UNSATISFIABLE}\n\nhint: An index could not be queried (401 Unauthorized)", UnavailableError),
        (f"{UNSATISFIABLE}\n\nhint: An index URL returned a 403 Forbidden error", UnavailableError),
        ("error: unexpected argument '--nonsense' found", ToolError),
        ("", ToolError),
    ],
)
def test_uvs_words_become_errors_of_ours(said: str, kind: type[GpuenvError]) -> None:
    """An answer is told from what could not be found out, and uv's own lines are kept."""
    error = explain_failure(Completed(status=2, stdout="", stderr=said), "resolving")
    assert type(error) is kind
    assert [line for line in error.reasons if line.strip() != line or not line] == []
    assert "resolving" in error.message or kind is NoPlanError


def test_uv_of_this_installation_runs() -> None:
    """The program is found, and told what makes its answer depend on the request alone."""
    assert find_uv().exists()
    done = run_uv(["--version"])
    assert done.status == 0
    assert done.stdout.startswith("uv 0.")


def test_uv_is_kept_from_the_directory_it_runs_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Configuration files, an active environment and downloads of interpreters do not change a plan; the user's
    indexes do.
    """
    monkeypatch.setenv("VIRTUAL_ENV", "/somewhere")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://index.invalid/simple")
    environ = uv_environ()
    assert environ["UV_NO_CONFIG"] == "1"
    assert environ["UV_PYTHON_DOWNLOADS"] == "never"
    assert environ["UV_DEFAULT_INDEX"] == "https://index.invalid/simple"
    assert "VIRTUAL_ENV" not in environ


def test_certificates_of_other_tools_are_uvs_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network with its own authority told other tools; uv has certificates of its own and would not ask."""
    for name in ("SSL_CERT_FILE", "UV_SYSTEM_CERTS", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    assert "SSL_CERT_FILE" not in uv_environ()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/authority.pem")
    assert uv_environ()["SSL_CERT_FILE"] == "/etc/authority.pem"
    monkeypatch.setenv("SSL_CERT_FILE", "/etc/mine.pem")
    assert uv_environ()["SSL_CERT_FILE"] == "/etc/mine.pem"


def test_variables_of_one_run_come_on_top(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one run needs is added to the user's environment for that run only."""
    monkeypatch.delenv("UV_CACHE_DIR", raising=False)
    done = run_uv(["cache", "dir"], variables={"UV_CACHE_DIR": "/nowhere/at-all"})
    assert done.stdout.strip() == "/nowhere/at-all"
