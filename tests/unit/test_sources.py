"""Where secrets come from: which place wins, what each may hold, and what is never asked for nothing."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from jobfetch.credentials import Asked, Cache, Credential, find, held, places, vault
from jobfetch.credentials.sources import Place
from jobfetch.errors import ConfigError, CredentialsError
from jobfetch.places import Level, Levels
from jobfetch.providers import cognite, expertai, playment
from jobfetch.spec import Provider

Table = Mapping[str, Any]
FUTURE = "2100-01-01T00:00:00Z"


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., Asked]:
    """What a search knows: `ask(own={...}, env={...}, stored={None: {...}})`; `explicit` and `usual` are profiles."""

    def make(
        *,
        own: Table | None = None,
        explicit: Table | None = None,
        usual: Table | None = None,
        env: Mapping[str, str] | None = None,
        stored: Mapping[str | None, dict[str, str]] | None = None,
        **more: Any,
    ) -> Asked:
        others = (
            *([Level("usual", usual, "profile usual")] if usual is not None else []),
            Level(None, own or {}, "[acme]"),
        )
        nearest = Level("work", explicit, "profile work") if explicit is not None else None
        return Asked(
            environ=env or {},
            levels=Levels(nearest, others),
            stored=lambda: stored or {},
            cache=Cache(tmp_path / "state"),
            **more,
        )

    return make


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], str]:
    """A file with a secret in it, by name."""

    def put(name: str, text: str) -> str:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return str(tmp_path / name)

    return put


def printing(text: str, *, err: str = "", code: int = 0) -> list[str]:
    """A credential command that prints this."""
    program = f"import sys; sys.stdout.write({text!r}); sys.stderr.write({err!r}); sys.exit({code})"
    return [sys.executable, "-c", program]


def key_of(credential: Credential) -> str:
    return credential.secret


# --- the order ---

PLACES = (
    "standard input",
    "option",
    "explicit: file",
    "explicit: command",
    "explicit: stored",
    "our variable",
    "the vendor's variable",
    "our variable for a file",
    "systemd",
    "usual: file",
    "usual: command",
    "usual: stored",
    "own: file",
    "own: command",
    "own: stored",
)


@pytest.mark.parametrize("best", range(len(PLACES)), ids=PLACES)
def test_a_secret_comes_from_the_nearest_place(
    ask: Callable[..., Asked], write: Callable[[str, str], str], best: int
) -> None:
    there = PLACES[best:]

    def table(level: str) -> Table | None:
        told: dict[str, Any] = {}
        if f"{level}: file" in there:
            told["api_key_file"] = write(f"{level}-file", f"{level}: file")
        if f"{level}: command" in there:
            told["api_key_command"] = printing(f"{level}: command")
        return told if any(place.startswith(level) for place in there) else None

    env = {"JOBFETCH_PLAYMENT_API_KEY": "our variable"} if "our variable" in there else {}
    env |= {"PLAYMENT_API_KEY": "the vendor's variable"} if "the vendor's variable" in there else {}
    if "our variable for a file" in there:
        env["JOBFETCH_PLAYMENT_API_KEY_FILE"] = write("env-file", "our variable for a file")
    if "systemd" in there:
        env["CREDENTIALS_DIRECTORY"] = str(Path(write("jobfetch-playment", "systemd")).parent)
    names = {"explicit: stored": "work", "usual: stored": "usual", "own: stored": None}
    asked = ask(
        own=table("own"),
        usual=table("usual"),
        explicit=table("explicit"),
        env=env,
        stored={profile: {"api_key": place} for place, profile in names.items() if place in there},
        options={"api_key_file": write("option", "option")} if "option" in there else {},
        piped={"api_key": "standard input"} if "standard input" in there else None,
    )
    assert key_of(find(playment.PROVIDER, asked)) == PLACES[best]


def test_a_nearer_secret_of_the_second_scheme_comes_before_a_farther_one_of_the_first(
    ask: Callable[..., Asked],
) -> None:
    asked = ask(explicit={}, stored={"work": {"client_secret": "of the profile"}}, env={"CDF_TOKEN": "of the machine"})
    credential = find(cognite.PROVIDER, asked)
    assert (credential.scheme.secret, credential.secret) == ("client_secret", "of the profile")


def test_a_user_name_and_a_password_may_come_from_two_places(ask: Callable[..., Asked]) -> None:
    asked = ask(env={"EAI_USERNAME": "me"}, stored={None: {"password": "p"}})
    values = find(expertai.PROVIDER, asked).values
    assert {name: value.text for name, value in values.items()} == {"username": "me", "password": "p"}


def test_a_place_that_is_not_needed_is_not_opened(ask: Callable[..., Asked], tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    command = [sys.executable, "-c", f"open({str(touched)!r}, 'w'); print('k')"]
    find(playment.PROVIDER, ask(own={"api_key_command": command}, env={"PLAYMENT_API_KEY": "k"}))
    places(playment.PROVIDER, ask(own={"api_key_command": command}))
    held(playment.PROVIDER, ask(own={"api_key_command": command}))
    assert not touched.exists()
    find(playment.PROVIDER, ask(own={"api_key_command": command}))
    assert touched.exists()


def test_every_secret_that_is_found_is_learned_so_that_it_is_never_shown(ask: Callable[..., Asked]) -> None:
    learned: list[str] = []
    find(expertai.PROVIDER, ask(stored={None: {"username": "me", "password": "p"}}, learn=learned.append))
    assert learned == ["me", "p"]


def test_the_places_are_told_without_what_they_hold(ask: Callable[..., Asked]) -> None:
    asked = ask(own={"api_key_command": printing("hunter2")}, env={"PLAYMENT_API_KEY": "hunter2"})
    assert places(playment.PROVIDER, asked) == {"api_key": Place("PLAYMENT_API_KEY")}
    told = places(cognite.PROVIDER, ask(own={"token_command": ["x"]}))
    assert told == {"token": Place("token_command of [acme] (not run)")}


def test_a_place_that_cannot_be_opened_says_why(ask: Callable[..., Asked]) -> None:
    told = places(playment.PROVIDER, ask(own={"api_key_file": "/nowhere/key"}))
    assert "No such file" in (told["api_key"].problem or "")


def test_what_no_path_can_be_like_is_a_matter_of_configuration(ask: Callable[..., Asked]) -> None:
    with pytest.raises(ConfigError, match="no path can be like this"):
        find(playment.PROVIDER, ask(own={"api_key_file": "a\0b"}))


# --- files ---


@pytest.mark.parametrize("text", ["key", "key\n", "\ufeffkey\r\n", ' {"api_key": "key"}\n'])
def test_a_file_holds_one_plain_secret_or_an_object(
    ask: Callable[..., Asked], write: Callable[[str, str], str], text: str
) -> None:
    assert key_of(find(playment.PROVIDER, ask(own={"api_key_file": write("f", text)}))) == "key"


def test_one_file_may_hold_all_secrets_of_a_login(ask: Callable[..., Asked], write: Callable[[str, str], str]) -> None:
    path = write("f", json.dumps({"username": "me", "password": 'q"\n%ü'}))
    values = find(expertai.PROVIDER, ask(own={"password_file": path})).values
    assert values["password"].text == 'q"\n%ü'


def test_a_file_that_is_not_there_is_named_with_the_setting(ask: Callable[..., Asked]) -> None:
    with pytest.raises(ConfigError, match=r"api_key_file of \[acme\]: /nowhere/key: No such file"):
        find(playment.PROVIDER, ask(own={"api_key_file": "/nowhere/key"}))


@pytest.mark.parametrize("text", ["", "\n", '{"hunter2": "x"}', '{"api_key": 1}', '{"api_key": "hunter2"', "{hunter2}"])
def test_a_file_without_a_secret_is_refused_unseen(
    ask: Callable[..., Asked], write: Callable[[str, str], str], text: str
) -> None:
    with pytest.raises(CredentialsError) as caught:
        find(playment.PROVIDER, ask(own={"api_key_file": write("f", text)}))
    assert "hunter2" not in f"{caught.value.message} {caught.value.hint}"


def test_a_file_is_opened_again_after_a_refusal(ask: Callable[..., Asked], write: Callable[[str, str], str]) -> None:
    credential = find(playment.PROVIDER, ask(own={"api_key_file": write("f", "old")}))
    write("f", "new")
    assert credential.again is not None
    assert credential.again("old") == {"api_key": "new"}


def test_a_pipe_that_nobody_writes_to_is_given_up(ask: Callable[..., Asked], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CredentialsError, match="gave nothing in time"):
        find(playment.PROVIDER, ask(own={"api_key_file": str(tmp_path / "pipe")}, patience=lambda: 0.1))


def test_a_home_may_be_short_for_its_path(
    ask: Callable[..., Asked], write: Callable[[str, str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write("f", "key")
    assert key_of(find(playment.PROVIDER, ask(own={"api_key_file": "~/f"}))) == "key"


# --- commands ---


def test_a_command_prints_one_line(ask: Callable[..., Asked]) -> None:
    assert key_of(find(playment.PROVIDER, ask(own={"api_key_command": printing("key\n")}))) == "key"


def test_a_command_is_read_by_no_shell(ask: Callable[..., Asked]) -> None:
    words = [sys.executable, "-c", "import sys; print(sys.argv[1])", "$HOME; `id` > x | 'q'"]
    assert key_of(find(playment.PROVIDER, ask(own={"api_key_command": words}))) == "$HOME; `id` > x | 'q'"


def test_a_command_may_print_an_object_with_the_end_of_its_life(ask: Callable[..., Asked]) -> None:
    told = json.dumps({"Version": 1, "api_key": "key", "Expiration": FUTURE})
    assert key_of(find(playment.PROVIDER, ask(own={"api_key_command": printing(told)}))) == "key"


def counted(tmp_path: Path, *, expires: str | None) -> tuple[list[str], Callable[[], int]]:
    """A command that gives another key each time, and how often it was run."""
    runs = tmp_path / "runs"
    program = (
        "import json, sys; runs = open(sys.argv[1], 'a+'); runs.write('x'); runs.seek(0); n = len(runs.read());"
        "told = {'api_key': f'key-{n}'}; told |= {'Expiration': sys.argv[2]} if sys.argv[2] else {};"
        "print(json.dumps(told))"
    )
    words = [sys.executable, "-c", program, str(runs), expires or ""]
    return words, lambda: len(runs.read_text()) if runs.exists() else 0


def test_what_it_printed_is_kept_until_its_end(ask: Callable[..., Asked], tmp_path: Path) -> None:
    words, runs = counted(tmp_path, expires=FUTURE)
    keys = [key_of(find(playment.PROVIDER, ask(own={"api_key_command": words}))) for _ in range(3)]
    assert (keys, runs()) == (["key-1"] * 3, 1)


def test_without_an_end_it_is_run_each_time(ask: Callable[..., Asked], tmp_path: Path) -> None:
    words, runs = counted(tmp_path, expires=None)
    keys = [key_of(find(playment.PROVIDER, ask(own={"api_key_command": words}))) for _ in range(2)]
    assert (keys, runs()) == (["key-1", "key-2"], 2)


@pytest.mark.parametrize("expires", [FUTURE, None])
def test_after_a_refusal_it_is_run_once_more(ask: Callable[..., Asked], tmp_path: Path, expires: str | None) -> None:
    words, runs = counted(tmp_path, expires=expires)
    credential = find(playment.PROVIDER, ask(own={"api_key_command": words}))
    assert credential.again is not None
    assert (credential.again(credential.secret), runs()) == ({"api_key": "key-2"}, 2)
    assert (credential.again("key-2"), runs()) == ({"api_key": "key-3"}, 3)


def test_its_end_can_be_told_without_running_it(ask: Callable[..., Asked], tmp_path: Path) -> None:
    words, runs = counted(tmp_path, expires=FUTURE)
    asked = ask(own={"api_key_command": words})
    find(playment.PROVIDER, asked)
    told = held(playment.PROVIDER, asked)
    assert told.kept is not None
    entry = asked.cache.peek(told.kept)
    assert entry is not None
    assert entry.expires_at == pytest.approx(4102444800, abs=2)
    assert runs() == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (printing("hunter2", code=3), "failed (exit code 3)"),
        (printing(""), "is empty"),
        (printing("hunter2\nmore"), "more than one line"),
        (printing('{"hunter2": 1}'), "holds an object"),
        (printing('{"api_key": "hunter2", "Expiration": "soon"}'), "no RFC 3339 time"),
        (printing('{"api_key": "hunter2", "Expiration": "2001-01-01T00:00:00Z"}'), "has expired"),
        (printing('{"api_key": "hunter2", "Expiration": 5}'), "no RFC 3339 time"),
    ],
)
def test_a_command_without_a_secret_is_refused_and_its_output_never_shown(
    ask: Callable[..., Asked], words: list[str], said: str
) -> None:
    with pytest.raises(CredentialsError) as caught:
        find(playment.PROVIDER, ask(own={"api_key_command": words}))
    assert said in caught.value.message
    assert "api_key_command of [acme]" in caught.value.message
    assert "hunter2" not in f"{caught.value.message} {caught.value.hint}"


def test_a_command_that_is_not_there_is_a_matter_of_configuration(ask: Callable[..., Asked]) -> None:
    with pytest.raises(ConfigError, match="no-such-command: No such file"):
        find(playment.PROVIDER, ask(own={"api_key_command": ["no-such-command"]}))


def test_a_command_that_hangs_is_ended_with_all_that_it_started(ask: Callable[..., Asked]) -> None:
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
    with pytest.raises(CredentialsError, match="took over"):
        find(
            playment.PROVIDER,
            ask(own={"api_key_command": [sys.executable, "-c", program]}, patience=lambda: 0.3),
        )


def test_a_command_that_leaves_something_behind_has_given_its_secret_all_the_same(ask: Callable[..., Asked]) -> None:
    words = ["sh", "-c", "sleep 600 & echo key"]
    assert key_of(find(playment.PROVIDER, ask(own={"api_key_command": words}))) == "key"


@pytest.mark.parametrize("ending", ["exit 3", "sleep 600"], ids=["failed", "took over"])
def test_the_last_words_of_a_command_that_gives_nothing_are_in_the_error(
    ask: Callable[..., Asked], ending: str
) -> None:
    words = ["sh", "-c", f"echo please touch the key >&2; {ending}"]
    patience = 0.5 if "sleep" in ending else 30.0
    with pytest.raises(CredentialsError, match="please touch the key"):
        find(playment.PROVIDER, ask(own={"api_key_command": words}, patience=lambda: patience))


def test_its_errors_are_told_after_its_output_is_known_as_a_secret(ask: Callable[..., Asked]) -> None:
    heard: list[str] = []
    asked = ask(
        own={"api_key_command": printing("hunter2\n", err="careful: hunter2\n")},
        tell=lambda text: heard.append(f"tell {text}"),
        learn=lambda text: heard.append(f"learn {text}"),
    )
    find(playment.PROVIDER, asked)
    assert heard.index("learn hunter2") < next(n for n, text in enumerate(heard) if text.startswith("tell"))
    assert any(text.endswith("careful: hunter2") for text in heard)


# --- the keyring ---


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A keyring that is a mapping."""
    kept: dict[str, str] = {}

    class Ring:
        get_password = staticmethod(lambda _service, name: kept.get(name))
        set_password = staticmethod(lambda _service, name, secret: kept.update({name: secret}))
        delete_password = staticmethod(lambda _service, name: kept.pop(name))

    monkeypatch.setitem(sys.modules, "keyring", Ring)
    return kept


def test_a_keyring_is_asked_last_and_only_where_it_was_chosen(ask: Callable[..., Asked], ring: dict[str, str]) -> None:
    vault.put("playment", None, "api_key", "of the ring")
    assert key_of(find(playment.PROVIDER, ask(keyring=True))) == "of the ring"
    assert key_of(find(playment.PROVIDER, ask(keyring=True, stored={None: {"api_key": "kept"}}))) == "kept"
    with pytest.raises(CredentialsError, match="none is set"):
        find(playment.PROVIDER, ask())


def test_a_keyring_keeps_profiles_apart_and_forgets(ring: dict[str, str]) -> None:
    vault.put("playment", "work", "api_key", "k")
    assert vault.get("playment", None, "api_key") is None
    assert [vault.remove("playment", "work", "api_key") for _ in range(2)] == [True, False]


def test_a_keyring_that_fails_is_told_without_its_words(
    ask: Callable[..., Asked], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Locked:
        @staticmethod
        def get_password(_service: str, _name: str) -> None:
            raise RuntimeError("hunter2")

    monkeypatch.setitem(sys.modules, "keyring", Locked)
    with pytest.raises(CredentialsError, match=r"cannot be used \(RuntimeError\)") as caught:
        find(playment.PROVIDER, ask(keyring=True))
    assert "config set credential_store file" in (caught.value.hint or "")
    assert "hunter2" not in caught.value.message


def test_a_keyring_that_is_not_installed_names_the_extra(
    ask: Callable[..., Asked], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(ConfigError) as caught:
        find(playment.PROVIDER, ask(keyring=True))
    assert ".[keyring]" in (caught.value.hint or "")


def test_a_provider_without_any_secret_names_the_ways_to_give_one(ask: Callable[..., Asked]) -> None:
    def hint(provider: Provider) -> str:
        with pytest.raises(CredentialsError) as caught:
            find(provider, ask())
        return caught.value.hint or ""

    assert "jobfetch auth login playment" in hint(playment.PROVIDER)
    assert "JOBFETCH_COGNITE_CLIENT_SECRET" in hint(cognite.PROVIDER)
