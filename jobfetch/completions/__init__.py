"""What only this machine knows, for a TAB press: profiles, keys of config.toml, job ids that a folder has on record.

The shells' own files beside this module know all else, and ask here in between two key strokes. So this imports nothing
that takes long, asks no service, and prints no value of a setting or secret: names and job ids only.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence

#: The most bytes of one file that are looked at, the most folders, and the most words that are offered.
MOST_BYTES = 8 << 20
MOST_FOLDERS = 100
MOST_WORDS = 1000

#: A dotted key as its names, for example `("playment", "profiles", "work", "project")`.
Names = tuple[str, ...]


def words(kind: str, line: Sequence[str], environ: Mapping[str, str]) -> list[str]:
    """What may stand at the end of a line: a word each, or a word, a tab and what is to be told of it.

    Args:
        kind: one of `KINDS`.
        line: the words behind the program's name, the one under the cursor last (it may be empty).
        environ: the environment, which tells where config.toml lies.

    What cannot be read has no words: a TAB press is no place for an error.

    """
    begun = line[-1] if line else ""
    found = {word: told for word, told in KINDS[kind](line[:-1], begun, environ) if word.startswith(begun)}
    # a word that a terminal would act upon, or that would be two, is none
    offered = sorted(word for word in found if word.isprintable() and word not in line[:-1])
    return [f"{word}\t{found[word]}" if found[word] else word for word in offered[:MOST_WORDS]]


# --- config.toml and credentials.toml ---


def _profiles(before: Sequence[str], _: str, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The profiles of the provider that the line names, or of all; one may have a secret and no setting."""
    provider = _provider(before)
    for file in ("config.toml", "credentials.toml"):
        for names in _names(environ, file):
            if names[1:2] == ("profiles",) and len(names) > 2 and provider in {None, names[0]}:  # noqa: PLR2004 - provider, profiles, name
                yield names[2], names[0]


def _keys(_: Sequence[str], __: str, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Every key and table that stands in config.toml."""
    for names in _names(environ, "config.toml"):
        yield ".".join(names), ""


def _provider(before: Sequence[str]) -> str | None:
    """The provider that a line names, where its command has a place for one."""
    named = [word for word in before if not word.startswith("-")]
    place = 1 if named[:1] in (["get"], ["status"], ["doctor"]) else 2
    return named[place] if len(named) > place and named[:2] not in (["batch", "verify"], ["batch", "retry"]) else None


def _names(environ: Mapping[str, str], file: str) -> set[Names]:
    text = _text(os.path.join(config_folder(environ), file)).decode(errors="replace")  # noqa: PTH118 - pathlib takes longer than all this
    plain = _plain(text)
    return _parsed(text) if plain is None else plain


_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.")


def _plain(text: str) -> set[Names] | None:
    """The names in a file of plain lines, as nearly all are; None where only a parser can tell.

    A parser of TOML takes longer to import than Python takes to start.
    """
    found: set[Names] = set()
    table: Names = ()
    for line in map(str.strip, text.splitlines()):
        key, equals, value = (part.strip() for part in line.partition("="))
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            key, _, rest = line[1:].partition("]")
            names = table = tuple(key.split("."))
            if rest.strip() and not rest.strip().startswith("#"):
                return None
        elif not equals or value[:3] in {'"""', "'''"} or value[:1] == "{" or (value[:1] == "[" and value[-1:] != "]"):
            return None
        else:
            names = (*table, *key.split("."))
        if not _BARE.issuperset(key) or ".." in f".{key}.":
            return None
        found.update(names[:depth] for depth in range(1, len(names) + 1))
    return found


def _parsed(text: str) -> set[Names]:
    import tomllib  # noqa: PLC0415 - see `_plain`

    found: set[Names] = set()

    def walk(table: Mapping[str, object], above: Names) -> None:
        for name, value in table.items():
            found.add((*above, name))
            if isinstance(value, dict):
                walk(value, (*above, name))

    try:
        walk(tomllib.loads(text), ())
    except (ValueError, RecursionError):  # half-written: whoever reads it next is told
        return set()
    return found


def config_folder(environ: Mapping[str, str]) -> str:
    """Where config.toml lies, as `places.config_folder` has it."""
    if said := environ.get("JOBFETCH_CONFIG_DIR"):
        return os.path.abspath(said)  # noqa: PTH100 - pathlib takes longer than all this
    if sys.platform in {"darwin", "win32"}:
        from jobfetch import places  # noqa: PLC0415 - elsewhere it is not needed, and takes long

        return str(places.config_folder(environ))
    usual = environ.get("XDG_CONFIG_HOME", "").strip() or os.path.expanduser("~/.config")  # noqa: PTH111 - likewise
    return os.path.join(usual, "jobfetch")  # noqa: PTH118 - likewise


# --- the manifests of batch folders ---

_BEGINS = b'{"schema":"jobfetch.manifest/'
_JOB = b'{"job_id":"'


def _jobs(before: Sequence[str], begun: str, _: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The ids on record in the folder that the line names with -o, else in this one; each with its last state."""
    named = [before[at + 1] for at, word in enumerate(before[:-1]) if word in {"-o", "--output"}]
    named += [word.partition("=")[2] for word in before if word.startswith("--output=")]
    top = next((place for place in named if os.path.isdir(place)), ".")  # noqa: PTH112 - pathlib takes longer than all this
    provider = f'"provider":"{_provider(before)}"'.encode()
    # what needs an escape is compared once it is read
    prefix = _JOB + (begun.encode(errors="replace") if begun.isascii() and begun.isalnum() else b"")
    for folder in (top, *_folders(top)):
        header, *lines = _text(os.path.join(folder, "manifest.jsonl")).split(b"\n")  # noqa: PTH118 - likewise
        if header.startswith(_BEGINS) and provider in header:
            for line in lines:
                if line.startswith(prefix) and line.endswith(b"}"):
                    yield _job(line)


def _job(line: bytes) -> tuple[str, str]:
    """The id and the state in a line, as they are always written: first of all, and without blanks."""
    job_id, _, rest = line.removeprefix(_JOB).partition(b'"')
    if b"\\" in job_id:
        import json  # noqa: PLC0415 - hardly any id has such a character

        job_id = str(json.loads(line)["job_id"]).encode(errors="surrogatepass")
    state = rest.removeprefix(b',"state":"').partition(b'"')[0] if rest.startswith(b',"state":"') else b""
    return job_id.decode(errors="replace"), state.decode(errors="replace")


def _folders(top: str) -> list[str]:
    """The folders in a folder: one each batch, where a project has several."""
    try:
        with os.scandir(top) as found:
            return sorted(each.path for _, each in zip(range(MOST_FOLDERS), found, strict=False) if each.is_dir())
    except OSError:
        return []


def _text(path: str) -> bytes:
    """The beginning of a file; nothing where there is none, or where it is none of the usual kind."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with open(descriptor, "rb") as file:  # noqa: PTH123 - it is open
            return file.read(MOST_BYTES) or b""
    except OSError:
        return b""


#: What can be asked for: name -> what gives the words, from the words before the cursor and the one begun there.
KINDS = {"profiles": _profiles, "keys": _keys, "jobs": _jobs}
