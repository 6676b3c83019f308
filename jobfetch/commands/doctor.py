"""`doctor`: looks at files, settings, secrets and the way to each service; every finding comes with what mends it."""

from __future__ import annotations

import os
import shlex
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct
from msgspec.structs import asdict, replace

from jobfetch import config, credentials, disk, export
from jobfetch.commands.account import Account, Line, Network, account_of, asked_of, deadline_of, now, opened, verified
from jobfetch.commands.auth import profiles_of, provider_named
from jobfetch.commands.report import Common, Report, run
from jobfetch.errors import ConfigError, CredentialsError, Exit, JobfetchError, Unavailable
from jobfetch.model import Reply, Request, http_date, origin, safe_url
from jobfetch.places import config_folder, state_folder
from jobfetch.providers import PROVIDERS
from jobfetch.spec import Kind, Provider
from jobfetch.transport.indirect import netrc_of, proxy_for
from jobfetch.ui import Ui

#: Seconds by which this machine's clock may be wrong before tokens and signed links suffer.
MOST_SKEW = 60.0
#: Seconds before the end of a credential at which it is worth a word.
SOON = 24 * 3600.0

OK, NOTE, WARNING, PROBLEM = "ok", "note", "warning", "problem"


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that was looked at: how it is, and the command that mends it; a problem has an exit code."""

    about: str
    level: str
    what: str
    fix: str | None = None
    exit_code: int = 0


def doctor(provider: str | None, common: Common, network: Network) -> int:
    """Look at everything that a run would need, and tell what would stop it."""

    def work(ui: Ui, report: Report) -> None:
        report.provider = provider
        specs = [provider_named(provider)] if provider else list(PROVIDERS.values())
        findings: list[Finding] = []
        report.data = []
        for finding in _all(ui, specs, network, named=provider is not None):
            findings.append(finding)
            report.data.append({key: ui.scrub_all(value) for key, value in asdict(finding).items()})
            if not common.json:
                export.to_stdout(_line(ui, finding).encode())
        problems = [finding for finding in findings if finding.level == PROBLEM]
        if problems:
            worst = min(finding.exit_code for finding in problems)
            first = next(finding for finding in problems if finding.exit_code == worst)
            rest = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
            raise _ERRORS[worst](f"{first.about}: {first.what}{rest}", hint=first.fix)

    return run(common, work)


_ERRORS: dict[int, type[JobfetchError]] = {
    int(Exit.CONFIG): ConfigError,
    int(Exit.CREDENTIALS): CredentialsError,
    int(Exit.UNAVAILABLE): Unavailable,
}


def _line(ui: Ui, finding: Finding) -> str:
    fix = f"\n         fix: {ui.safe(finding.fix)}" if finding.fix else ""
    return f"{finding.level:8} {ui.safe(f'{finding.about}: {finding.what}')}{fix}\n"


def _problem(about: str, error: JobfetchError) -> Finding:
    """An error as a finding: what a person must mend is 3 or 4, what the network must is 10."""
    code = error.exit
    if code in {Exit.RUNNING, Exit.UNAVAILABLE}:
        code = Exit.UNAVAILABLE
    elif code is not Exit.CREDENTIALS:
        code = Exit.CONFIG
    fix = error.hint and error.hint.replace("PROVIDER", about)
    what = error.message.removeprefix(f"{about} ")
    return Finding(about=about, level=PROBLEM, what=what, fix=fix, exit_code=int(code))


def _all(ui: Ui, specs: list[Provider], network: Network, *, named: bool) -> Iterator[Finding]:
    yield from _files()
    looked_at = 0
    for spec in specs:
        if named or _is_set_up(spec):
            looked_at += 1
            yield from _provider(ui, spec, network)
    if not looked_at:
        yield Finding(
            about="providers", level=NOTE, what="none is set up yet", fix=f"jobfetch auth login {'|'.join(PROVIDERS)}"
        )


# --- files ---


def _files() -> Iterator[Finding]:
    folder, state = config_folder(os.environ), state_folder(os.environ)
    if not folder.is_absolute():
        yield Finding(
            about="config",
            level=WARNING,
            what="HOME is not set and this user has no home, so only the environment counts",
            fix="export JOBFETCH_CONFIG_DIR=/a/folder/of/your/own JOBFETCH_STATE_DIR=/another",
        )
        return
    yield _config_file(folder / config.FILE_NAME)
    yield _credentials_file(credentials.store.path_of(os.environ))
    if _mode(folder) & 0o022:
        yield _open(
            folder, WARNING, "others can write here, so no secret is kept in it", f"chmod 700 {_quoted(folder)}"
        )
    yield _state(state)


def _config_file(path: Path) -> Finding:
    about = str(path)
    try:
        file = config.read(os.environ)
        file.check(PROVIDERS)
    except JobfetchError as error:
        return _problem("config.toml", error)
    if not file.source and not os.path.lexists(path):
        return Finding(about=about, level=NOTE, what="is not there; it is not needed", fix="jobfetch config init")
    if _mode(path) & 0o022:
        return _open(
            path, WARNING, "others can write it, and a command in it runs as you", f"chmod go-w {_quoted(path)}"
        )
    return Finding(about=about, level=OK, what="can be read, and every key in it is known")


def _credentials_file(path: Path) -> Finding:
    try:
        stored = credentials.store.read(os.environ, PROVIDERS)
    except JobfetchError as error:
        return _problem("credentials.toml", error)
    if not stored:
        return Finding(about=str(path), level=NOTE, what="holds nothing")
    return Finding(about=str(path), level=OK, what=f"for you alone; holds secrets of {', '.join(stored)}")


def _state(folder: Path) -> Finding:
    about = str(folder)
    nearest = next((each for each in (folder, *folder.parents) if os.path.exists(each)), folder)  # noqa: PTH110 - no error where one may not look
    if not os.access(nearest, os.W_OK | os.X_OK):
        what = "cannot be written, so tokens are asked for in every run"
        return Finding(about=about, level=WARNING, what=what, fix="export JOBFETCH_STATE_DIR=/a/folder/of/your/own")
    tokens = folder / "tokens"
    open_ = [each for each in (folder, tokens) if _mode(each) & 0o022]
    if open_:
        return _open(open_[0], WARNING, "others can write here", f"chmod 700 {_quoted(open_[0])}")
    loose = [path for path in tokens.glob("*.json") if _mode(path) & 0o077] if os.access(tokens, os.R_OK) else []
    if loose:
        what = f"{loose[0].name} can be read by others, so it is not used"
        return Finding(about=about, level=WARNING, what=what, fix=f"chmod -R go= {_quoted(tokens)}")
    return Finding(about=about, level=OK, what="tokens are kept here between runs, for you alone")


def _open(path: Path, level: str, what: str, fix: str) -> Finding:
    return Finding(about=str(path), level=level, what=f"{what} (mode {_mode(path):04o})", fix=fix)


def _mode(path: Path) -> int:
    try:
        return stat.S_IMODE(path.stat().st_mode) if disk.has_modes() else 0
    except OSError:  # not there, or not for us to look at
        return 0


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


# --- a provider ---


def _is_set_up(spec: Provider) -> bool:
    """Whether anybody has said anything about a provider."""
    variables = {name for param in (*config.params_of(spec), *spec.auth.secrets) for name in param.env}
    ours = f"JOBFETCH_{spec.name}_".upper()
    said = any(value and (name in variables or name.startswith(ours)) for name, value in os.environ.items())
    try:
        return said or bool(
            config.read(os.environ).table(spec.name) or spec.name in credentials.store.read(os.environ, PROVIDERS)
        )
    except JobfetchError:  # told of already
        return said


def _provider(ui: Ui, spec: Provider, network: Network) -> Iterator[Finding]:
    try:
        account = account_of(spec.name, Report(), network)
        where = account.values["base_url"]
        profile = account.profile
        yield Finding(
            about=spec.name,
            level=OK,
            what=f"{safe_url(where.text)} ({where.origin})" + (f", profile {profile}" if profile else ""),
        )
        yield from _secrets(ui, account, network)
    except JobfetchError as error:
        yield _problem(spec.name, error)
        return
    yield from _line_to(ui, account, network)
    for name in profiles_of(spec, account.file, account.stored):
        if name and name != profile and not network.profile:
            yield _other_profile(ui, spec, replace(network, profile=name))


def _other_profile(ui: Ui, spec: Provider, network: Network) -> Finding:
    """Where another account's secrets come from; nobody is asked about it."""
    about = f"{spec.name} profile {network.profile}"
    try:
        account = account_of(spec.name, Report(), network)
        held = credentials.held(spec, asked_of(account, network, ui, deadline_of(network, time.monotonic())))
        if held.scheme is None:
            raise credentials.missing(spec)
    except JobfetchError as error:
        return Finding(about=about, level=WARNING, what=error.message, fix=error.hint)
    return Finding(about=about, level=OK, what=", ".join(f"{n} from {v.origin}" for n, v in held.values.items()))


def _secrets(ui: Ui, account: Account, network: Network) -> Iterator[Finding]:
    """Where the secret comes from, and until when it is good."""
    spec = account.provider
    asked = asked_of(account, network, ui, deadline_of(network, time.monotonic()))
    held = credentials.held(spec, asked)
    for name, value in held.values.items():
        yield Finding(about=spec.name, level=OK, what=f"{name} from {value.origin}")
    if held.scheme is None:
        raise credentials.missing(spec)
    ends = credentials.expires(spec, account.texts, held, asked.cache, account.profile)
    renewed = held.kept or not credentials.is_ready(held.scheme)
    left = None if ends is None else ends - time.time()
    if left is not None and left <= 0 and not renewed:
        raise CredentialsError(
            f"the {held.scheme.secret} of {spec.name} has expired", hint=f"jobfetch auth login {spec.name}"
        )
    if left is not None and left < SOON and not renewed:
        yield Finding(
            about=spec.name,
            level=WARNING,
            what=f"the {held.scheme.secret} is good for {left / 3600:.1f} h more",
            fix=f"jobfetch auth login {spec.name}",
        )


def _line_to(ui: Ui, account: Account, network: Network) -> Iterator[Finding]:
    """Whether the service can be reached, is really the API, and takes the credential; and what is in the way."""
    spec, url = account.provider, account.values["base_url"].text
    proxy = proxy_for(url)
    if proxy:
        host = origin(url)[1]
        yield Finding(
            about=spec.name, level=NOTE, what=f"reached through the proxy {proxy}", fix=f"export NO_PROXY={host}"
        )
    if netrc_of(url):
        yield Finding(about=spec.name, level=NOTE, what=f"a .netrc names {origin(url)[1]}; jobfetch does not read it")
    deadline = deadline_of(network, time.monotonic())
    asked = asked_of(account, network, ui, deadline, checking=True)
    try:
        with opened(account, network, ui, deadline, asked) as line:
            reply = verified(line, spec)
            # a service without a cheap request says at least who it is
            answer = reply or _anybody(spec, line)
    except JobfetchError as error:
        yield _problem(spec.name, error)
        return
    if reply:
        yield Finding(about=spec.name, level=OK, what="answers as the API, and takes the credential")
    else:
        got = "the login gives a token, and the address " if line.renews else "the address "
        what = f"{got}answers JSON (HTTP {answer.status}); there is no cheap request that would tell more"
        yield Finding(about=spec.name, level=NOTE, what=what)
    yield from _clock(spec, answer)


def _anybody(spec: Provider, line: Line) -> Reply:
    """Any answer of the API itself about a job that hardly exists; a web page in its place is none."""
    reply = line.send(Request(url=replace(line.address, job_id="0").url(spec.job.path)))
    _ = reply.document
    trouble = spec.errors.read(reply)
    if trouble and trouble.kind in {Kind.CREDENTIALS, Kind.FORBIDDEN}:
        raise trouble.error()
    return reply


def _clock(spec: Provider, reply: Reply) -> Iterator[Finding]:
    theirs = http_date(reply.headers.get("date", ""))
    skew = (now() - theirs).total_seconds() if theirs else 0.0
    if abs(skew) > MOST_SKEW:
        what = f"this machine's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the service's"
        yield Finding(about=spec.name, level=WARNING, what=what, fix="sudo timedatectl set-ntp true")
    elif theirs:
        yield Finding(about=spec.name, level=OK, what="the clocks agree")
