"""How replies are read by a provider's rules: refusals, states, hints."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from jobfetch.errors import (
    BadReply,
    ConfigError,
    CredentialsError,
    JobfetchError,
    NotFound,
    NotJson,
    ResultGone,
    Unavailable,
    UsageError,
)
from jobfetch.model import FailedItem, Reply, Request, Send, State, Status
from jobfetch.spec import (
    PLAIN_ERRORS,
    Address,
    Auth,
    ErrorRules,
    HeaderKey,
    JobApi,
    Kind,
    Param,
    Provider,
    RowRules,
    Words,
    check_job_id,
    look,
    needed,
    read_status,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOME = Address(base_url="https://api.example.com", params={"project": "p"}, job_id="7")
RULES = ErrorRules(
    code=("error.code",),
    message=("error.message", "error"),
    request_id=("error.request_id",),
    codes={"busy": Kind.RETRY, "key": Kind.CREDENTIALS},
)
WORDS = Words(path="state", states={"Waiting": State.QUEUED, "Busy": State.RUNNING, "Done": State.SUCCEEDED})
JOB = JobApi(path="/projects/{project}/jobs/{job_id}", words=WORDS)


def provider(**job: Any) -> Provider:
    """A made-up service, with these fields of its job changed."""
    return Provider(
        name="acme",
        title="Acme",
        docs="https://docs.example.com",
        settings=(Param(name="project", help="project", required=True),),
        auth=Auth(secrets=(Param(name="key", help="key"),), schemes=(HeaderKey(secret="key", header="x-key"),)),
        errors=RULES,
        job=replace(JOB, **job),
        rows=RowRules(kinds=()),
        base_url=lambda _: "https://api.example.com",
    )


@pytest.fixture
def status_of(reply: Callable[..., Reply]) -> Callable[..., Status]:
    """Read one body: `status_of(b'{"state": "Done"}', hint="wait")`; `headers` go into the reply."""

    def read(body: bytes, *, headers: dict[str, str] | None = None, states: str | None = None, **job: Any) -> Status:
        address = HOME if states is None else replace(HOME, params={**HOME.params, "states": states})
        return read_status(provider(**job), address, reply(body, **(headers or {})), NOW)

    return read


# --- refusals ---


def test_a_good_reply_is_no_trouble(reply: Callable[..., Reply]) -> None:
    good = reply(b'{"error": {"code": "busy"}}')
    assert RULES.read(good) is None
    assert RULES.check(good) is good


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, CredentialsError),
        (402, CredentialsError),
        (403, CredentialsError),
        (404, NotFound),
        (410, ResultGone),
        (408, Unavailable),
        (425, Unavailable),
        (429, Unavailable),
        (500, Unavailable),
        (503, Unavailable),
        (599, Unavailable),
        (400, BadReply),
        (409, BadReply),
        (418, BadReply),
        (422, BadReply),
        (304, BadReply),
    ],
)
def test_without_a_code_the_http_status_decides(
    reply: Callable[..., Reply], status: int, error: type[JobfetchError]
) -> None:
    with pytest.raises(error):
        RULES.check(reply(status=status))


def test_the_services_own_code_comes_before_the_http_status(reply: Callable[..., Reply]) -> None:
    trouble = RULES.read(reply(b'{"error": {"code": "busy"}}', status=404))
    assert trouble
    assert trouble.kind is Kind.RETRY


def test_the_rule_for_kinds_comes_before_the_services_code(reply: Callable[..., Reply]) -> None:
    rules = replace(RULES, kind=lambda _: Kind.GONE)
    trouble = rules.read(reply(b'{"error": {"code": "busy"}}', status=500))
    assert trouble
    assert trouble.kind is Kind.GONE


def test_a_rule_for_kinds_that_says_nothing_leaves_it_to_the_code(reply: Callable[..., Reply]) -> None:
    rules = replace(RULES, kind=lambda _: None)
    trouble = rules.read(reply(b'{"error": {"code": "key"}}', status=500))
    assert trouble
    assert trouble.kind is Kind.CREDENTIALS


def test_a_good_status_may_be_a_refusal_all_the_same(reply: Callable[..., Reply]) -> None:
    rules = replace(RULES, refused=lambda answer: answer.document.get("ok") is False)
    with pytest.raises(CredentialsError, match="wrong key"):
        rules.check(reply(b'{"ok": false, "error": {"code": "key", "message": "wrong key"}}'))


def test_an_error_says_who_refused_how_and_in_which_words(reply: Callable[..., Reply]) -> None:
    with pytest.raises(BadReply) as caught:
        RULES.check(reply(b'{"error": {"code": "E_7", "message": "no such shape"}}', status=422))
    assert caught.value.message == "https://api.example.com/jobs/1 refused the request (HTTP 422 E_7): no such shape"
    assert caught.value.code == "E_7"


def test_a_code_that_repeats_the_http_status_is_said_once(reply: Callable[..., Reply]) -> None:
    with pytest.raises(NotFound) as caught:
        RULES.check(reply(b'{"error": {"code": 404, "message": "no job"}}', status=404))
    assert "(HTTP 404)" in caught.value.message


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error": "no", "missing": ["a", "b"]}', 'no; missing: ["a","b"]'),
        (b'{"error": "no", "missing": "a"}', "no; missing: a"),
        (b'{"error": {"message": "no", "param": "id"}, "missing": 1}', "no; missing: 1; error.param: id"),
        (b'{"missing": ["a"]}', 'missing: ["a"]'),
        (b'{"error": "no", "missing": null}', "no"),
        (b'{"error": "no", "missing": ""}', "no"),
    ],
)
def test_details_stand_behind_the_message(reply: Callable[..., Reply], body: bytes, said: str) -> None:
    rules = replace(RULES, details=("missing", "error.param"))
    with pytest.raises(BadReply) as caught:
        rules.check(reply(body, status=400))
    assert caught.value.message.endswith(f"(HTTP 400): {said}")


def test_a_refusal_says_when_to_come_back(reply: Callable[..., Reply]) -> None:
    with pytest.raises(Unavailable) as caught:
        RULES.check(reply(status=503, retry_after="5"), NOW)
    assert caught.value.retry_at == NOW + timedelta(seconds=5)


def test_an_error_may_be_plain_text(reply: Callable[..., Reply]) -> None:
    with pytest.raises(BadReply, match="just text"):
        RULES.check(reply(b'{"error": "just text"}', status=400))


def test_the_request_id_of_the_header_comes_before_the_one_of_the_body(reply: Callable[..., Reply]) -> None:
    body = b'{"error": {"request_id": "from-body"}}'
    with pytest.raises(BadReply) as by_header:
        RULES.check(reply(body, status=400, x_request_id="from-header"))
    with pytest.raises(BadReply) as by_body:
        RULES.check(reply(body, status=400))
    assert (by_header.value.request_id, by_body.value.request_id) == ("from-header", "from-body")


def test_an_error_page_of_a_proxy_is_called_one(reply: Callable[..., Reply]) -> None:
    with pytest.raises(Unavailable, match="web page"):
        RULES.check(reply(b"<html>Bad gateway</html>", status=502, content_type="text/html"))


@pytest.mark.parametrize("body", [b"", b"nope", b'"text"', b"[]", b'{"error": null}', b'{"error": [1]}', b"{"])
def test_an_error_body_that_says_nothing_still_gives_the_error(reply: Callable[..., Reply], body: bytes) -> None:
    with pytest.raises(NotFound):
        RULES.check(reply(body, status=404))


def test_the_errors_of_others_are_read_in_the_usual_shapes(reply: Callable[..., Reply]) -> None:
    trouble = PLAIN_ERRORS.read(reply(b'{"error": "invalid_client", "error_description": "who?"}', status=400))
    assert trouble
    assert (trouble.code, trouble.message, trouble.kind) == ("invalid_client", "who?", Kind.REFUSED)


def test_no_error_message_shows_the_query(reply: Callable[..., Reply]) -> None:
    for status in (400, 401, 404, 410, 429, 500):
        trouble = RULES.read(reply(status=status))
        assert trouble
        assert "SECRET" not in trouble.error(tries=5).message


def test_every_refusal_says_what_to_do_next(reply: Callable[..., Reply]) -> None:
    for status in (400, 401, 404, 410, 429, 500):
        trouble = RULES.read(reply(status=status))
        assert trouble
        assert trouble.error().hint


def test_only_trouble_that_may_pass_is_transient(reply: Callable[..., Reply]) -> None:
    answers = {status: RULES.read(reply(status=status)) for status in (400, 401, 404, 410, 429, 500)}
    assert [s for s, trouble in answers.items() if trouble and trouble.error().transient] == [429, 500]


# --- states ---


@pytest.mark.parametrize(
    ("word", "state"), [("Waiting", State.QUEUED), ("BUSY", State.RUNNING), ("done", State.SUCCEEDED)]
)
def test_a_known_word_gives_its_state_whatever_its_case(
    status_of: Callable[..., Status], word: str, state: State
) -> None:
    status = status_of(b'{"state": "' + word.encode() + b'"}')
    assert (status.state, status.provider_state, status.warnings) == (state, word, ())


@pytest.mark.parametrize("word", [b'"starting"', b'"completed!"', b"7", b'{"a": 1}', b"true"])
def test_an_unknown_word_is_running_with_one_warning(status_of: Callable[..., Status], word: bytes) -> None:
    status = status_of(b'{"state": ' + word + b"}")
    assert status.state is State.RUNNING
    assert len(status.warnings) == 1


@pytest.mark.parametrize("body", [b"{}", b'{"state": null}', b'{"state": ""}', b"[]", b'{"status": "Done"}'])
def test_no_word_at_all_is_a_bad_reply(status_of: Callable[..., Status], body: bytes) -> None:
    with pytest.raises(BadReply, match="without `state`"):
        status_of(body)


def test_json_under_a_doubtful_type_is_accepted_with_one_warning(reply: Callable[..., Reply]) -> None:
    status = read_status(provider(), HOME, reply(b'{"state": "Done"}', content_type="text/plain"), NOW)
    assert status.state is State.SUCCEEDED
    assert len(status.warnings) == 1
    assert "SECRET" not in status.warnings[0]


def test_a_job_that_succeeded_without_its_result_is_still_running(status_of: Callable[..., Status]) -> None:
    status = status_of(b'{"state": "Done"}', result=lambda address, reply: None)
    assert (status.state, status.provider_state, status.result) == (State.RUNNING, "Done", None)


def test_a_job_that_succeeded_tells_where_its_result_is(status_of: Callable[..., Status]) -> None:
    request = Request(url="https://api.example.com/result")
    status = status_of(b'{"state": "Done"}', result=lambda address, reply: request)
    assert (status.state, status.result) == (State.SUCCEEDED, request)


def test_the_result_of_a_running_job_is_not_looked_for(status_of: Callable[..., Status]) -> None:
    def never(address: Address, reply: Reply) -> Request:
        raise AssertionError("looked for a result too early")

    assert status_of(b'{"state": "Busy"}', result=never).result is None


def test_a_job_that_succeeded_with_failed_items_is_partial(status_of: Callable[..., Status]) -> None:
    lost = (FailedItem("a.png", "could not open"),)
    status = status_of(b'{"state": "Done"}', partial=lambda reply: lost)
    assert (status.state, status.failed_items) == (State.PARTIAL, lost)


def test_a_partial_job_still_tells_where_its_result_is(status_of: Callable[..., Status]) -> None:
    request = Request(url="https://api.example.com/result")
    lost = (FailedItem("a.png", None),)
    status = status_of(b'{"state": "Done"}', partial=lambda reply: lost, result=lambda address, reply: request)
    assert (status.state, status.result) == (State.PARTIAL, request)


def test_failed_items_of_a_running_job_do_not_end_it(status_of: Callable[..., Status]) -> None:
    status = status_of(b'{"state": "Busy"}', partial=lambda reply: (FailedItem("a.png", None),))
    assert (status.state, status.failed_items) == (State.RUNNING, ())


def test_a_failed_job_with_failed_items_has_failed(status_of: Callable[..., Status]) -> None:
    words = replace(WORDS, states={"Broken": State.FAILED})
    status = status_of(b'{"state": "Broken"}', words=words, partial=lambda reply: (FailedItem("a.png", None),))
    assert status.state is State.FAILED
    assert status.failed_items


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED])
def test_an_error_message_of_the_service_becomes_the_error(status_of: Callable[..., Status], state: State) -> None:
    words = replace(WORDS, states={"Broken": state})
    status = status_of(b'{"state": "Broken", "why": "out of paper"}', words=words, error=("why",))
    assert status.error
    assert status.error.message == "out of paper"


@pytest.mark.parametrize("word", ["Done", "Busy", "Waiting"])
def test_a_message_of_a_job_that_did_not_end_badly_is_no_error(status_of: Callable[..., Status], word: str) -> None:
    assert status_of(f'{{"state": "{word}", "why": "all is well"}}'.encode(), error=("why",)).error is None


def test_warnings_are_given_once_a_job_has_ended(status_of: Callable[..., Status]) -> None:
    running = status_of(b'{"state": "Busy"}', warnings=lambda reply: ("take care",))
    done = status_of(b'{"state": "Done"}', warnings=lambda reply: ("take care",))
    assert (running.warnings, done.warnings) == ((), ("take care",))


def test_times_are_read_and_the_end_only_of_a_job_that_ended(status_of: Callable[..., Status]) -> None:
    paths = {"created": "t", "started": "t", "finished": "t"}
    running = status_of(b'{"state": "Busy", "t": 0}', **paths)
    done = status_of(b'{"state": "Done", "t": 0}', **paths)
    epoch = "1970-01-01T00:00:00.000Z"
    assert (running.created_at, running.started_at, running.finished_at) == (epoch, epoch, None)
    assert done.finished_at == epoch


# --- hints ---


@pytest.mark.parametrize(
    ("header", "body", "expected"),
    [
        ("5", "9", 9.0),
        ("9", "5", 9.0),
        ("soon", "5", 5.0),
        ("5", '"soon"', 5.0),
        ("0", "-1", None),
        ("999999", "1", 86400),
    ],
)
def test_of_two_hints_the_larger_counts(
    status_of: Callable[..., Status], header: str, body: str, expected: float | None
) -> None:
    text = f'{{"state": "Busy", "wait": {body}}}'.encode()
    assert status_of(text, headers={"retry-after": header}, hint="wait").retry_after == expected


# --- asking ---


def test_one_look_asks_once_at_the_documented_path(reply: Callable[..., Reply]) -> None:
    asked: list[Request] = []

    def send(request: Request) -> Reply:
        asked.append(request)
        return reply(b'{"state": "Busy"}')

    assert (
        look(provider(headers=lambda params: {"x-p": params["project"]}), send, HOME, lambda: NOW).state
        is State.RUNNING
    )
    assert [(r.method, r.url, r.headers, r.form) for r in asked] == [
        ("GET", "https://api.example.com/projects/p/jobs/7", {"x-p": "p"}, None)
    ]


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        ("maps", "https://api.example.com/maps/7"),
        ("", "https://api.example.com/projects/p/jobs/7"),
        ("other", "https://api.example.com/projects/p/jobs/7"),
        (None, "https://api.example.com/projects/p/jobs/7"),
    ],
)
def test_a_kind_of_job_has_its_own_path(reply: Callable[..., Reply], kind: str | None, url: str) -> None:
    asked: list[str] = []

    def send(request: Request) -> Reply:
        asked.append(request.url)
        return reply(b'{"state": "Busy"}')

    params = {"project": "p"} | ({} if kind is None else {"kind": kind})
    look(provider(kinds={"maps": "/maps/{job_id}"}), send, replace(HOME, params=params), lambda: NOW)
    assert asked == [url]


def test_what_is_to_be_sent_back_stands_beside_our_own_headers(reply: Callable[..., Reply]) -> None:
    asked: list[Request] = []

    def send(request: Request) -> Reply:
        asked.append(request)
        return reply(b'{"state": "Busy"}')

    look(provider(headers=lambda params: {"x-p": "p"}), send, HOME, lambda: NOW, {"x-token": "t"})
    assert [dict(request.headers) for request in asked] == [{"x-p": "p", "x-token": "t"}]


def test_a_probe_looks_in_place_of_the_one_request(reply: Callable[..., Reply]) -> None:
    found = Status(state=State.GONE, provider_state="Done", reply=reply())

    def never(request: Request) -> Reply:
        raise AssertionError("asked beside the probe")

    def probe(send: Send, address: Address, now: datetime) -> Status:
        assert (send, address, now) == (never, HOME, NOW)
        return found

    assert look(provider(probe=probe), never, HOME, lambda: NOW) is found


def test_a_web_page_from_another_address_than_the_documented_one_names_it(reply: Callable[..., Reply]) -> None:
    elsewhere = replace(HOME, base_url="https://dashboard.example.com")
    page = reply(b"<html>", content_type="text/html")
    with pytest.raises(NotJson) as wrong:
        look(provider(), lambda _: page, elsewhere, lambda: NOW)
    with pytest.raises(NotJson) as right:
        look(provider(), lambda _: page, HOME, lambda: NOW)
    assert "https://api.example.com" in (wrong.value.hint or "")
    assert "documented address" not in (right.value.hint or "")


def test_a_look_that_is_refused_raises_the_refusal(reply: Callable[..., Reply]) -> None:
    with pytest.raises(NotFound):
        look(provider(), lambda _: reply(b'{"state": "Done"}', status=404), HOME, lambda: NOW)


@pytest.mark.parametrize("job_id", ["", ".", "..", "a\nb", "a\x00b", "\x7f", "x" * 513])
def test_what_cannot_be_a_job_id_is_refused_before_anything_is_asked(job_id: str) -> None:
    with pytest.raises(UsageError, match="no job id of acme"):
        check_job_id(provider(), job_id)


@pytest.mark.parametrize("job_id", ["7", "a b", "a/b", "é", "=cmd()", "-x", "x" * 512])
def test_any_other_text_may_be_a_job_id(job_id: str) -> None:
    assert check_job_id(provider(), job_id) == job_id


def test_a_missing_setting_names_every_way_to_give_it() -> None:
    with pytest.raises(ConfigError, match="acme needs client_id") as caught:
        needed({"client_id": ""}, "client_id", "acme")
    for way in ("--client-id", "JOBFETCH_ACME_CLIENT_ID", "config set acme.client_id"):
        assert way in (caught.value.hint or "")


def test_a_user_may_know_a_state_better_than_the_documents(status_of: Callable[..., Status]) -> None:
    assert status_of(b'{"state": "Rejected"}', states="rejected = failed, on_hold=running").state is State.FAILED


def test_a_state_that_the_user_names_is_no_surprise(status_of: Callable[..., Status]) -> None:
    assert status_of(b'{"state": "on_hold"}', states="On_Hold=running").warnings == ()


@pytest.mark.parametrize("said", ["rejected", "rejected=nonsense", "a=b=c"])
def test_states_that_nobody_can_read_are_refused_with_an_example(status_of: Callable[..., Status], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        status_of(b'{"state": "Busy"}', states=said)
    assert "rejected=failed" in (caught.value.hint or "")
