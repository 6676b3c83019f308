"""Every command with its options; each provider's are made from its settings. Imported once a command is named.

Public Typer only; `commands` is imported where a command runs, so that help stays quick.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Annotated, Any

import typer
from msgspec import Struct

from jobfetch.cli import shape
from jobfetch.cli.root import PLAIN, PROVIDER, TOP, Json, LogFormat, Quiet, Verbose, bare
from jobfetch.errors import Exit
from jobfetch.model import Format
from jobfetch.providers import PROVIDERS
from jobfetch.spec import Provider

#: Options and arguments of a command by name: how it is written, and its default.
Params = dict[str, tuple[Any, Any]]

app = bare()

_EPILOG = "`{} {} --help` tells its options, an example, and how it may end."

_COMMON = {"json": (Json, False), "quiet": (Quiet, False), "verbose": (Verbose, 0), "log_format": (LogFormat, None)}


def _timeout(default: str) -> Params:
    text = f"The whole command ends by then: 90, 30m, 2h. Default {default}."
    return {"timeout": (Annotated[str | None, typer.Option(metavar="DURATION", help=text)], None)}


_NETWORK: Params = {
    **_timeout("2m"),
    "retries": (
        Annotated[int, typer.Option(min=0, max=20, metavar="N", help="Tries after the first, for each request.")],
        4,
    ),
    "profile": (Annotated[str | None, typer.Option(metavar="NAME", help="Profile of config.toml to use.")], None),
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

_GET: Params = {
    "wait": (Annotated[bool, typer.Option("--wait", "-w", help="Wait until the jobs have ended.")], False),
    "interval": (
        Annotated[
            str | None,
            typer.Option(metavar="DURATION", help="Look this often, instead of the provider's own schedule."),
        ],
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
        Annotated[
            Format | None,
            typer.Option(
                "--format",
                "-f",
                metavar="FORMAT",
                help="json, ndjson, csv, parquet, sqlite or raw. Default: by the file's suffix, else json.",
            ),
        ],
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
    "query": (Annotated[str | None, typer.Option(metavar="EXPR", help="JMESPath expression on the record.")], None),
    "reproducible": (
        Annotated[bool, typer.Option("--reproducible", help="Leave out fetched_at: same job, same bytes.")],
        False,
    ),
    "allow_partial": (
        Annotated[bool, typer.Option("--allow-partial", help="A job that ended with failed items is a success.")],
        False,
    ),
}


_TABLE: Params = {
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


def _common(context: typer.Context, values: dict[str, Any]) -> Any:
    from jobfetch.commands.report import Common

    before = context.obj or {}
    return Common(
        json=values["json"] or before.get("json", False),
        quiet=values["quiet"] or before.get("quiet", False),
        verbose=values["verbose"] + before.get("verbose", 0),
        log_format=values["log_format"] or before.get("log_format"),
    )


class Told(Struct, frozen=True, dict=True):
    """What the help of a command says beside its options; `short` is for the list of commands."""

    purpose: str
    example: str
    ends: tuple[Exit, ...]
    short: str | None = None


def _declare(
    group: typer.Typer,
    name: str,
    work: Callable[[typer.Context, dict[str, Any]], int],
    params: Callable[[], Params],
    told: Told,
) -> None:
    """Register a command whose parameters are data: name -> (annotation, default)."""

    def command(context: typer.Context, **values: Any) -> int:
        return work(context, values)

    def complete(info: Any) -> None:
        every = {"context": (typer.Context, inspect.Parameter.empty), **params(), **_COMMON}
        command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # functions take it all the same
            [
                inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
                for key, (annotation, default) in every.items()
            ]
        )
        command.__annotations__ = {key: annotation for key, (annotation, _) in every.items()}
        info.cls = shape.shaped(told.example, told.ends)

    command.complete = complete  # type: ignore[attr-defined]  # likewise
    command.__doc__ = told.purpose
    group.command(name, short_help=told.short)(command)


def complete(program: typer.Typer) -> typer.Typer:
    """A program whose commands have their options: to make those of all sixty takes longer than to run one."""
    for info in program.registered_commands:
        info.callback.complete(info)  # type: ignore[union-attr]  # each was declared above
    for group in program.registered_groups:
        if group.typer_instance:
            complete(group.typer_instance)
    return program


def _metavar(name: str) -> str:
    """What stands behind an option in the help."""
    last = name.rpartition("_")[2]
    return {"states": "WORD=STATE,...", "url": "URL"}.get(last, last.upper())


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _settings(provider: Provider, *, files: bool = True) -> dict[str, str]:
    """What the settings of a provider are for, and the files that its secrets may be in, by name."""
    return {
        "base_url": "Address in front of the documented paths.",
        "states": "What the service's words mean where its documents are silent, for example rejected=failed.",
        **{param.name: param.help for param in provider.settings},
        **{f"{secret.name}_file": f"File that holds the {secret.name}." for secret in provider.auth.secrets if files},
    }


def _options(helps: dict[str, str], panel: str) -> Params:
    """Options that take a text each, by what they are for."""
    return {
        name: (
            Annotated[str | None, typer.Option(metavar=_metavar(name), help=_sentence(text), rich_help_panel=panel)],
            None,
        )
        for name, text in helps.items()
    }


def _of_provider(provider: Provider, *, files: bool = True) -> Params:
    """Options for the settings of a provider."""
    return _options(_settings(provider, files=files), f"Settings of {provider.name}")


def _ids(provider: Provider) -> Params:
    argument = typer.Argument(metavar="JOB_ID...", help=_sentence(provider.job.id_help), show_default=False)
    return {"job_ids": (Annotated[list[str], argument], inspect.Parameter.empty)}


def _network(values: dict[str, Any], settings: Iterable[str]) -> Any:
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

    told = Told(
        f"{provider.title}: fetch the results of jobs, and wait for them if asked to.",
        f"jobfetch get {provider.name} {provider.job.example} --wait -o result.json",
        shape.JOBS,
        provider.title,
    )
    network = _NETWORK | _timeout("2m, with --wait 1h")
    _declare(
        group,
        provider.name,
        work,
        lambda: {**_ids(provider), **_GET, **_TABLE, **_of_provider(provider), **network},
        told,
    )


def _add_status(group: typer.Typer, provider: Provider) -> None:
    settings = _settings(provider)

    def work(context: typer.Context, values: dict[str, Any]) -> int:
        from jobfetch.commands import jobs

        return jobs.status(provider.name, values["job_ids"], _common(context, values), _network(values, settings))

    told = Told(
        f"{provider.title}: ask for the state of jobs; nothing is fetched.",
        f"jobfetch status {provider.name} {provider.job.example}",
        shape.JOBS,
        provider.title,
    )
    _declare(group, provider.name, work, lambda: {**_ids(provider), **_of_provider(provider), **_NETWORK}, told)


def _group(name: str) -> typer.Typer:
    group = typer.Typer(**PLAIN, cls=shape.Group, help=TOP[name], epilog=_EPILOG.format(f"jobfetch {name}", "COMMAND"))
    app.add_typer(group, name=name)
    return group


def _by_provider(place: str, text: str) -> typer.Typer:
    """A group whose commands are the providers."""
    epilog = _EPILOG.format(f"jobfetch {place}", "PROVIDER")
    return typer.Typer(**PLAIN, cls=shape.ByProvider, subcommand_metavar=PROVIDER, help=text, epilog=epilog)


_get = _by_provider("get", TOP["get"])
_status = _by_provider("status", TOP["status"])
app.add_typer(_get, name="get")
app.add_typer(_status, name="status")
for _provider in PROVIDERS.values():
    _add_get(_get, _provider)
    _add_status(_status, _provider)

auth = _group("auth")
_login = _by_provider("auth login", "Give a secret: typed without an echo, or piped in; it is tried before it is kept.")
auth.add_typer(_login, name="login", short_help="Give a secret, and keep it once it was tried.")


def _add_login(provider: Provider) -> None:
    settings = _settings(provider, files=False)

    def work(context: typer.Context, values: dict[str, Any]) -> int:
        from jobfetch.commands import login

        network = _network(values, settings)
        return login.login(
            provider.name, _common(context, values), network, secret=values["secret"], check=values["check"]
        )

    told = Told(
        f"{provider.title}: keep a credential, and the settings given with it.",
        f"jobfetch auth login {provider.name} --secret {provider.auth.secrets[0].name}",
        shape.ACCOUNT,
        provider.title,
    )

    def params() -> Params:
        secrets = ", ".join(secret.name for secret in provider.auth.secrets)
        which = f"Which secret to give: {secrets}."
        return {
            "secret": (Annotated[str | None, typer.Option(metavar="NAME", help=which)], None),
            "check": (Annotated[bool, typer.Option("--check/--no-check", help="Try it at the service first.")], True),
            **_of_provider(provider, files=False),
            **_ASKING,
            "secret_stdin": _NETWORK["secret_stdin"],
        }

    _declare(_login, provider.name, work, params, told)


for _provider in PROVIDERS.values():
    _add_login(_provider)

config = _group("config")


batch = _group("batch")
_download = _by_provider(
    "batch download", "Fetch every job that is not there yet: those that the service lists, or --jobs."
)
batch.add_typer(_download, name="download", short_help="Fetch every job that is not there yet.")

_BATCH: Params = {
    "workers": (Annotated[int | None, typer.Option(metavar="N", help="Jobs at a time. Default by provider.")], None),
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
        Annotated[
            Format | None,
            typer.Option(
                "--format",
                "-f",
                metavar="FORMAT",
                help="json (default), raw, or a table beside the records: ndjson, csv, parquet, sqlite.",
            ),
        ],
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

_SOURCE: Params = {
    "output": (Annotated[str | None, typer.Option("--output", "-o", metavar="DIR", help="The folder to fill.")], None),
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


def _jobs(provider: Provider) -> Params:
    rest = "Default: those that the service lists" if provider.listing else "Needed, since the service lists none"
    text = f"Ids to fetch, or - for a pipe: one a line, a CSV column or an NDJSON key. {rest}."
    return {"jobs": (Annotated[str | None, typer.Option(metavar="FILE|-", help=text)], None)}


def _add_download(provider: Provider) -> None:
    filters = {param.name: param.help for param in provider.filters}
    settings = {**_settings(provider), **filters}

    def work(context: typer.Context, values: dict[str, Any]) -> int:
        from jobfetch.commands import batch as command

        named = ("jobs", *_SOURCE, *_BATCH)
        options = command.Options(**{name: values[name] for name in named if name != "interval"})
        return command.fetch(provider.name, _common(context, values), _network(values, settings), options)

    which = "--limit 10" if provider.listing else "--jobs ids.txt"
    told = Told(
        f"{provider.title}: fetch every job that is not there yet.",
        f"jobfetch batch download {provider.name} {which} -o results",
        shape.FOLDER,
        provider.title,
    )

    def params() -> Params:
        of_provider = {**_of_provider(provider), **_options(filters, f"Filters of {provider.name}")}
        return {**_jobs(provider), **_SOURCE, **_BATCH, **of_provider, **_NETWORK, **_timeout("1h")}

    _declare(_download, provider.name, work, params, told)


for _provider in PROVIDERS.values():
    _add_download(_provider)

_DIR: Params = {
    "folder": (
        Annotated[str, typer.Argument(metavar="DIR", help="A folder that `batch download` filled, or its parent.")],
        inspect.Parameter.empty,
    )
}
# whose jobs a folder holds stands in its manifest; where and how to ask may have to be said again
_ACCOUNT = {
    name: text
    for provider in PROVIDERS.values()
    for name, text in _settings(provider).items()
    if name in provider.account_options
}


def _add_again(name: str, told: Told, more: Params) -> None:
    """Register a command on a folder that may ask the folder's own service again."""

    def work(context: typer.Context, values: dict[str, Any]) -> int:
        from jobfetch.commands import audit
        from jobfetch.commands import batch as command

        options = command.Options(**{key: values[key] for key in _BATCH if key != "interval"})
        said = {key: values[key] for key in _ACCOUNT if values[key] is not None}
        function: Callable[..., int] = getattr(audit, name)
        extra = {key: values[key] for key in more}
        return function(values["folder"], _common(context, values), _network(values, said), options, **extra)

    def params() -> Params:
        account = _options(_ACCOUNT, "Settings of the folder's service")
        return {**_DIR, **more, **_BATCH, **account, **_NETWORK, **_timeout("1h")}

    _declare(batch, name, work, params, told)


_add_again(
    "retry",
    Told(
        "Ask again for the jobs of a folder that failed or still ran.",
        "jobfetch batch retry results --wait",
        shape.FOLDER,
    ),
    {},
)
_add_again(
    "verify",
    Told(
        "Compare the files of a folder with its manifest, by length and hash.",
        "jobfetch batch verify results --repair",
        shape.FOLDER,
        "Compare the files of a folder with its manifest.",
    ),
    {"repair": (Annotated[bool, typer.Option("--repair", help="Fetch again what differs.")], False)},
)

providers = _group("providers")
sandbox = _group("sandbox")
completions = _group("completions")


_PACE = {
    "pace": (
        Annotated[
            float, typer.Option(min=0.01, metavar="FACTOR", help="How fast time passes in it; below 1 is faster.")
        ],
        1.0,
    ),
    "trouble": (
        Annotated[
            float,
            typer.Option(min=0, max=1, metavar="SHARE", help="Share of requests that go wrong, whatever is asked."),
        ],
        0.0,
    ),
}


def _add(group: typer.Typer, name: str, work: str, params: Params, told: Told) -> None:
    """Register a command whose values go to the function of `commands` by that name, as they are."""

    def run(context: typer.Context, values: dict[str, Any]) -> int:
        module, _, name = work.partition(".")
        function: Callable[..., int] = getattr(import_module(f"jobfetch.commands.{module}"), name)
        taken = {key: values[key] for key in params}
        if set(_ASKING) <= set(params):
            from jobfetch.commands.account import Network

            taken["network"] = Network(options={}, **{key: taken.pop(key) for key in _ASKING})
        return function(common=_common(context, values), **taken)

    _declare(group, name, run, lambda: params, told)


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

_add(
    auth,
    "logout",
    "auth.logout",
    {**_NAME, **_PROFILE},
    Told("Forget a provider's secrets and tokens, or one profile's.", "jobfetch auth logout playment", shape.KEPT),
)
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
    Told(
        "Tell which credential is there, where it comes from, and until when it is good.",
        "jobfetch auth status --check",
        shape.ACCOUNT,
        "Tell which credentials are there, and where each comes from.",
    ),
)
_add(config, "path", "settings.path", {}, Told("Print where config.toml lies.", "jobfetch config path", shape.READ))
_add(
    config,
    "show",
    "settings.show",
    {**_ANY, **_PROFILE},
    Told("Show every setting, and where its value comes from.", "jobfetch config show playment", shape.READ),
)
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
    Told("Set a key of config.toml; comments stay.", "jobfetch config set defaults.timeout 30m", shape.WRITTEN),
)
_add(
    config,
    "unset",
    "settings.remove",
    _KEY,
    Told("Take a key, or a whole table, out of config.toml.", "jobfetch config unset defaults.timeout", shape.WRITTEN),
)
_add(
    config,
    "init",
    "settings.init",
    {},
    Told("Write config.toml with every setting in it commented out.", "jobfetch config init", shape.WRITTEN),
)
_add(
    app,
    "doctor",
    "doctor.doctor",
    {**_ANY, **_ASKING},
    Told(TOP["doctor"], "jobfetch doctor playment", shape.ACCOUNT),
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
                typer.Option(
                    "--format",
                    "-f",
                    metavar="FORMAT",
                    help="csv, ndjson, json, parquet or sqlite. Default: by the suffix, with .gz or .zst behind it or not.",
                ),
            ],
            None,
        ),
        "rows": _GET["rows"],
        **_TABLE,
    },
    Told(TOP["export"], "jobfetch export results -o results.csv", shape.TABLE),
)
_add(
    batch,
    "status",
    "audit.status",
    _DIR,
    Told("Tell what a folder holds: states, bytes, failures by cause.", "jobfetch batch status results", shape.JOBS),
)
_add(providers, "list", "providers.list_all", {}, Told("List the providers.", "jobfetch providers list", shape.SHOWN))
_add(
    providers,
    "show",
    "providers.show",
    {"name": (Annotated[str, typer.Argument(help="The provider's name.")], inspect.Parameter.empty)},
    Told("Show a provider's settings, secrets and states.", "jobfetch providers show cognite", shape.SHOWN),
)
_add(
    sandbox,
    "jobs",
    "sandbox.jobs",
    {},
    Told(
        "List what the sandbox plays, by job id, with the exit code to expect.",
        "jobfetch sandbox jobs",
        shape.SHOWN,
        "List what the sandbox plays, by job id.",
    ),
)
_add(
    sandbox,
    "serve",
    "sandbox.serve",
    {
        "port": (
            Annotated[
                int, typer.Option(min=0, max=65535, metavar="PORT", help="Port of the services; 0 takes a free one.")
            ],
            0,
        ),
        "storage_port": (
            Annotated[int, typer.Option(min=0, max=65535, metavar="PORT", help="Port of the foreign storage.")],
            0,
        ),
        **_PACE,
    },
    Told(
        "Play the services until interrupted; prints the environment that reaches them.",
        "jobfetch sandbox serve --pace 0.1",
        shape.SHOWN,
        "Play the services until interrupted.",
    ),
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
    Told(
        "Run a command against a sandbox of its own, apart from everything real; its exit code is passed on.",
        "jobfetch sandbox run -- jobfetch get cognite 123 --wait",
        shape.SHOWN,
        "Run a command against a sandbox of its own.",
    ),
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
    Told(TOP["demo"], "jobfetch demo -o demo", shape.DEMO),
)

_SHELL = {
    "shell": (
        Annotated[
            str | None, typer.Argument(metavar="[bash|zsh|fish]", help="Unless named, the one that SHELL names.")
        ],
        None,
    )
}
_add(
    completions,
    "show",
    "completions.show",
    _SHELL,
    Told("Print the completion file of a shell.", "jobfetch completions show bash", shape.SHOWN),
)
_add(
    completions,
    "install",
    "completions.install",
    _SHELL,
    Told("Put that file where the shell looks for it.", "jobfetch completions install zsh", shape.READ),
)
