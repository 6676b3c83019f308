"""What a provider is made of: frozen data and small rules, and the pure functions that read replies by them.

A provider does no input or output of its own: it says where things stand in a reply, this module looks there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from enum import Enum
from functools import cached_property, lru_cache
from urllib.parse import quote

import msgspec
from msgspec import Struct, field
from msgspec.structs import fields, replace

from jobfetch.errors import (
    BadReply,
    ConfigError,
    Forbidden,
    JobfetchError,
    NotFound,
    NotJson,
    ResultGone,
    Unauthorized,
    Unavailable,
    UsageError,
)
from jobfetch.model import (
    Asset,
    Document,
    FailedItem,
    JobError,
    Json,
    Parts,
    Reply,
    Request,
    Send,
    State,
    Status,
    come_back,
    decode,
    elements,
    encode,
    hint,
    members,
    promised_json,
    retry_after,
    safe_url,
    timestamp,
)
from jobfetch.paging import Page

# --- settings and credentials ---


class Param(Struct, frozen=True, kw_only=True):
    """One setting or secret: its name spells the option, `JOBFETCH_<PROVIDER>_<NAME>` and the TOML key.

    `env` holds the vendor's own variables, tried in order after ours; a value of the mapping is a template for what
    the variable holds (`{}` where the variable is the value itself).
    """

    name: str
    help: str
    env: Mapping[str, str] = field(default_factory=dict)
    default: str | None = None
    choices: tuple[str, ...] = ()
    required: bool = False
    #: reads the value; `UsageError` where it cannot be one
    check: Callable[[str], object] | None = None

    @property
    def option(self) -> str:
        """The command line's spelling, for example `--base-url`."""
        return "--" + self.name.replace("_", "-")


class HeaderKey(Struct, frozen=True, kw_only=True):
    """A credential sent as it is in one header, after `prefix`."""

    secret: str
    header: str
    prefix: str = ""


class ClientCredentials(Struct, frozen=True, kw_only=True):
    """OAuth2 client credentials (RFC 6749, 4.4); each field names the setting or secret that holds the value."""

    secret: str
    client_id: str
    token_url: str
    scopes: str
    audience: str
    #: the token request's scope where the user names none; None leaves it out
    default_scopes: Callable[[Mapping[str, str]], str | None]


class Login(Struct, frozen=True, kw_only=True):
    """A user name and password, posted as JSON, for a JWT as plain text; each field names a setting or secret."""

    secret: str
    username: str
    token_url: str


Scheme = HeaderKey | ClientCredentials | Login


class Auth(Struct, frozen=True, kw_only=True):
    """The secrets a service takes, and how they sign: the first scheme whose secret is there is used.

    `check` is the path of a cheap request that only a good credential gets an answer to, `objection` what that answer
    says against the settings all the same; None where the service has no such request.
    """

    secrets: tuple[Param, ...]
    schemes: tuple[Scheme, ...]
    check: str | None = None
    objection: Callable[[Reply, Mapping[str, str]], str | None] | None = None


# --- errors ---


class Kind(Enum):
    """What a refusal means for us, whatever its HTTP status says."""

    RETRY = "retry"  # ask again soon
    OUTAGE = "outage"  # the service is in trouble, and asking again at once does not help
    CREDENTIALS = "credentials"
    FORBIDDEN = "forbidden"  # the credential is good, and this is not for it
    NOT_FOUND = "not_found"
    GONE = "gone"
    REFUSED = "refused"


class Trouble(Struct, frozen=True, kw_only=True):
    """One refusal, read: what it means, and the service's own code, words and request id."""

    kind: Kind
    status: int
    where: str
    code: str | None
    message: str | None
    request_id: str | None
    web_page: bool = False

    def error(self, *, tries: int = 1) -> JobfetchError:
        """The error to raise for it."""
        said = f": {self.message}" if self.message else ""
        said = said or (": the answer is a web page; wrong host, or a proxy?" if self.web_page else "")
        code = f" {self.code}" if self.code and self.code != str(self.status) else ""
        after = f" after {tries} tries" if tries > 1 else ""
        shape, verb, advice = _SHAPES[self.kind]
        text = f"{self.where} {verb} (HTTP {self.status}{code}{after}){said}"
        return shape(text, hint=advice, code=self.code, request_id=self.request_id)


_SHAPES: dict[Kind, tuple[type[JobfetchError], str, str]] = {
    Kind.RETRY: (Unavailable, "is unavailable", "run the same line again later"),
    Kind.OUTAGE: (Unavailable, "is in trouble", "run the same line again later"),
    Kind.CREDENTIALS: (
        Unauthorized,
        "refused the credentials",
        "`jobfetch auth status` tells where they come from, `jobfetch auth login PROVIDER` gives new ones",
    ),
    Kind.FORBIDDEN: (Forbidden, "refused permission", "ask for access, or check the project"),
    Kind.NOT_FOUND: (NotFound, "does not know this", "check the job id, the project and base_url"),
    Kind.GONE: (ResultGone, "says that the result is gone", "start the job again at the service"),
    Kind.REFUSED: (BadReply, "refused the request", "the service's own words above say why"),
}


class ErrorRules(Struct, frozen=True, kw_only=True):
    """Where a service's error body keeps its code, message and request id, and what its own codes mean.

    `kind` may overrule everything by looking at the reply; `codes` comes next, the HTTP status last.
    """

    code: tuple[str, ...] = ()
    message: tuple[str, ...] = ()
    request_id: tuple[str, ...] = ()
    request_id_headers: tuple[str, ...] = ("x-request-id",)
    #: told behind the message where they are there, for example the permissions that are missing
    details: tuple[str, ...] = ()
    codes: Mapping[str, Kind] = field(default_factory=dict)
    kind: Callable[[Reply], Kind | None] | None = None
    #: whether a 2xx reply is a refusal all the same
    refused: Callable[[Reply], bool] | None = None
    retry_statuses: frozenset[int] = frozenset({408, 425, 429})

    def read(self, reply: Reply) -> Trouble | None:
        """What is wrong with a reply; None for a good one."""
        # a body that was stored as it came is not here to be looked into
        if reply.ok and not (self.refused and reply.body and self.refused(reply)):
            return None
        code, message, request_id = self._words(reply)
        by_header = next((reply.headers[name] for name in self.request_id_headers if name in reply.headers), None)
        kind = (self.kind and self.kind(reply)) or self.codes.get(code or "") or self._by_status(reply.status)
        return Trouble(
            kind=kind,
            status=reply.status,
            where=safe_url(reply.url),
            code=code,
            message=message,
            request_id=by_header or request_id,
            web_page=reply.media_type == "text/html",
        )

    def check(self, reply: Reply, now: datetime | None = None) -> Reply:
        """The reply itself when it is good; otherwise the error that it is, with the time to come back, if told."""
        if trouble := self.read(reply):
            error = trouble.error()
            error.retry_at = come_back(reply, now) if now else None
            raise error
        return reply

    def _words(self, reply: Reply) -> tuple[str | None, str | None, str | None]:
        try:
            document = reply.document
            code = document.text(*self.code) if self.code else None
            message = document.text(*self.message) if self.message else None
            return (
                # what stands in the place of both is words, and no code
                code if code != message else None,
                self._told(document, message),
                document.text(*self.request_id) if self.request_id else None,
            )
        except BadReply:  # an error page: its status is all that it says
            return None, None, None

    def _told(self, document: Document, message: str | None) -> str | None:
        details = [f"{path}: {text}" for path in self.details if (text := document.text(path))]
        return "; ".join([*([message] if message else []), *details]) or None

    def _by_status(self, status: int) -> Kind:
        if status in {401, 402, 403}:
            return Kind.CREDENTIALS if status == 401 else Kind.FORBIDDEN  # noqa: PLR2004 - HTTP's own number
        if status in {404, 410}:
            return Kind.NOT_FOUND if status == 404 else Kind.GONE  # noqa: PLR2004 - HTTP's own number
        if status in self.retry_statuses or status >= 500:  # noqa: PLR2004 - the meaning of 5xx
            return Kind.RETRY
        return Kind.REFUSED


#: For replies that are not the service's own: foreign storage, token endpoints.
PLAIN_ERRORS = ErrorRules(code=("error.code", "error"), message=("error_description", "error.message", "message"))


# --- looking at a job ---


class Schedule(Struct, frozen=True, kw_only=True):
    """When to look again, in seconds: first `start` after the first look, each time `factor` longer, up to `cap`.

    `jitter` is the share by which each wait varies. Looks at all jobs of a run together keep at least `gap` apart.
    A job whose state has not moved for `stuck_after` is spoken of once.
    """

    start: float = 2.0
    factor: float = 1.5
    cap: float = 30.0
    jitter: float = 0.2
    gap: float = 0.1
    stuck_after: float = 900.0


class Words(Struct, frozen=True, kw_only=True, dict=True):
    """The state by the service's own word at a path; case does not matter, an unknown word is *running*."""

    path: str
    states: Mapping[str, State]

    def read(self, reply: Reply) -> tuple[State, str]:
        """The state and the service's word for it. `BadReply` where there is no word at all."""
        word = reply.document.text(self.path)
        if word is None:
            raise BadReply(
                f"{safe_url(reply.url)} answered JSON without `{self.path}`, so the job's state is unknown",
                hint="wrong base_url, or the service has changed",
            )
        return self.meanings.get(word.casefold(), State.RUNNING), word

    @cached_property
    def meanings(self) -> dict[str, State]:
        """The state that each word stands for; the words are folded."""
        return {known.casefold(): state for known, state in self.states.items()}

    def corrected(self, said: str | None) -> Words:
        """The same with words that the user knows better: `rejected=failed, on_hold=running`."""
        if not said:
            return self
        pairs = [pair.split("=") for pair in said.split(",") if pair.strip()]
        try:
            states = {word.strip(): State(state.strip().lower()) for word, state in pairs}
        except ValueError:
            raise ConfigError(
                f"states {said!r} is no list of word=state",
                hint=f"write for example rejected=failed; a state is one of {', '.join(State)}",
            ) from None
        corrected = {word.casefold() for word in states}
        kept = {word: state for word, state in self.states.items() if word.casefold() not in corrected}
        return replace(self, states={**kept, **states})

    def knows(self, word: str) -> bool:
        """Whether the service has told us about this word."""
        return word.casefold() in self.meanings


@lru_cache(maxsize=64)
def _quoted(value: str) -> str:
    return quote(value, safe="", errors="surrogateescape")


class Address(Struct, frozen=True, kw_only=True):
    """One job at a service: base URL, settings (`project`, ...) and the job's id."""

    base_url: str
    params: Mapping[str, str]
    job_id: str = ""

    def url(self, path: str) -> str:
        """The absolute URL for a path template; every value is quoted, so that it stays one segment."""
        values = {name: _quoted(value) for name, value in {**self.params, "job_id": self.job_id}.items()}
        return self.base_url.rstrip("/") + path.format_map(values)


class JobApi(Struct, frozen=True, kw_only=True):
    """How to ask for one job and what its reply means. Rules get the reply; paths are dotted.

    `result` is None where the status reply is the result; otherwise it gives the request for it, or None while the
    service has not filled it in, which is *running*. `partial` reads the parts that failed: a job that succeeded with
    any of them is *partial*. `assets` finds links in the result's own bytes, `parts` what comes window by window.
    Where one request cannot tell, `probe` looks with as many as it takes. `kinds` maps a setting `kind` to a path, for
    services whose jobs have several. Headers of a reply that are named in `echo` go along with the next look. Where a
    reply says at `id` whose it is, one about another job is an error.
    """

    path: str
    words: Words
    kinds: Mapping[str, str] = field(default_factory=dict)
    id: str | None = None
    echo: tuple[str, ...] = ()
    probe: Callable[[Send, Address, datetime], Status] | None = None
    id_pattern: re.Pattern[str] = re.compile("[^\x00-\x1f\x7f\ud800-\udfff]{1,512}")
    id_help: str = "the job's id"
    #: an id as the help shows it; the sandbox plays it
    example: str = "123"
    headers: Callable[[Mapping[str, str]], Mapping[str, str]] | None = None
    result: Callable[[Address, Reply], Request | None] | None = None
    progress: Callable[[Reply], float | None] | None = None
    message: tuple[str, ...] = ()
    error: tuple[str, ...] = ()
    partial: Callable[[Reply], tuple[FailedItem, ...]] | None = None
    created: str | None = None
    started: str | None = None
    finished: str | None = None
    hint: str | None = None
    warnings: Callable[[Reply], tuple[str, ...]] | None = None
    assets: Callable[[Send, Address, bytes], Iterator[Asset]] | None = None
    parts: Callable[[Address, Document], Parts | None] | None = None
    schedule: Schedule = Schedule()


# --- lists of jobs ---


class Item(Struct, frozen=True):
    """A job as a list names it: its state, where the list tells one."""

    job_id: str
    state: State | None = None


class Groups(Struct, frozen=True, kw_only=True):
    """The list of lists: `param` names the setting that one of them fills, `total` how many jobs each promises."""

    path: str
    items: str
    param: str
    id: str = "id"
    total: str | None = None


class Bulk(Struct, frozen=True, kw_only=True):
    """Many states in one question: `ask` makes the request for at most `most` ids, a bare list or `items` answers.

    Ids that the answer leaves out are not known to the service, or not any more.
    """

    ask: Callable[[Address, tuple[str, ...]], Request]
    most: int
    items: str = ""


class ListApi(Struct, frozen=True, kw_only=True):
    """How to list jobs: the first request, where the jobs stand in a page, and how the list goes on.

    `params` are the filters that a user may set, `query` what each is called in the query (a template where it is more
    than the name), `fixed` what is always asked. `word` is the path of the state within an item, read with the
    provider's own words. `total` is where a page promises how many there are. `groups` lists the lists, where the
    setting that names one may be left out. `bulk` tells many states at once.
    """

    path: str
    items: str
    after: Callable[[Page], Request | None]
    id: str = "id"
    word: str | None = None
    total: str | None = None
    params: tuple[Param, ...] = ()
    query: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, str] = field(default_factory=dict)
    groups: Groups | None = None
    bulk: Bulk | None = None


# --- rows ---


class Sheets(Struct, frozen=True, kw_only=True):
    """How large the pages are that boxes lie on: the elements of the same list in which `key` holds `word` tell it.

    `page` is the field with the page's number, `box` the one with the four edges. Edges become parts of the page, from
    0 to 1; where its size is not known they stay as they are.
    """

    key: str
    word: str
    page: str
    box: str

    def sizes(self, elements: Iterable[Mapping[str, bytes | msgspec.Raw]]) -> dict[bytes, tuple[float, ...]]:
        """Page token -> left, top, width and height, of every page that has a size."""
        sizes: dict[bytes, tuple[float, ...]] = {}
        for element in elements:
            if bytes(element.get(self.key, b"")) == encode(self.word) and {self.page, self.box} <= {*element}:
                box = decode(element[self.box])
                if isinstance(box, list) and len(box) == 4 and all(type(edge) in {int, float} for edge in box):  # noqa: PLR2004
                    left, top, right, bottom = map(float, box)
                    if right > left and bottom > top:
                        sizes[bytes(element[self.page])] = (left, top, right - left, bottom - top)
        return sizes

    @staticmethod
    def part(edge: bytes, start: float, length: float) -> bytes:
        """An edge as a part of the page; the token itself where it is no number that can be."""
        value = decode(edge)
        return encode((value - start) / length) if type(value) in {int, float} else edge


class Rows(Struct, frozen=True, kw_only=True):
    """One kind of row: where it stands in the result, and which of its fields the common columns take.

    `each` names paths in which `[]` stands for every element, `*` for every member and a last `{}` for every index of
    an object's lists, side by side; the first path that the result has is walked, and `$` is the whole result, where
    no other kind is there. `when` names a key of the result and the word that it must hold. `kind` is the fixed word for
    these rows; without one, the member's name is. `member` names a column for the member's name. What lies beside the
    path on the way down is carried into every row, named by the level it stands on (`items.fileId`); the element's own
    fields keep their own dotted names. `columns` moves a field into a common column (the first that is filled), `copies`
    copies it. A level with nothing below it still gives one row, of kind `empty`, so that nothing is lost. Among copies, a
    name that ends in `[2]` takes an element of a list, `min(points[].x)` and `max(...)` the edge of a shape.
    """

    each: tuple[str, ...]
    kind: str | None = None
    when: tuple[str, str] | None = None
    member: str | None = None
    empty: str = "item"
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    copies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sheets: Sheets | None = None


class RowRules(Struct, frozen=True, kw_only=True):
    """All row kinds of a service, what they leave out and why (dotted name -> reason), and what the top is called.

    Without a name for the top, what stands there keeps its bare name.

    `parts` is the kind of the parts that come window by window. `named` holds other views of the same result, for
    `--rows NAME`: a function where a declaration cannot say it, from the result to rows of JSON tokens.
    """

    kinds: tuple[Rows, ...]
    parts: Rows | None = None
    named: Mapping[str, Callable[[bytes], Iterator[dict[str, bytes]]]] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    top: str = "job"

    def at_top(self, key: str) -> str:
        """What a member of the top is called in a row."""
        return f"{self.top}.{key}" if self.top else key


#: The columns that rows of all services share, in order.
COMMON_COLUMNS = (
    "provider",
    "job_id",
    "item_id",
    "kind",
    "label",
    "text",
    "score",
    "page",
    "x_min",
    "y_min",
    "x_max",
    "y_max",
)

#: Those of them that hold numbers, and the type that a format with types gives them; all others hold text.
NUMBER_COLUMNS = {"score": "double", "page": "int64"} | dict.fromkeys(("x_min", "y_min", "x_max", "y_max"), "double")


# --- the whole ---


class Provider(Struct, frozen=True, kw_only=True):
    """A service, whole. `base_url` gives the default address from the settings, or None where one must be set."""

    name: str
    title: str
    docs: str
    settings: tuple[Param, ...]
    auth: Auth
    errors: ErrorRules
    job: JobApi
    rows: RowRules
    base_url: Callable[[Mapping[str, str]], str | None]
    listing: ListApi | None = None
    #: jobs that a batch asks for at once, and the most requests in a time (`1000/h`), where the service tells one
    workers: int = 8
    rate: str | None = None
    #: the vendor's own variables for the base URL
    base_url_env: Mapping[str, str] = field(default_factory=dict)
    #: the setting that the default base URL is made from, where it is made from one
    base_url_from: str | None = None
    #: how long the service keeps results, and what else is worth knowing before using it
    retention: str | None = None
    limits: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def variable(self, name: str) -> str:
        """The environment variable for a setting or secret, for example `JOBFETCH_COGNITE_PROJECT`."""
        return f"JOBFETCH_{self.name}_{name}".upper()

    @property
    def login_settings(self) -> tuple[str, ...]:
        """The settings that only say how to log in: the jobs are the same with others."""
        schemes = [scheme for scheme in self.auth.schemes if not isinstance(scheme, HeaderKey)]
        named = {getattr(scheme, each.name) for scheme in schemes for each in fields(scheme)}
        return tuple(param.name for param in self.settings if param.name in named)

    @property
    def account_options(self) -> tuple[str, ...]:
        """Options that say where and how to ask, and not for whose jobs."""
        files = (f"{secret.name}_file" for secret in self.auth.secrets)
        return ("base_url", "states", *self.login_settings, *files)

    @property
    def filters(self) -> tuple[Param, ...]:
        """What a user may set to list fewer jobs."""
        return self.listing.params if self.listing else ()


def check_job_id(provider: Provider, job_id: str) -> str:
    """The id itself when it can be one of this provider's; `UsageError` otherwise."""
    if job_id in {".", ".."} or not provider.job.id_pattern.fullmatch(job_id):
        raise UsageError(
            f"{job_id[:80]!r} is no job id of {provider.name}: {provider.job.id_help}",
            hint=f"jobfetch get {provider.name} --help",
        )
    return job_id


def look(
    provider: Provider,
    send: Send,
    address: Address,
    now: Callable[[], datetime],
    echo: Mapping[str, str] | None = None,
) -> Status:
    """Ask the service once about one job; `echo` are headers that its last reply asked to be sent back."""
    job = provider.job
    try:
        if job.probe:
            return job.probe(send, address, now())
        path = job.kinds.get(address.params.get("kind", ""), job.path)
        headers = {**job_headers(provider, address), **(echo or {})}
        reply = provider.errors.check(send(Request(url=address.url(path), headers=headers)), now())
        return read_status(provider, address, reply, now())
    except NotJson as error:
        documented = provider.base_url({})
        if documented and not address.base_url.startswith(documented):
            error.hint = f"wrong host? the documented address of {provider.name} is {documented}"
        raise


def job_headers(provider: Provider, address: Address) -> Mapping[str, str]:
    """The headers that a provider's requests carry beside the credential."""
    return provider.job.headers(address.params) if provider.job.headers else {}


def read_status(provider: Provider, address: Address, reply: Reply, now: datetime) -> Status:
    """What a good status reply says about the job."""
    job, document = provider.job, reply.document
    refuse_another(reply, address, job.id)
    words = job.words.corrected(address.params.get("states"))
    state, word = words.read(reply)
    warnings = [warning] if (warning := promised_json(reply)) else []
    warnings += job.warnings(reply) if job.warnings and state.terminal else ()
    if not words.knows(word):
        warnings.append(undocumented(provider, word))
    failed_items = job.partial(reply) if job.partial and state.terminal else ()
    if state is State.SUCCEEDED and failed_items:
        state = State.PARTIAL
    result = None
    if state in {State.SUCCEEDED, State.PARTIAL} and job.result:
        result = job.result(address, reply)
        state = state if result else State.RUNNING
    ended_badly = state in {State.FAILED, State.CANCELLED}
    error = document.text(*job.error) if job.error and ended_badly else None
    return Status(
        state=state,
        provider_state=word,
        reply=reply,
        result=result,
        progress=job.progress(reply) if job.progress else None,
        message=document.text(*job.message) if job.message else None,
        error=JobError(error) if error else None,
        failed_items=failed_items,
        created_at=_time(reply, job.created),
        started_at=_time(reply, job.started),
        finished_at=_time(reply, job.finished) if state.terminal else None,
        retry_after=wait_asked(reply, job.hint, now),
        warnings=tuple(warnings),
    )


def refuse_another(reply: Reply, address: Address, path: str | None) -> None:
    """`BadReply` where a reply names another job at this path: somebody in between has mixed replies up."""
    told = reply.document.text(path) if path else None
    if told and told.casefold() != address.job_id.casefold():
        raise BadReply(
            f"{safe_url(reply.url)} was asked about job {address.job_id} and answered about {told[:80]}",
            hint="a cache or proxy in between may mix replies up; nothing of this one was kept",
        )


def undocumented(provider: Provider, word: str) -> str:
    """What is told of a state that the service's documents do not name, wherever it says so."""
    return f'{provider.name} says "{word}", a state nobody has documented; taken as running'


def _time(reply: Reply, path: str | None) -> str | None:
    return timestamp(reply.document.get(path)) if path else None


def wait_asked(reply: Reply, path: str | None, now: datetime) -> float | None:
    """Seconds that a reply asks to wait, in its header or in its body: the longer of both."""
    told = (retry_after(reply, now), hint(reply.document.get(path)) if path else None)
    return max((seconds for seconds in told if seconds is not None), default=None)


def needed(params: Mapping[str, str], name: str, provider: str, *, why: str = "") -> str:
    """A setting that must be there; `ConfigError` with every way to give it otherwise."""
    if params.get(name):
        return params[name]
    raise ConfigError(f"{provider} needs {name}{why}", hint=setting_hint(provider, name))


def setting_hint(provider: str, name: str) -> str:
    """Every way to give a setting."""
    variable = f"JOBFETCH_{provider}_{name}".upper()
    return f"jobfetch config set {provider}.{name} VALUE (or --{name.replace('_', '-')}, or {variable})"


def links(raw: bytes, keys: frozenset[str], path: str = "") -> Iterator[tuple[str, str]]:
    """Every http(s) link that stands under one of these keys, anywhere in a JSON value, with its dotted path."""
    if not any(b'"' + key.encode() + b'"' in raw for key in keys):
        return
    for number, element in enumerate(elements(raw)):
        yield from links(bytes(element), keys, f"{path}[{number}]")
    for key, member in members(raw).items():
        here, value = f"{path}.{key}" if path else key, bytes(member)
        if key in keys and value[:5].lower() == b'"http':
            yield here, decode(value)
        else:
            yield from links(value, keys, here)


def text_of(value: Json) -> str | None:
    """An id as text: numbers as written, nothing for null."""
    return None if value is None else str(value)


def number_of(value: Json) -> int | None:
    """A number of things, however a service writes it; None for what is none."""
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        return int(value[:19])
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
