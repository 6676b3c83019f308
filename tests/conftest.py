"""What tests share: a clean environment, and replies made in one line."""

import os
from collections.abc import Callable
from typing import Any

import hypothesis
import pytest

from jobfetch.model import Reply

# found examples are the same in every run, and no example is measured in time
hypothesis.settings.register_profile("jobfetch", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("jobfetch")

_OURS = ("JOBFETCH_", "CDF_", "IDP_", "COGNITE_", "EXABASE_", "PLAYMENT_", "JUSTCRAWL_", "EAI_")
_OTHERS = {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "NETRC", "NO_COLOR"}
_AUTHORITIES = {"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"}


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on the settings, secrets and proxies of whoever runs it."""
    for name in list(os.environ):
        if name.upper().startswith(_OURS) or name.upper() in _OTHERS | _AUTHORITIES:
            monkeypatch.delenv(name)


@pytest.fixture
def reply() -> Callable[..., Reply]:
    """A factory of replies: `reply(b'{}', status=404, retry_after="5")`."""

    def make(
        body: bytes = b"{}",
        *,
        status: int = 200,
        url: str = "https://api.example.com/jobs/1?key=SECRET",
        content_type: str | None = "application/json",
        **headers: Any,
    ) -> Reply:
        spelled = {name.replace("_", "-"): str(value) for name, value in headers.items()}
        if content_type is not None:
            spelled["content-type"] = content_type
        return Reply(status, spelled, body, url)

    return make


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI a skipped test is a failure: what was not seen is not true."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter and reporter.stats.get("skipped") and os.environ.get("CI"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
