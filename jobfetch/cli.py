"""What can be typed: Typer declarations, nothing else. Each provider's commands are made from its settings.

Public Typer only; `commands` is imported where a command runs, so that help and completion stay quick.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Annotated, Any

import typer

from jobfetch import __version__
from jobfetch.errors import Exit, JobfetchError, UsageError
from jobfetch.model import Format
from jobfetch.providers import PROVIDERS
from jobfetch.spec import Provider

PLAIN: dict[str, Any] = {
    "rich_markup_mode": None,
    "pretty_exceptions_enable": False,
    "add_completion": False,
    "no_args_is_help": True,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}

app = typer.Typer(**PLAIN, help="Wait for slow jobs at online services and fetch their results, whole or not at all.")


def _version(asked: bool) -> None:  # noqa: FBT001 - Typer's own signature
    if asked:
        typer.echo(f"jobfetch {__version__}")
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="Show the version.")]
Json = Annotated[bool, typer.Option("--json", help="Print one verdict object instead of prose.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No narration; errors are told all the same.")]
Verbose = Annotated[int, typer.Option("--verbose", "-v", count=True, help="Tell of retries; twice: of every look.")]

_COMMON = {"json": (Json, False), "quiet": (Quiet, False), "verbose": (Verbose, 0)}

_NETWORK: dict[str, tuple[Any, Any]] = {
    "timeout": (
        Annotated[
            str | None,
            typer.Option(help="The whole command ends by then: 90, 30m, 2h. Default 1h with --wait, 2m without."),
        ],
        None,
    ),
    "retries": (Annotated[int, typer.Option(min=0, max=20, help="Tries after the first, for each request.")], 4),
    "profile": (Annotated[str | None, typer.Option(help="Profile of config.toml to use.")], None),
    "secret_stdin": (
        Annotated[bool, typer.Option("--secret-stdin", help="Read the secret from standard input.")],
        False,
    ),
    "ca_bundle": (
        Annotated[str | None, typer.Option(help="File of trusted authorities, for a private CA.", metavar="FILE")],
        None,
    ),
    "parse_limit": (
        Annotated[str | None, typer.Option(help="The most that is parsed in memory. Default 512MiB.", metavar="SIZE")],
        None,
    ),
}

#: Options of the commands that ask a service about a credential only.
_ASKING = {name: _NETWORK[name] for name in ("profile", "timeout", "retries", "ca_bundle")}

_GET: dict[str, tuple[Any, Any]] = {
    "wait": (Annotated[bool, typer.Option("--wait", "-w", help="Wait until the jobs have ended.")], False),
    "interval": (
        Annotated[str | None, typer.Option(help="Look this often, instead of the provider's own schedule.")],
        None,
    ),
    "output": (
        Annotated[
            str | None,
            typer.Option("--output", "-o", metavar="PATH", help="File, FOLDER/, or - for standard output (default)."),
        ],
        None,
    ),
    "format": (
        Annotated[Format | None, typer.Option("--format", "-f", help="Default: by the file's suffix, else json.")],
        None,
    ),
    "assets": (Annotated[bool, typer.Option("--assets", help="Fetch linked files as well.")], False),
    "rows": (
        Annotated[
            str | None,
            typer.Option(
                metavar="VIEW|PATH",
                help="Other rows: a view by its name, or each of a path, for example items[].predictions.*[].",
            ),
        ],
        None,
    ),
    "query": (Annotated[str | None, typer.Option(help="JMESPath expression on the record.")], None),
    "reproducible": (
        Annotated[bool, typer.Option("--reproducible", help="Leave out fetched_at: same job, same bytes.")],
        False,
    ),
    "allow_partial": (
        Annotated[bool, typer.Option("--allow-partial", help="A job that ended with failed items is a success.")],
        False,
    ),
}


_TABLE: dict[str, tuple[Any, Any]] = {
    "columns": (
        Annotated[str | None, typer.Option(metavar="A,B", help="Only these columns, in this order.")],
        None,
    ),
    "delimiter": (
        Annotated[str | None, typer.Option(metavar="CHAR", help="What stands between cells of CSV; or the word tab.")],
        None,
    ),
    "csv_safe": (
        Annotated[bool, typer.Option("--csv-safe", help="CSV: no text is a formula to a spreadsheet (a ' in front).")],
        False,
    ),
}


@app.callback()
def root(
    context: typer.Context,
    version: Version = False,  # noqa: ARG001, FBT002 - its callback answers it; how Typer spells a flag
    json: Json = False,  # noqa: FBT002 - how Typer spells a flag
    quiet: Quiet = False,  # noqa: FBT002 - likewise
    verbose: Verbose = 0,
) -> None:
    """Options that may stand before the command's name as well."""
    context.obj = {"json": json, "quiet": quiet, "verbose": verbose}


def _common(context: typer.Context, values: dict[str, Any]) -> Any:
    from jobfetch.commands.report import Common

    before = context.obj or {}
    return Common(
        json=values["json"] or before.get("json", False),
        quiet=values["quiet"] or before.get("quiet", False),
        verbose=values["verbose"] + before.get("verbose", 0),
    )


def _declare(
    group: typer.Typer,
    name: str,
    work: Callable[[typer.Context, dict[str, Any]], int],
    params: dict[str, tuple[Any, Any]],
    purpose: str,
) -> None:
    """Register a command whose parameters are data: name -> (annotation, default)."""

    def command(context: typer.Context, **values: Any) -> int:
        return work(context, values)

    every = {"context": (typer.Context, inspect.Parameter.empty), **params, **_COMMON}
    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # functions take it all the same
        [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            for key, (annotation, default) in every.items()
        ]
    )
    command.__annotations__ = {key: annotation for key, (annotation, _) in every.items()}
    command.__doc__ = purpose
    group.command(name)(command)


def _settings(provider: Provider, *, files: bool = True, panel: str | None = None) -> dict[str, tuple[Any, Any]]:
    """Options for the settings of a provider, and for the files that its secrets may be in."""
    helps = {
        "base_url": "Address in front of the documented paths.",
        "states": "What the service's words mean where its documents are silent: rejected=failed, ...",
        **{param.name: param.help for param in provider.settings},
        **{f"{secret.name}_file": f"File that holds the {secret.name}." for secret in provider.auth.secrets if files},
    }
    panel = panel or f"Settings of {provider.name}"
    return {
        name: (Annotated[str | None, typer.Option(help=text, rich_help_panel=panel)], None)
        for name, text in helps.items()
    }


def _ids(provider: Provider) -> dict[str, tuple[Any, Any]]:
    argument = typer.Argument(metavar="JOB_ID...", help=provider.job.id_help, show_default=False)
    return {"job_ids": (Annotated[list[str], argument], inspect.Parameter.empty)}


def _network(values: dict[str, Any], settings: dict[str, Any]) -> Any:
    from jobfetch.commands.account import Network

    options = {name: values[name] for name in settings}
    return Network(
        options=options, interval=values.get("interval"), **{name: values[name] for name in _NETWORK if name in values}
    )


def _add_get(group: typer.Typer, provider: Provider) -> None:
    settings = _settings(provider)

    def work(context: typer.Context, values: dict[str, Any]) -> int:
        from jobfetch.commands import jobs

        output = jobs.Output(
            path=values["output"],
            format=values["format"],
            assets=values["assets"],
            rows=values["rows"],
            query=values["query"],
            reproducible=values["reproducible"],
            allow_partial=values["allow_partial"],
            **{name: values[name] for name in _TABLE},
        )
        network = _network(values, settings)
        return jobs.get(
            provider.name, values["job_ids"], _common(context, values), network, output, wait=values["wait"]
        )

    purpose = f"{provider.title}: fetch the results of jobs, and wait for them if asked to."
    _declare(group, provider.name, work, {**_ids(provider), **_GET, **_TABLE, **settings, **_NETWORK}, purpose)


def _add_status(group: typer.Typer, provider: Provider) -> None:
    settings = _settings(provider)

    def work(context: typer.Context, values: dict[str, Any]) -> int:
        from jobfetch.commands import jobs

        return jobs.status(provider.name, values["job_ids"], _common(context, values), _network(values, settings))

    purpose = f"{provider.title}: ask for the state of jobs; nothing is fetched."
    _declare(group, provider.name, work, {**_ids(provider), **settings, **_NETWORK}, purpose)


def _group(name: str, text: str) -> typer.Typer:
    group = typer.Typer(**PLAIN, help=text)
    app.add_typer(group, name=name)
    return group


_get = _group("get", "Fetch the results of jobs by their ids; with --wait, wait for them first.")
_status = _group("status", "Ask for the state of jobs by their ids; nothing is fetched.")
for _provider in PROVIDERS.values():
    _add_get(_get, _provider)
    _add_status(_status, _provider)

auth = _group("auth", "Give a secret once, see where each comes from, take it back.")
_login = typer.Typer(**PLAIN, help="Give a secret: typed without an echo, or piped in; it is tried before it is kept.")
auth.add_typer(_login, name="login")


def _add_login(provider: Provider) -> None:
    settings = _settings(provider, files=False)
    secrets = ", ".join(secret.name for secret in provider.auth.secrets)
    more = {
        "secret": (Annotated[str | None, typer.Option(metavar="NAME", help=f"Which secret to give: {secrets}.")], None),
        "check": (Annotated[bool, typer.Option("--check/--no-check", help="Try it at the service first.")], True),
    }

    def work(context: typer.Context, values: dict[str, Any]) -> int:
        from jobfetch.commands import login

        network = _network(values, settings)
        return login.login(
            provider.name, _common(context, values), network, secret=values["secret"], check=values["check"]
        )

    purpose = f"{provider.title}: keep a credential, and the settings given with it."
    _declare(
        _login, provider.name, work, {**more, **settings, **_ASKING, "secret_stdin": _NETWORK["secret_stdin"]}, purpose
    )


for _provider in PROVIDERS.values():
    _add_login(_provider)

config = _group("config", "Settings: what is set, where it comes from, and changing it.")


batch = _group("batch", "Download many jobs into a folder, and look after it.")
_download = typer.Typer(**PLAIN, help="Fetch every job that is not there yet: those that the service lists, or --jobs.")
batch.add_typer(_download, name="download")

_BATCH: dict[str, tuple[Any, Any]] = {
    "workers": (Annotated[int | None, typer.Option(help="Jobs at a time. Default by provider.")], None),
    "rate": (
        Annotated[
            str | None,
            typer.Option(metavar="N/s|N/m|N/h", help="The most requests in a time, of all workers together; or none."),
        ],
        None,
    ),
    "wait": (Annotated[bool, typer.Option("--wait", "-w", help="Wait for the jobs that still run.")], False),
    "interval": _GET["interval"],
    "format": (
        Annotated[Format | None, typer.Option("--format", "-f", help="json, raw, or a table beside the records.")],
        None,
    ),
    "rows": _GET["rows"],
    "reproducible": _GET["reproducible"],
    "allow_partial": _GET["allow_partial"],
    "report": (
        Annotated[str | None, typer.Option(metavar="FILE", help="Write the verdict there as JSON, however it ends.")],
        None,
    ),
    "prom": (Annotated[str | None, typer.Option(metavar="FILE", help="Write metrics there for Prometheus.")], None),
    "ping": (
        Annotated[
            str | None,
            typer.Option(metavar="URL", help="Ask for URL/start at first, then for URL, or URL/fail."),
        ],
        None,
    ),
}

_SOURCE: dict[str, tuple[Any, Any]] = {
    "output": (Annotated[str | None, typer.Option("--output", "-o", metavar="DIR", help="The folder to fill.")], None),
    "jobs": (
        Annotated[
            str | None,
            typer.Option(metavar="FILE|-", help="Ids to fetch: one a line, a CSV column or an NDJSON key."),
        ],
        None,
    ),
    "jobs_key": (
        Annotated[str | None, typer.Option(metavar="NAME", help="That column or key. Default job_id, else id.")],
        None,
    ),
    "assets": _GET["assets"],
    "limit": (Annotated[int | None, typer.Option(min=1, help="The first N jobs only.", metavar="N")], None),
    "dry_run": (Annotated[bool, typer.Option("--dry-run", help="List only: ids that would be fetched.")], False),
    "refresh": (
        Annotated[bool, typer.Option("--refresh", help="Fetch again what is there, and tell what has changed.")],
        False,
    ),
    "verify": (Annotated[bool, typer.Option("--verify", help="Trust what is there by its hash, not its size.")], False),
}


def _filters(provider: Provider) -> dict[str, tuple[Any, Any]]:
    panel = f"Filters of {provider.name}"
    return {
        param.name: (Annotated[str | None, typer.Option(help=param.help, rich_help_panel=panel)], None)
        for param in provider.filters
    }


def _add_download(provider: Provider) -> None:
    settings = {**_settings(provider), **_filters(provider)}

    def work(context: typer.Context, values: dict[str, Any]) -> int:
        from jobfetch.commands import batch as command

        options = command.Options(**{name: values[name] for name in (*_SOURCE, *_BATCH) if name != "interval"})
        return command.fetch(provider.name, _common(context, values), _network(values, settings), options)

    purpose = f"{provider.title}: fetch every job that is not there yet."
    _declare(_download, provider.name, work, {**_SOURCE, **_BATCH, **settings, **_NETWORK}, purpose)


for _provider in PROVIDERS.values():
    _add_download(_provider)

_DIR: dict[str, tuple[Any, Any]] = {
    "folder": (
        Annotated[str, typer.Argument(metavar="DIR", help="A folder that `batch download` filled, or its parent.")],
        inspect.Parameter.empty,
    )
}
# whose jobs a folder holds stands in its manifest; where and how to ask may have to be said again
_ACCOUNT: dict[str, tuple[Any, Any]] = {
    name: declared
    for provider in PROVIDERS.values()
    for name, declared in _settings(provider, panel="Settings of the folder's service").items()
    if name in provider.account_options
}
_AGAIN: dict[str, tuple[Any, Any]] = {**_BATCH, **_ACCOUNT, **_NETWORK}


def _add_again(name: str, purpose: str, more: dict[str, tuple[Any, Any]]) -> None:
    """Register a command on a folder that may ask the folder's own service again."""

    def work(context: typer.Context, values: dict[str, Any]) -> int:
        from jobfetch.commands import audit
        from jobfetch.commands import batch as command

        options = command.Options(**{key: values[key] for key in _BATCH if key != "interval"})
        said = {key: values[key] for key in _ACCOUNT if values[key] is not None}
        function: Callable[..., int] = getattr(audit, name)
        extra = {key: values[key] for key in more}
        return function(values["folder"], _common(context, values), _network(values, said), options, **extra)

    _declare(batch, name, work, {**_DIR, **more, **_AGAIN}, purpose)


_add_again("retry", "Ask again for the jobs of a folder that failed or still ran.", {})
_add_again(
    "verify",
    "Compare the files of a folder with its manifest, by length and hash.",
    {"repair": (Annotated[bool, typer.Option("--repair", help="Fetch again what differs.")], False)},
)

providers = _group("providers", "What the providers are, and what they take.")
sandbox = _group("sandbox", "A server on this machine that plays the services, to rehearse with.")


_PACE = {
    "pace": (Annotated[float, typer.Option(min=0.01, help="How fast time passes in it; below 1 is faster.")], 1.0),
    "trouble": (
        Annotated[float, typer.Option(min=0, max=1, help="Share of requests that go wrong, whatever is asked.")],
        0.0,
    ),
}


def _add(group: typer.Typer, name: str, work: str, params: dict[str, tuple[Any, Any]], purpose: str) -> None:
    """Register a command whose values go to the function of `commands` by that name, as they are."""

    def run(context: typer.Context, values: dict[str, Any]) -> int:
        module, _, name = work.partition(".")
        function: Callable[..., int] = getattr(import_module(f"jobfetch.commands.{module}"), name)
        taken = {key: values[key] for key in params}
        if set(_ASKING) <= set(params):
            from jobfetch.commands.account import Network

            taken["network"] = Network(options={}, **{key: taken.pop(key) for key in _ASKING})
        return function(common=_common(context, values), **taken)

    _declare(group, name, run, params, purpose)


_NAME = {"provider": (Annotated[str, typer.Argument(metavar="PROVIDER", help="Its name.")], inspect.Parameter.empty)}
_ANY = {
    "provider": (Annotated[str | None, typer.Argument(metavar="[PROVIDER]", help="All, unless one is named.")], None)
}
_PROFILE = {"profile": _NETWORK["profile"]}
_KEY = {
    "key": (
        Annotated[
            str, typer.Argument(help="For example cognite.project, defaults.timeout, playment.profiles.work.project.")
        ],
        inspect.Parameter.empty,
    )
}

_add(auth, "logout", "auth.logout", {**_NAME, **_PROFILE}, "Forget a provider's secrets and tokens, or one profile's.")
_add(
    auth,
    "status",
    "auth.status",
    {
        **_ANY,
        "check": (
            Annotated[bool, typer.Option("--check", help="Ask each service whether it takes the credential.")],
            False,
        ),
        **_ASKING,
    },
    "Tell which credential is there, where it comes from, and until when it is good.",
)
_add(config, "path", "settings.path", {}, "Print where config.toml lies.")
_add(config, "show", "settings.show", {**_ANY, **_PROFILE}, "Show every setting, and where its value comes from.")
_add(
    config,
    "set",
    "settings.put",
    {
        **_KEY,
        "words": (
            Annotated[
                list[str], typer.Argument(metavar="VALUE...", help="The value; for a command, all its words after --.")
            ],
            inspect.Parameter.empty,
        ),
    },
    "Set a key of config.toml; comments stay.",
)
_add(config, "unset", "settings.remove", _KEY, "Take a key, or a whole table, out of config.toml.")
_add(config, "init", "settings.init", {}, "Write config.toml with every setting in it commented out.")
_add(
    app,
    "doctor",
    "doctor.doctor",
    {**_ANY, **_ASKING},
    "Look at files, settings, secrets and the way to each service; every finding names what mends it.",
)
_add(
    app,
    "export",
    "tables.export",
    {
        "sources": (
            Annotated[
                list[str],
                typer.Argument(metavar="DIR|FILE...", help="Folders of records, records, or files of one a line."),
            ],
            inspect.Parameter.empty,
        ),
        "output": (
            Annotated[
                str | None,
                typer.Option("--output", "-o", metavar="OUT", help="File, or - for standard output (default)."),
            ],
            None,
        ),
        "format": (
            Annotated[
                Format | None,
                typer.Option("--format", "-f", help="Default: by the suffix, with .gz or .zst behind it or not."),
            ],
            None,
        ),
        "rows": _GET["rows"],
        **_TABLE,
    },
    "Make one table of saved records, asking nobody. Example: jobfetch export results/ -o results.parquet",
)
_add(batch, "status", "audit.status", _DIR, "Tell what a folder holds: states, bytes, failures by cause.")
_add(providers, "list", "providers.list_all", {}, "List the providers.")
_add(
    providers,
    "show",
    "providers.show",
    {"name": (Annotated[str, typer.Argument(help="The provider's name.")], inspect.Parameter.empty)},
    "Show a provider's settings, secrets and states.",
)
_add(sandbox, "jobs", "sandbox.jobs", {}, "List what the sandbox plays, by job id, with the exit code to expect.")
_add(
    sandbox,
    "serve",
    "sandbox.serve",
    {
        "port": (Annotated[int, typer.Option(min=0, max=65535, help="Port of the services; 0 takes a free one.")], 0),
        "storage_port": (Annotated[int, typer.Option(min=0, max=65535, help="Port of the foreign storage.")], 0),
        **_PACE,
    },
    "Play the services until interrupted; prints the environment that reaches them.",
)
_add(
    sandbox,
    "run",
    "sandbox.run_in",
    {
        "command": (
            Annotated[list[str], typer.Argument(metavar="-- CMD...", help="The command and its arguments.")],
            inspect.Parameter.empty,
        ),
        **_PACE,
    },
    "Run a command against a sandbox of its own, apart from everything real; its exit code is passed on.",
)
_add(
    app,
    "demo",
    "sandbox.demo",
    {
        "output": (
            Annotated[str, typer.Option("--output", "-o", metavar="FOLDER", help="Where its files go.")],
            "jobfetch-demo",
        )
    },
    "Show the real commands at work against an embedded sandbox, in under a minute.",
)


def main(arguments: list[str]) -> int:
    """Run a command line; the exit code."""
    try:
        arguments = _with_default_provider(arguments)
        code = app(arguments, prog_name="jobfetch", standalone_mode=False)
    except typer.Abort:
        return int(Exit.INTERRUPTED)
    except JobfetchError as error:
        return _refused(arguments, error)
    except Exception as error:
        # Typer's usage errors know how to say themselves, and are all that may come out here
        if not hasattr(error, "format_message"):
            raise
        return _usage(arguments, error)
    return code if isinstance(code, int) else int(Exit.DONE)


def _with_default_provider(arguments: list[str]) -> list[str]:
    """The line with `default_provider` of config.toml in it, where `batch download` names no provider."""
    start = next((number for number, word in enumerate(arguments) if not word.startswith("-")), 0)
    words = arguments[start : start + 3]
    bare = words[:2] == ["batch", "download"] and (len(words) < 3 or words[2].startswith("-"))  # noqa: PLR2004 - the provider's place
    if not bare or {"-h", "--help"} & {*words[2:]}:
        return arguments
    from jobfetch.commands.account import default_provider

    return [*arguments[: start + 2], default_provider(), *arguments[start + 2 :]]


def _usage(arguments: list[str], error: Any) -> int:
    message = error.format_message()
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "jobfetch"
    # where only the command is missing, Typer's whole answer is the help of the group
    wants_command = message.startswith("Usage:")

    refusal = UsageError("which command?" if wants_command else message, hint=f"{path} --help")
    return _refused(arguments, refusal, message if wants_command else "")


def _refused(arguments: list[str], error: JobfetchError, text: str = "") -> int:
    """Say that a line cannot be run, and why."""
    from jobfetch.commands.report import Common, run

    as_json = "--json" in arguments[: arguments.index("--") if "--" in arguments else None]

    def refuse(ui: Any, _: Any) -> None:
        if text and not as_json:
            ui.block(text)
        raise error

    return run(Common(json=as_json), refuse)
