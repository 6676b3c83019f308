"""A running sandbox, and the plainest client there is to ask it."""

import http.client
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from jobfetch.sandbox import READY_TOKEN, Sandbox


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


Ask = Callable[..., Answer]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(pace=0.05) as running:
        yield running


@pytest.fixture
def ask() -> Ask:
    """Ask for a URL once, following nothing."""

    def ask(url: str, method: str = "GET", body: str | None = None, **headers: str) -> Answer:
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.netloc, timeout=60)
        try:
            spelled = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, url.removeprefix(f"http://{parts.netloc}"), body, spelled)
            reply = connection.getresponse()
            return Answer(reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read())
        finally:
            connection.close()

    return ask


@pytest.fixture
def vision(sandbox: Sandbox, ask: Ask) -> Ask:
    """Look at one of Cognite's jobs."""

    def look(job_id: int | str, token: str = READY_TOKEN) -> Answer:
        url = f"{sandbox.url}/api/v1/projects/sandbox/context/vision/extract/{job_id}"
        return ask(url, authorization=f"Bearer {token}")

    return look


@pytest.fixture
def token(sandbox: Sandbox, ask: Ask) -> Callable[..., Answer]:
    """Ask the identity provider for a token."""

    def grant(kind: str = "token", **changes: str) -> Answer:
        settings = sandbox.environment()
        form = {
            "grant_type": "client_credentials",
            "client_id": settings["JOBFETCH_COGNITE_CLIENT_ID"],
            "client_secret": settings["JOBFETCH_COGNITE_CLIENT_SECRET"],
        }
        body = urlencode(form | changes)
        kind_of_body = {"content_type": "application/x-www-form-urlencoded"}
        return ask(f"{sandbox.url}/oauth2/{kind}", "POST", body, **kind_of_body)

    return grant


@pytest.fixture
def playment(sandbox: Sandbox, ask: Ask) -> Ask:
    """Ask Playment with the right key; a path without a slash is one of the project's."""

    def look(path: str, key: str = "") -> Answer:
        settings = sandbox.environment()
        project = settings["JOBFETCH_PLAYMENT_PROJECT"]
        place = path if path.startswith("/") else f"/v1/projects/{project}/{path}"
        return ask(f"{sandbox.url}{place}", x_api_key=key or settings["JOBFETCH_PLAYMENT_API_KEY"])

    return look


@pytest.fixture
def link(playment: Ask) -> Callable[..., str]:
    """The signed link to a file of a Playment job."""

    def resolve(job_id: str, name: str = "sample-result.json") -> str:
        url = f"https://playment-data-uploads.s3.ap-south-1.amazonaws.com/{job_id}/{name}"
        return playment(f"/v1/attachments?{urlencode({'url': url})}").headers["location"]

    return resolve


@pytest.fixture
def exabase(sandbox: Sandbox, ask: Ask) -> Ask:
    """Ask Exabase with the right key; the path begins after `/v2/extract`."""

    def look(path: str, key: str = "", base: str = "") -> Answer:
        headers = {"x_api_key": key or sandbox.environment()["JOBFETCH_EXABASE_API_KEY"]}
        return ask(f"{sandbox.url}/v2/extract{path}", **headers, **({"x_exabase_base_id": base} if base else {}))

    return look


@pytest.fixture
def crawl(sandbox: Sandbox, ask: Ask) -> Ask:
    """Ask JustCrawl with the right key; the path begins after `/api/v1`."""

    def look(path: str, key: str = "", body: str | None = None) -> Answer:
        bearer = f"Bearer {key or sandbox.environment()['JOBFETCH_JUSTCRAWL_API_KEY']}"
        return ask(f"{sandbox.url}/api/v1{path}", "POST" if body else "GET", body, authorization=bearer)

    return look


@pytest.fixture
def login(sandbox: Sandbox, ask: Ask) -> Callable[..., Answer]:
    """Log in at expert.ai."""

    def grant(kind: str = "token", **changes: str) -> Answer:
        settings = sandbox.environment()
        sent = {"username": settings["JOBFETCH_EXPERTAI_USERNAME"], "password": settings["JOBFETCH_EXPERTAI_PASSWORD"]}
        address = settings["JOBFETCH_EXPERTAI_TOKEN_URL"].removesuffix("token")
        return ask(f"{address}{kind}", "POST", json.dumps(sent | changes), content_type="application/json")

    return grant


@pytest.fixture
def task(sandbox: Sandbox, ask: Ask, login: Ask) -> Ask:
    """Look at one of expert.ai's tasks."""
    usual = login().body.decode()

    def look(task_id: str, token: str = "") -> Answer:
        url = f"{sandbox.environment()['JOBFETCH_EXPERTAI_BASE_URL']}/status/{task_id}"
        return ask(url, authorization=f"Bearer {token or usual}")

    return look
