"""What every service must do. A new one is covered by a folder of samples: replies/<name>/.

`expect.json` holds `settings` (what the samples are asked with), `status_url`, `headers` (what a look carries), `kinds`
(the URL of every kind of job), `good_ids`, `bad_ids`, `words` (every documented state and what it means), `errors`
(every documented refusal and what becomes of it), `not_yet_used` (settings that nothing reads yet, and why they are
there) and `samples`. A sample NAME is the result NAME.json, with NAME.record.json and NAME.rows.ndjson as they must be
stored; `kind` is the kind of its job. Where the result is not the status reply itself, `status` names the file of that
one and `asks` the URL that must be asked for the result, in the look or after it. `links` are its assets, `pointer` the
`url` that is asked for them and the file of the `reply`, `own_links` the addresses in it that may see the credential.
`parts` tells what comes window by window: `name`, `count`, what it `asks`, and where some are `stored`, with their rows
beside them. `views` names the other views of a result, each as it must be stored in NAME.VIEW.ndjson.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from io import BytesIO
from itertools import count
from pathlib import Path
from string import Formatter
from typing import Any

import pytest
from msgspec.structs import replace

from jobfetch import flatten, records
from jobfetch.blocks import Held, blocks
from jobfetch.errors import BadReply, JobfetchError, UsageError
from jobfetch.export import Table, write_table
from jobfetch.model import Document, Format, Purpose, Reply, Request, Send, State, Status, decode, origin
from jobfetch.providers import PROVIDERS
from jobfetch.spec import Address, ClientCredentials, Kind, Login, Provider, RowRules, check_job_id, look

from ..signing import signing

REPLIES = Path(__file__).with_name("replies")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
FOREIGN = [
    "http://{host}/",
    "https://{host}:8443/",
    "https://{host}.evil.test/",
    "https://{host}@evil.test/",
    "https://evil.test/{host}",
    "https://storage.example.net/",
]

each_provider = pytest.mark.parametrize("provider", PROVIDERS.values(), ids=PROVIDERS)


@cache
def expected(name: str) -> dict[str, Any]:
    """What is expected of a provider; nothing where its folder is missing, which a test says."""
    path = REPLIES / name / "expect.json"
    known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return known


def all_of(kind: str) -> list[Any]:
    """Every entry of a kind, over all providers, as parameters of a test."""
    return [
        pytest.param(provider, entry, id=f"{name}-{entry}")
        for name, provider in PROVIDERS.items()
        for entry in expected(name).get(kind, {})
    ]


@dataclass(frozen=True)
class Sample:
    """One job as a service tells of it: the status reply, and the result."""

    provider: Provider
    name: str

    @property
    def told(self) -> dict[str, Any]:
        told: dict[str, Any] = expected(self.provider.name)["samples"][self.name]
        return told

    @property
    def address(self) -> Address:
        return home(self.provider, self.told["job_id"], self.told.get("kind"))

    @property
    def result(self) -> bytes:
        return self.stored(f"{self.name}.json")

    @property
    def looked(self) -> tuple[Status, list[Request]]:
        """What a look finds, and all that it asked: the status first, and the result after it."""
        bodies = iter((self.stored(f"{self.told.get('status', self.name)}.json"), self.result))
        asked: list[Request] = []

        def send(request: Request) -> Reply:
            asked.append(request)
            return json_reply(next(bodies))

        return look(self.provider, send, self.address, lambda: NOW), asked

    @property
    def status(self) -> Status:
        return self.looked[0]

    @property
    def record(self) -> tuple[bytes, bytes]:
        """The record that comes of it, and the one that must come of it."""
        pieces = records.record(self.provider.name, self.told["job_id"], self.status, self.result)
        return b"".join(pieces), self.stored(f"{self.name}.record.json")

    @property
    def table(self) -> tuple[bytes, bytes]:
        """The rows that come of it, and those that must come of it."""
        rows = rows_of(self.provider.rows, self.result, self.told["job_id"], self.provider.name)
        return lines_of(rows), self.stored(f"{self.name}.rows.ndjson")

    def stored(self, name: str) -> bytes:
        return (REPLIES / self.provider.name / name).read_bytes()


SAMPLES = {
    f"{name}-{sample}": Sample(provider, sample)
    for name, provider in PROVIDERS.items()
    for sample in expected(name).get("samples", {})
}
each_sample = pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)


def each_sample_with(key: str) -> pytest.MarkDecorator:
    """Every sample that tells something under this key."""
    those = {name: sample for name, sample in SAMPLES.items() if key in sample.told}
    return pytest.mark.parametrize("sample", those.values(), ids=those)


def home(provider: Provider, job_id: str = "1", kind: str | None = None) -> Address:
    settings = expected(provider.name)["settings"] | ({"kind": kind} if kind else {})
    return Address(base_url=settings["base_url"], params=settings, job_id=job_id)


def json_reply(body: bytes) -> Reply:
    return Reply(200, {"content-type": "application/json"}, body, "https://api.example.com/jobs/1")


def rows_of(rules: RowRules, result: bytes, job_id: str = "1", name: str = "x") -> list[dict[str, bytes]]:
    return list(flatten.compiled(rules)(name, job_id, result))


def lines_of(rows: list[dict[str, bytes]]) -> bytes:
    """Rows as they are stored."""
    file = BytesIO()
    write_table(Table(format=Format.NDJSON), Held(list(blocks(rows))), file)
    return file.getvalue()


# --- the folder ---


def test_every_provider_has_samples() -> None:
    assert {path.parent.name for path in REPLIES.glob("*/expect.json")} == set(PROVIDERS)
    assert all(expected(name)["samples"] for name in PROVIDERS)


@each_provider
def test_every_file_of_the_folder_is_used(provider: Provider) -> None:
    samples = expected(provider.name)["samples"]
    used = {f"{name}{end}" for name in samples for end in (".json", ".record.json", ".rows.ndjson")} | {"expect.json"}
    for name, told in samples.items():
        used |= {f"{told['status']}.json"} if "status" in told else set()
        used |= {f"{told['pointer']['reply']}.json"} if "pointer" in told else set()
        used |= {f"{name}.{view}.ndjson" for view in told.get("views", ())}
        parts = told.get("parts", {}).get("stored")
        used |= {f"{parts}.ndjson", f"{parts}.rows.ndjson"} if parts else set()
    assert {path.name for path in (REPLIES / provider.name).iterdir()} == used


# --- the declaration ---


class Noting(dict[str, str]):
    """Settings that note which of them were looked at."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        super().__init__(settings)
        self.noted: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.noted.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.noted.add(name)
        return super().get(name, default)


def placeholders(provider: Provider) -> set[str]:
    paths = {provider.job.path, *provider.job.kinds.values()}
    return {name for path in paths for _, name, _, _ in Formatter().parse(path) if name}


def used_settings(provider: Provider) -> set[str]:
    noting = Noting(expected(provider.name)["settings"])
    provider.base_url(noting)
    if provider.job.headers:
        provider.job.headers(noting)
    used = placeholders(provider) | ({"kind"} if provider.job.kinds else set())
    for scheme in provider.auth.schemes:
        if isinstance(scheme, ClientCredentials):
            scheme.default_scopes(noting)
            used |= {scheme.client_id, scheme.token_url, scheme.scopes, scheme.audience}
        if isinstance(scheme, Login):
            used |= {scheme.token_url}
    return (used | noting.noted) - {"base_url", "job_id"}


@each_provider
def test_every_placeholder_is_a_setting_or_the_job_id(provider: Provider) -> None:
    known = {param.name for param in provider.settings} | {"job_id"}
    assert "job_id" in placeholders(provider)
    assert placeholders(provider) <= known


@each_provider
def test_every_setting_is_used(provider: Provider) -> None:
    not_yet = set(expected(provider.name)["not_yet_used"])
    assert {param.name for param in provider.settings} - used_settings(provider) == not_yet


@each_provider
def test_the_schemes_sign_with_the_declared_secrets(provider: Provider) -> None:
    declared = [param.name for param in provider.auth.secrets]
    used: list[str] = []
    for scheme in provider.auth.schemes:
        used += [scheme.username, scheme.secret] if isinstance(scheme, Login) else [scheme.secret]
    assert used == declared


@each_provider
def test_every_kind_of_job_can_be_chosen_and_the_first_is_the_usual_one(provider: Provider) -> None:
    choices = next((param.choices for param in provider.settings if param.name == "kind"), ())
    assert list(choices) == list(provider.job.kinds) == list(expected(provider.name).get("kinds", {}))
    assert not choices or provider.job.kinds[choices[0]] == provider.job.path


@each_provider
def test_no_name_is_used_twice(provider: Provider) -> None:
    names = ["base_url", "profile", *(param.name for param in (*provider.settings, *provider.auth.secrets))]
    variables = [name for param in (*provider.settings, *provider.auth.secrets) for name in param.env]
    assert len(names) == len(set(names))
    assert len(variables) == len(set(variables))


@each_provider
def test_every_name_can_be_an_option_a_variable_and_a_key(provider: Provider) -> None:
    names = [provider.name, *(param.name for param in (*provider.settings, *provider.auth.secrets))]
    assert [name for name in names if not name.isidentifier() or name != name.lower()] == []


@each_provider
def test_every_setting_and_secret_is_explained(provider: Provider) -> None:
    assert all(param.help for param in (*provider.settings, *provider.auth.secrets))
    assert provider.title
    assert provider.docs.startswith("https://")


@each_provider
def test_what_is_left_out_of_rows_says_why(provider: Provider) -> None:
    assert all(provider.rows.left_out.values())


@each_provider
def test_a_way_through_every_member_keeps_the_members_name(provider: Provider) -> None:
    for rule in provider.rows.kinds:
        if any("*" in path for path in rule.each):
            assert rule.kind is None or rule.member


# --- asking ---


def asked_at(provider: Provider, kind: str | None = None, word: str | None = None) -> list[Request]:
    """All that one look asks about the job of `status_url`, which is still running unless a word says otherwise."""
    known = expected(provider.name)
    asked: list[Request] = []

    def send(request: Request) -> Reply:
        asked.append(request)
        return json_reply(with_word(provider, word or "still at it"))

    look(provider, send, home(provider, known["status_url"].rpartition("/")[2], kind), lambda: NOW)
    return asked


@each_provider
def test_a_look_at_a_running_job_asks_once_at_the_documented_address(provider: Provider) -> None:
    assert [(request.method, request.url, request.purpose) for request in asked_at(provider)] == [
        ("GET", expected(provider.name)["status_url"], Purpose.API)
    ]


@pytest.mark.parametrize(("provider", "word"), all_of("words"))
def test_a_look_at_a_job_in_any_state_asks_the_service_itself(provider: Provider, word: str) -> None:
    first, *more = asked_at(provider, word=word)
    assert first.url == expected(provider.name)["status_url"]
    assert {origin(request.url) for request in more} <= {origin(first.url)}


@pytest.mark.parametrize(("provider", "kind"), all_of("kinds"))
def test_every_kind_of_job_is_asked_for_at_its_own_address(provider: Provider, kind: str) -> None:
    assert [request.url for request in asked_at(provider, kind)] == [expected(provider.name)["kinds"][kind]]


@each_provider
def test_a_look_carries_the_headers_of_the_service(provider: Provider) -> None:
    assert [request.headers for request in asked_at(provider)] == [expected(provider.name).get("headers", {})]


@each_provider
def test_ids_of_the_service_are_accepted_and_others_are_not(provider: Provider) -> None:
    for job_id in expected(provider.name)["good_ids"]:
        assert check_job_id(provider, job_id) == job_id
    for job_id in expected(provider.name)["bad_ids"]:
        with pytest.raises(UsageError):
            check_job_id(provider, job_id)


# --- states ---


def with_word(provider: Provider, word: str) -> bytes:
    """The smallest status reply that says this word."""
    told: Any = word
    for key in reversed(provider.job.words.path.split(".")):
        told = {key: told}
    return json.dumps(told).encode()


@pytest.mark.parametrize(("provider", "word"), all_of("words"))
def test_every_documented_word_has_its_state(provider: Provider, word: str) -> None:
    state, said = provider.job.words.read(json_reply(with_word(provider, word)))
    assert (state, said) == (expected(provider.name)["words"][word], word)
    assert provider.job.words.knows(word)


@each_provider
def test_no_word_is_known_that_nobody_documented(provider: Provider) -> None:
    assert set(provider.job.words.states) == set(expected(provider.name)["words"])


@each_provider
def test_some_word_means_success(provider: Provider) -> None:
    assert State.SUCCEEDED in provider.job.words.states.values()


@each_provider
@pytest.mark.parametrize("word", ["brand_new", "COMPLETED?", "success-ish", "0"])
def test_an_undocumented_word_is_running_with_a_warning(provider: Provider, word: str) -> None:
    status = look(provider, lambda _: json_reply(with_word(provider, word)), home(provider), lambda: NOW)
    assert status.state is State.RUNNING
    assert len(status.warnings) == 1


@each_provider
@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"data": {}}', b'{"data": null}', b'{"error": null}'])
def test_a_reply_without_a_state_is_a_bad_reply(provider: Provider, body: bytes) -> None:
    with pytest.raises(BadReply):
        look(provider, lambda _: json_reply(body), home(provider), lambda: NOW)


@each_provider
def test_a_web_page_is_never_a_status(provider: Provider) -> None:
    page = Reply(200, {"content-type": "text/html"}, b"<html></html>", "https://api.example.com/")
    with pytest.raises(BadReply):
        look(provider, lambda _: page, home(provider), lambda: NOW)


# --- refusals ---


@pytest.mark.parametrize(("provider", "name"), all_of("errors"))
def test_every_documented_refusal_is_understood(provider: Provider, name: str) -> None:
    told = expected(provider.name)["errors"][name]
    body = told["body"]
    sent = b"" if body is None else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    refusal = Reply(told["status"], told["headers"], sent, "https://api.example.com/jobs/1?key=SECRET")
    with pytest.raises(JobfetchError) as caught:
        look(provider, lambda _: refusal, home(provider), lambda: NOW)
    error = caught.value
    assert (int(error.exit), error.code, error.request_id) == (told["exit"], told["code"], told["request_id"])
    assert told["message"] in error.message
    assert "SECRET" not in error.message
    trouble = provider.errors.read(refusal)
    assert trouble
    assert (trouble.kind is Kind.RETRY) == told["tried_again"]


# --- samples ---


@each_sample
def test_a_sample_has_its_state(sample: Sample) -> None:
    assert sample.status.state == sample.told["state"]
    assert sample.status.warnings == ()


@each_sample
def test_a_sample_gives_the_stored_record(sample: Sample) -> None:
    made, stored = sample.record
    assert made == stored


@each_sample
def test_a_sample_gives_the_stored_rows(sample: Sample) -> None:
    made, stored = sample.table
    assert made == stored


@each_sample
def test_a_result_is_asked_for_where_it_is(sample: Sample) -> None:
    status, asked = sample.looked
    wanted = [*asked[1:], *([status.result] if status.result else [])]
    assert [request.url for request in wanted] == ([sample.told["asks"]] if "asks" in sample.told else [])
    assert all(origin(request.url) == origin(sample.address.base_url) for request in wanted)
    assert status.result is None or status.result.purpose is Purpose.RESULT


def pointed(sample: Sample, asked: list[Request]) -> Send:
    """Answers the one request that links may need."""

    def send(request: Request) -> Reply:
        asked.append(request)
        return json_reply(sample.stored(f"{sample.told['pointer']['reply']}.json"))

    return send


def links_of(sample: Sample, asked: list[Request]) -> dict[str, Request]:
    find = sample.provider.job.assets
    if not find or sample.told["state"] not in {State.SUCCEEDED, State.PARTIAL}:
        return {}
    found = find(pointed(sample, asked), sample.address, sample.result)
    return {asset.path: asset.request for asset in found}


@each_sample
def test_linked_files_are_found_and_asked_for_where_they_are(sample: Sample) -> None:
    asked: list[Request] = []
    found = links_of(sample, asked)
    assert {path: request.url for path, request in found.items()} == sample.told.get("links", {})
    assert all(request.purpose is Purpose.RESULT for request in found.values())
    assert [request.url for request in asked] == ([sample.told["pointer"]["url"]] if "pointer" in sample.told else [])


@each_sample_with("links")
def test_the_headers_of_the_service_go_to_the_service_alone(sample: Sample) -> None:
    carried = {request.url: dict(request.headers) for request in links_of(sample, []).values()}
    own = {url for url in carried if origin(url) == origin(sample.address.base_url)}
    assert [url for url, headers in carried.items() if headers and url not in own] == []


@each_sample
def test_what_comes_window_by_window_is_asked_for_where_it_is(sample: Sample) -> None:
    find = sample.provider.job.parts
    parts = find(sample.address, Document(sample.result)) if find else None
    told = sample.told.get("parts", {})
    assert bool(parts) == bool(told)
    if parts:
        asked = list(parts.requests)
        assert (parts.name, parts.count, [request.url for request in asked]) == (
            told["name"],
            told["count"],
            told["asks"],
        )
        assert {request.purpose for request in asked} == {Purpose.RESULT}


@each_sample_with("parts")
def test_windows_give_the_stored_rows(sample: Sample) -> None:
    told, rules = sample.told["parts"], sample.provider.rows
    if "stored" in told:
        stored = sample.stored(f"{told['stored']}.ndjson").splitlines()
        rows = list(flatten.part_rows(rules, sample.provider.name, sample.told["job_id"], stored))
        assert lines_of(rows) == sample.stored(f"{told['stored']}.rows.ndjson")
        assert [dropped(part, [row], rules) for part, row in zip(stored, rows, strict=True)] == [[]] * len(stored)


@each_sample_with("views")
def test_another_view_gives_the_stored_rows(sample: Sample) -> None:
    for name in sample.told["views"]:
        job_id = sample.told["job_id"]
        rows = list(flatten.view(sample.provider.rows, name, sample.provider.name, job_id, sample.result))
        assert lines_of(rows) == sample.stored(f"{sample.name}.{name}.ndjson")


@each_provider
def test_every_other_view_has_a_sample(provider: Provider) -> None:
    samples = expected(provider.name)["samples"].values()
    assert {view for told in samples for view in told.get("views", ())} == set(provider.rows.named)


@each_provider
def test_every_column_that_a_rule_names_is_filled_by_some_sample(provider: Provider) -> None:
    samples = [sample for sample in SAMPLES.values() if sample.provider is provider]
    rules = [*provider.rows.kinds, *([provider.rows.parts] if provider.rows.parts else [])]
    rows = [row for sample in samples for row in rows_of(provider.rows, sample.result)]
    for sample in samples:
        if stored := sample.told.get("parts", {}).get("stored"):
            rows += flatten.part_rows(provider.rows, "x", "1", sample.stored(f"{stored}.ndjson").splitlines())
    for rule in rules:
        kinds = [row for row in rows if rule.kind is None or "kind" in rule.columns or decode(row["kind"]) == rule.kind]
        filled = {column for row in kinds for column, cell in row.items() if cell != b"null"}
        assert {*rule.columns, *rule.copies} - filled == set()


# --- nothing is dropped ---


def read(text: str | bytes) -> Any:
    """JSON with every number as the text that was sent."""
    return json.loads(text, parse_int=str, parse_float=str, parse_constant=str)


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf with its dotted path; places in a list are no part of a path, and null is no leaf."""
    if isinstance(value, dict):
        for key, member in value.items():
            yield from leaves(member, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for element in value:
            yield from leaves(element, path)
    elif value is not None:
        yield path, value


def marked(value: Any, numbers: Iterator[int]) -> Any:
    """The same shape with a different text or number in every leaf but null, so that none can stand in for another."""
    if isinstance(value, dict):
        return {key: marked(member, numbers) for key, member in value.items()}
    if isinstance(value, list):
        return [marked(element, numbers) for element in value]
    if isinstance(value, str):
        return f"leaf-{next(numbers)}"
    return value if value is None else next(numbers)


def dropped(body: bytes, rows: list[dict[str, bytes]], rules: RowRules) -> list[str]:
    """The paths of all leaves that no cell holds and nobody said would be left out."""
    kept = {leaf for row in rows for cell in row.values() for _, leaf in leaves(read(cell))}
    return [
        path
        for path, leaf in leaves(read(body))
        if leaf not in kept and not any(is_under(path, out, rules) for out in rules.left_out)
    ]


def is_under(path: str, out: str, rules: RowRules) -> bool:
    """Whether a leaf stands under a name that is left out; what lies on the way to rows has its name without the top."""
    return any(f"{name}.".startswith(f"{out}.") for name in (path, f"{rules.top}.{path}"))


@each_sample
def test_every_leaf_of_a_sample_is_in_a_cell_or_said_to_be_left_out(sample: Sample) -> None:
    rules = sample.provider.rows
    assert dropped(sample.result, rows_of(rules, sample.result), rules) == []


@each_sample
def test_every_leaf_is_there_for_itself(sample: Sample) -> None:
    rules = sample.provider.rows
    body = json.dumps(marked(json.loads(sample.result), count(700_000))).encode()
    assert dropped(body, rows_of(rules, body), rules) == []


@each_sample
def test_a_dropped_column_would_be_noticed(sample: Sample) -> None:
    rules = sample.provider.rows
    body = json.dumps(marked(json.loads(sample.result), count(700_000))).encode()
    sent = {leaf for _, leaf in leaves(read(body))}
    rows = rows_of(rules, body)
    for column in {name for row in rows for name in row}:
        without = [{name: cell for name, cell in row.items() if name != column} for row in rows]
        held = {leaf for row in rows for _, leaf in leaves(read(row.get(column, b"null")))}
        # what is copied into a column stands in its own as well
        elsewhere = {leaf for row in without for cell in row.values() for _, leaf in leaves(read(cell))}
        assert bool(dropped(body, without, rules)) == bool(held & sent - elsewhere), column


@each_sample
def test_a_dropped_row_would_be_noticed(sample: Sample) -> None:
    rules = sample.provider.rows
    body = json.dumps(marked(json.loads(sample.result), count(700_000))).encode()
    rows = rows_of(rules, body)
    for number in range(len(rows)):
        assert dropped(body, rows[:number] + rows[number + 1 :], rules)


@each_sample
def test_a_reason_to_leave_something_out_that_is_gone_would_be_noticed(sample: Sample) -> None:
    rules = sample.provider.rows
    body = json.dumps(marked(json.loads(sample.result), count(700_000))).encode()
    rows = rows_of(rules, body)
    there = [path for path, _ in leaves(read(body))]
    for out in rules.left_out:
        fewer = {name: why for name, why in rules.left_out.items() if name != out}
        lost = dropped(body, rows, replace(rules, left_out=fewer))
        assert bool(lost) == any(is_under(path, out, rules) for path in there)


# --- credentials ---


def signers(provider: Provider) -> Iterator[Any]:
    """One signer for every way to prove who we are."""

    def issue(request: Request) -> Reply:
        if request.json:
            return Reply(200, {"content-type": "text/plain"}, b"SECRET.SECRET.SECRET", request.url)
        return Reply(200, {"content-type": "application/json"}, b'{"access_token": "SECRET"}', request.url)

    settings = expected(provider.name)["settings"]
    for scheme in provider.auth.schemes:
        secrets = {scheme.secret: "SECRET"} | ({scheme.username: "SECRET"} if isinstance(scheme, Login) else {})
        yield signing(provider, settings, secrets, issue)


@each_provider
def test_the_service_itself_sees_the_credential(provider: Provider) -> None:
    url = expected(provider.name)["status_url"]
    assert all("SECRET" in str(sign.headers(url)) for sign in signers(provider))


@each_provider
@pytest.mark.parametrize("shape", FOREIGN)
def test_no_foreign_origin_sees_the_credential(provider: Provider, shape: str) -> None:
    host = origin(expected(provider.name)["settings"]["base_url"])[1]
    assert [sign.headers(shape.format(host=host)) for sign in signers(provider)] == [{}] * len(provider.auth.schemes)


@each_sample
def test_of_the_addresses_in_a_reply_only_the_services_own_see_the_credential(sample: Sample) -> None:
    bodies = [json.loads(sample.result), json.loads(sample.status.reply.body)]
    addresses = {leaf for body in bodies for _, leaf in leaves(body) if str(leaf).startswith("http")}
    for sign in signers(sample.provider):
        assert {address for address in addresses if sign.headers(address)} == set(sample.told.get("own_links", []))


@each_provider
def test_a_request_carries_no_credential_of_its_own(provider: Provider) -> None:
    headers = provider.job.headers(expected(provider.name)["settings"]) if provider.job.headers else {}
    signed: set[str] = set()
    for sign in signers(provider):
        signed |= {name.lower() for name in sign.headers(expected(provider.name)["status_url"])}
    assert signed
    assert signed.isdisjoint(name.lower() for name in headers)
