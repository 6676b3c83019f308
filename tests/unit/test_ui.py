"""What a person sees on standard error: never a secret, never a control character, and not too much."""

import base64
import io
import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobfetch.errors import NotFound, Unavailable
from jobfetch.model import Reply, State, Status
from jobfetch.ui import HEARTBEAT, Ui, clean

SECRETS = [
    "plain-secret-123",
    "quo\"te and apos'trophe",
    "new\nline\r\nand\ttab",
    "100% of %41 + more/less?",
    "пароль-密码-é",
    "back\\slash\\n",
    "a&b=c;d",
    "\x1b[31mred",
    "trailing/==",
]

SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "url": lambda secret: f"https://x.example.com/?key={quote(secret, safe='')}&b",
    "path": lambda secret: f"https://x.example.com/{quote(secret)}",
    "form": lambda secret: f"client_secret={quote_plus(secret)}",
    "json": lambda secret: json.dumps({"key": secret}),
    "json in utf-8": lambda secret: json.dumps({"key": secret}, ensure_ascii=False),
    "repr": lambda secret: repr({"key": secret}),
    "base64": lambda secret: f"Basic {base64.b64encode(secret.encode()).decode()}",
    "base64url": lambda secret: base64.urlsafe_b64encode(secret.encode()).decode(),
}


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


class Gone(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


@pytest.fixture
def make() -> Callable[..., tuple[Ui, io.StringIO, list[float]]]:
    """A factory: `ui, stream, time = make(quiet=True)`; `time[0]` is the clock."""

    def build(
        *, quiet: bool = False, verbose: int = 0, stream: io.StringIO | None = None, **environ: str
    ) -> tuple[Ui, io.StringIO, list[float]]:
        out, time = stream or io.StringIO(), [0.0]
        return Ui(quiet=quiet, verbose=verbose, environ=environ, stream=out, clock=lambda: time[0]), out, time

    return build


Make = Callable[..., tuple[Ui, io.StringIO, list[float]]]


def status(word: str = "Running", state: State = State.RUNNING, **more: Any) -> Status:
    return Status(state=state, provider_state=word, reply=Reply(200, {}, b"{}"), **more)


# --- secrets ---


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_never_written_in_whatever_spelling(make: Make, secret: str, spelling: str) -> None:
    ui, stream, _ = make()
    ui.learn(secret)
    written = SPELLINGS[spelling](secret)
    ui.note(f"before {written} after")
    assert clean(written) not in stream.getvalue()
    assert secret not in stream.getvalue()
    # the query of an address is left out as a whole
    assert "***" in stream.getvalue() or spelling == "url"
    assert stream.getvalue().startswith("before ")


def test_an_address_is_written_without_user_and_query(make: Make) -> None:
    ui, stream, _ = make()
    ui.note("failed: https://me:key@store.example/a?X-Amz-Signature=abc#d, and http://u@h/?sig=1.")
    assert stream.getvalue() == "failed: https://store.example/a and http://h/\n"


@given(st.text(st.characters(codec="utf-8"), min_size=8), st.sampled_from(sorted(SPELLINGS)))
def test_any_secret_is_taken_out(secret: str, spelling: str) -> None:
    ui = Ui(quiet=False, verbose=0, environ={}, stream=io.StringIO())
    ui.learn(secret)
    assert secret not in ui.scrub(SPELLINGS[spelling](secret)).replace("***", "")


def test_a_secret_is_taken_out_of_every_part_of_an_error(make: Make) -> None:
    ui, stream, _ = make()
    ui.learn("hunter2!")
    ui.error(NotFound("no hunter2! here", hint="try hunter2!", request_id="hunter2!"))
    ui.block("Traceback\n  hunter2!\n")
    ui.failed("hunter2!", Unavailable("hunter2!"), 1.0)
    ui.looked("1", status(word="hunter2!", message="hunter2!", warnings=("hunter2!",)), None)
    assert "hunter2!" not in stream.getvalue()
    assert stream.getvalue().count("***") >= 8


def test_of_two_secrets_in_one_another_the_longer_goes_first(make: Make) -> None:
    ui, stream, _ = make()
    ui.learn("abc")
    ui.learn("abc-def")
    ui.note("abc-def and abc")
    assert stream.getvalue() == "*** and ***\n"


def test_text_without_a_secret_stays(make: Make) -> None:
    ui, stream, _ = make()
    ui.learn("hunter2!")
    ui.note("nothing to hide: 100 % é")
    assert stream.getvalue() == "nothing to hide: 100 % é\n"


def test_an_empty_secret_does_not_blot_everything_out(make: Make) -> None:
    ui, stream, _ = make()
    ui.learn("")
    ui.note("text")
    assert stream.getvalue() == "text\n"


# --- control characters ---

BIDI = ["\u061c", "\u200e", "\u200f", *map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))]


@pytest.mark.parametrize("char", [*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0)), *BIDI], ids=ascii)
def test_a_control_character_is_written_out(char: str) -> None:
    assert char not in clean(f"a{char}b")
    assert clean(f"a{char}b").isprintable()


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])))
def test_letters_numbers_and_signs_stay(text: str) -> None:
    assert clean(text) == text


def test_words_of_a_service_cannot_forge_a_line(make: Make) -> None:
    ui, stream, _ = make()
    ui.warn("all is well\nerror: \x1b[31mnot\x1b[0m")
    assert stream.getvalue() == "warning: all is well\\nerror: \\x1b[31mnot\\x1b[0m\n"


# --- how much is said ---


def test_quiet_silences_narration_and_not_errors(make: Make) -> None:
    ui, stream, _ = make(quiet=True, verbose=2)
    ui.note("note")
    ui.detail("detail")
    ui.warn("warning")
    ui.looked("1", status(), 2.0)
    ui.stuck("1", status(), 900.0)
    assert stream.getvalue() == ""
    ui.error(NotFound("who?", hint="check the id"))
    assert stream.getvalue() == "error: who?\n  hint: check the id\n"


def test_an_error_names_its_request_id(make: Make) -> None:
    ui, stream, _ = make()
    ui.error(NotFound("who?", request_id="r-1"))
    assert stream.getvalue() == "error: who?\n  request id: r-1\n"


@pytest.mark.parametrize(("verbose", "told"), [(0, ""), (1, "retry\n"), (2, "retry\n")])
def test_details_are_for_those_who_ask(make: Make, verbose: int, told: str) -> None:
    ui, stream, _ = make(verbose=verbose)
    ui.detail("retry")
    assert stream.getvalue() == told


def test_a_change_of_state_is_said_once(make: Make) -> None:
    ui, stream, _ = make()
    for word in ("Queued", "Queued", "Running", "Running", "Running"):
        ui.looked("7", status(word), 2.0)
    ui.looked("7", status("Completed", State.SUCCEEDED), None)
    assert [line.split(";")[0] for line in stream.getvalue().splitlines()] == [
        "7 running (Queued)",
        "7 running (Running)",
        "7 succeeded (Completed)",
    ]


def test_while_nothing_changes_there_is_a_sign_of_life_a_minute(make: Make) -> None:
    ui, stream, time = make()
    for second in range(0, 301, 5):
        time[0] = float(second)
        ui.looked("7", status(), 5.0)
    assert HEARTBEAT == 60.0
    assert stream.getvalue().count("\n") == 6


def test_every_job_has_its_own_sign_of_life(make: Make) -> None:
    ui, stream, _ = make()
    for job_id in ("1", "2", "1", "2"):
        ui.looked(job_id, status(), 5.0)
    assert stream.getvalue().count("\n") == 2


def test_those_who_ask_twice_hear_of_every_look(make: Make) -> None:
    ui, stream, _ = make(verbose=2)
    for _ in range(3):
        ui.looked("7", status(), 5.0)
    assert stream.getvalue().count("\n") == 3


def test_a_line_tells_progress_words_and_the_next_look(make: Make) -> None:
    ui, stream, _ = make()
    ui.looked("7", status(progress=35.0, message="page 3"), 5.4)
    assert stream.getvalue() == "7 running (Running) 35 %: page 3; next look in 5.4 s\n"


def test_an_unknown_word_is_warned_of_once(make: Make) -> None:
    ui, stream, time = make()
    for second in range(0, 600, 30):
        time[0] = float(second)
        ui.looked("7", status(warnings=("nobody knows 'Starting'",)), 30.0)
    assert stream.getvalue().count("warning: nobody knows 'Starting'") == 1


def test_a_stuck_job_is_a_warning(make: Make) -> None:
    ui, stream, _ = make()
    ui.stuck("7", status(), 900.0)
    assert "7 has been Running for 15 min" in stream.getvalue()


def test_a_failed_look_is_said_with_the_next_one(make: Make) -> None:
    ui, stream, _ = make()
    ui.failed("7", Unavailable("nobody there"), 2.0)
    assert stream.getvalue() == "7: nobody there; looking again in 2.0 s\n"


# --- terminals ---


@pytest.mark.parametrize("environ", [{}, {"TERM": "xterm"}, {"FORCE_COLOR": "1"}])
def test_what_is_no_terminal_gets_lines_and_no_control_characters(make: Make, environ: dict[str, str]) -> None:
    ui, stream, _ = make(**environ)
    ui.looked("7", status(), 5.0)
    ui.note("note")
    ui.looked("7", status("Completed", State.SUCCEEDED), None)
    ui.stop()
    assert all(line.isprintable() for line in stream.getvalue().splitlines())
    assert stream.getvalue().count("\n") == 3


def test_a_dumb_terminal_gets_lines_and_no_control_characters(make: Make) -> None:
    ui, stream, _ = make(stream=Tty(), TERM="dumb")
    ui.looked("7", status(), 5.0)
    assert stream.getvalue() == "7 running (Running); next look in 5.0 s\n"


def test_a_quiet_terminal_gets_nothing(make: Make) -> None:
    ui, stream, _ = make(stream=Tty(), quiet=True)
    ui.looked("7", status(), 5.0)
    ui.stop()
    assert stream.getvalue() == ""


def test_a_spinner_counts_the_seconds_to_the_next_look_down(make: Make) -> None:
    ui, stream, time = make(stream=Tty(), TERM="xterm")
    ui.looked("7", status(), 56.0)
    time[0] = 40.0
    ui.stop()
    assert "next look in 16 s" in stream.getvalue()


def test_stopping_without_a_spinner_is_nothing(make: Make) -> None:
    ui, stream, _ = make()
    ui.stop()
    assert stream.getvalue() == ""


def test_a_reader_that_went_away_does_not_change_how_the_command_ends(make: Make) -> None:
    ui, stream, _ = make(stream=Gone())
    ui.note("note")
    ui.error(NotFound("who?"))
    assert stream.getvalue() == ""


# --- tables on a terminal ---

HEAD = ("provider", "where it comes from", "")
ROWS = [("cognite", "client_secret from JOBFETCH_COGNITE_CLIENT_SECRET", "token until later"), ("playment", "nowhere")]


@pytest.fixture
def drawn(make: Make, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], str]:
    """The table as a terminal of so many columns shows it."""

    def draw(columns: int) -> str:
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setattr("sys.stdout", Tty())
        ui, *_ = make(TERM="xterm", NO_COLOR="1")
        return re.sub(r"\x1b\[[0-9;]*m", "", ui.table(HEAD, ROWS) or "")

    return draw


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_a_table_cuts_no_word_and_loses_none(drawn: Callable[[int], str], columns: int) -> None:
    shown = drawn(columns)
    assert sorted(shown.split()) == sorted(" ".join([*HEAD, *map(" ".join, ROWS)]).split())
    assert all(len(line) <= columns for line in shown.splitlines())


def test_where_words_would_have_to_be_cut_each_cell_has_a_line_of_its_own(drawn: Callable[[int], str]) -> None:
    first, second = ROWS
    assert drawn(40).splitlines() == [first[0], f"  {first[1]}", f"  {first[2]}", second[0], f"  {second[1]}"]
