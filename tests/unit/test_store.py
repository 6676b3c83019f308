"""credentials.toml and config.toml: written whole, for whom they are for, and refused where something is wrong."""

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from jobfetch import config
from jobfetch.credentials import store
from jobfetch.errors import ConfigError, UsageError
from jobfetch.providers import PROVIDERS

Environ = dict[str, str]


@pytest.fixture
def environ(tmp_path: Path) -> Environ:
    return {"JOBFETCH_CONFIG_DIR": str(tmp_path / "config")}


@pytest.fixture
def written(environ: Environ) -> Callable[..., Path]:
    """Write one of the files: `written("credentials.toml", text, mode=0o600)`."""

    def write(name: str, text: str, *, mode: int = 0o600) -> Path:
        path = Path(environ["JOBFETCH_CONFIG_DIR"]) / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
        return path

    return write


# --- secrets ---


def test_what_is_remembered_can_be_read_and_forgotten(environ: Environ) -> None:
    store.remember(environ, PROVIDERS, "playment", None, {"api_key": 'q"\n%ü\\'})
    store.remember(environ, PROVIDERS, "playment", "work", {"api_key": "w"})
    store.remember(environ, PROVIDERS, "cognite", None, {"client_secret": "c"})
    assert store.read(environ, PROVIDERS)["playment"] == {None: {"api_key": 'q"\n%ü\\'}, "work": {"api_key": "w"}}
    assert store.forget(environ, PROVIDERS, "playment", "work") == ["work"]
    assert store.forget(environ, PROVIDERS, "playment", None) == [None]
    assert store.read(environ, PROVIDERS) == {"cognite": {None: {"client_secret": "c"}}}


def test_a_new_secret_takes_the_place_of_all_that_its_account_had(environ: Environ) -> None:
    store.remember(environ, PROVIDERS, "cognite", None, {"token": "t"})
    store.remember(environ, PROVIDERS, "cognite", None, {"client_secret": "c"})
    assert store.read(environ, PROVIDERS)["cognite"][None] == {"client_secret": "c"}


def test_file_and_folder_are_for_their_owner_alone(environ: Environ) -> None:
    path = store.remember(environ, PROVIDERS, "playment", None, {"api_key": "k"})
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert [each.name for each in path.parent.iterdir()] == ["credentials.toml"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644, 0o666])
def test_a_file_that_others_can_read_is_refused_with_the_command_that_mends_it(
    environ: Environ, written: Callable[..., Path], mode: int
) -> None:
    path = written("credentials.toml", '[playment]\napi_key = "k"\n', mode=mode)
    with pytest.raises(ConfigError, match=f"mode {mode:04o}") as caught:
        store.read(environ, PROVIDERS)
    assert (caught.value.exit, caught.value.hint) == (3, f"chmod 600 {path}")
    with pytest.raises(ConfigError):
        store.remember(environ, PROVIDERS, "playment", None, {"api_key": "new"})
    assert "new" not in path.read_text()


@pytest.mark.parametrize("mode", [0o770, 0o777, 0o720])
def test_a_folder_that_others_can_write_gets_no_secret(
    environ: Environ, written: Callable[..., Path], mode: int
) -> None:
    folder = written("config.toml", "").parent
    folder.chmod(mode)
    with pytest.raises(ConfigError, match="can be written by others") as caught:
        store.remember(environ, PROVIDERS, "playment", None, {"api_key": "k"})
    assert caught.value.hint == f"chmod 700 {folder}"
    assert [each.name for each in folder.iterdir()] == ["config.toml"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[playmnt]\napi_key = "hunter2"\n', r"playmnt is no secret; did you mean playment\?"),
        ('[playment]\napi_ky = "hunter2"\n', r"playment\.api_ky is no secret; did you mean api_key\?"),
        ("[playment]\napi_key = ['hunter2']\n", r"playment\.api_key must be text"),
        ("playment = 'hunter2'\n", "playment must be a table"),
        ("[playment]\nprofiles = 'hunter2'\n", r"playment\.profiles must hold tables"),
        ("[playment.profiles]\nwork = 'hunter2'\n", r"playment\.profiles must hold tables"),
        ("[playment.profiles.work]\nkey = 'hunter2'\n", r"playment\.profiles\.work\.key is no secret"),
        ('[playment]\napi_key = "hunter2\n', r"is no TOML \(line 2\)"),
        ("[playment]\nhunter2\n", r"is no TOML \(line 2\)"),
    ],
)
def test_a_file_that_is_wrong_is_refused_by_key_and_no_value_is_shown(
    environ: Environ, written: Callable[..., Path], text: str, said: str
) -> None:
    written("credentials.toml", text)
    with pytest.raises(ConfigError, match=said) as caught:
        store.read(environ, PROVIDERS)
    assert "credentials.toml" in caught.value.message
    assert "hunter2" not in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize("text", ["x = " + "[" * 5000, "[playment]\napi_key = " + "9" * 5000 + "\n"])
def test_a_file_that_no_parser_takes_is_refused(environ: Environ, written: Callable[..., Path], text: str) -> None:
    written("credentials.toml", text)
    with pytest.raises(ConfigError, match="is no TOML"):
        store.read(environ, PROVIDERS)


def test_an_account_without_a_secret_says_that_a_keyring_has_it(environ: Environ) -> None:
    store.remember(environ, PROVIDERS, "playment", "work", {})
    assert store.read(environ, PROVIDERS)["playment"]["work"] == {}
    assert store.forget(environ, PROVIDERS, "playment", None) == []
    assert store.read(environ, PROVIDERS) == {}


def test_a_folder_in_place_of_the_file_is_named(environ: Environ) -> None:
    (Path(environ["JOBFETCH_CONFIG_DIR"]) / "credentials.toml").mkdir(parents=True, mode=0o700)
    with pytest.raises(ConfigError, match="cannot be read"):
        store.read(environ, PROVIDERS)


def test_what_is_not_utf_8_is_refused(environ: Environ, written: Callable[..., Path]) -> None:
    written("credentials.toml", "").write_bytes(b"[playment]\napi_key = '\xff'\n")
    with pytest.raises(ConfigError, match="not UTF-8"):
        store.read(environ, PROVIDERS)


# --- settings ---

COMMENTED = """# mine
default_profile = "work" # why not

[cognite] # the big one
project = "old" # to be renamed
"""


def test_a_change_keeps_comments_and_order(environ: Environ, written: Callable[..., Path]) -> None:
    path = written("config.toml", COMMENTED)
    config.put(environ, PROVIDERS, "cognite.project", ["new"])
    config.put(environ, PROVIDERS, "cognite.profiles.work.project", ["p"])
    text = path.read_text()
    assert text.startswith(COMMENTED.replace('"old"', '"new"'))
    assert tomllib.loads(text)["cognite"]["profiles"] == {"work": {"project": "p"}}


@pytest.mark.parametrize(
    "text",
    [
        "cognite = { cluster = 'c' }\n",
        "[cognite]\r\ncluster = 'c' # mine\r\n",
        "\ufeff[cognite]\ncluster = 'c'\n",
        "[cognite.profiles.other]\nproject = 'o'\n[cognite]\ncluster = 'c'\n",
    ],
)
def test_a_file_may_be_written_in_any_way(environ: Environ, written: Callable[..., Path], text: str) -> None:
    path = written("config.toml", "")
    path.write_bytes(text.encode())
    config.put(environ, PROVIDERS, "cognite.project", ["p"])
    config.put(environ, PROVIDERS, "cognite.profiles.work.project", ["w"])
    told = config.read(environ).table("cognite")
    assert (told["cluster"], told["project"], told["profiles"]["work"]) == ("c", "p", {"project": "w"})
    assert ("\r\n" in text) == (b" # mine\r\n" in path.read_bytes())


def test_a_change_that_would_lose_a_setting_is_refused_and_none(environ: Environ, written: Callable[..., Path]) -> None:
    text = "cognite.cluster = 'c'\ncognite.project = 'p'\n"
    path = written("config.toml", text)
    with pytest.raises(ConfigError, match="cannot be changed safely") as caught:
        config.put(environ, PROVIDERS, "cognite.profiles.work.project", ["w"])
    assert (path.read_text(), caught.value.hint) == (text, "edit it by hand")


def test_a_command_is_set_word_by_word(environ: Environ) -> None:
    path = config.put(environ, PROVIDERS, "playment.api_key_command", ["pass", "show", "a b"])
    assert tomllib.loads(path.read_text())["playment"]["api_key_command"] == ["pass", "show", "a b"]


def test_a_profile_may_have_dots_in_its_name(environ: Environ) -> None:
    path = config.put(environ, PROVIDERS, "playment.profiles.my.work.project", ["p"])
    assert tomllib.loads(path.read_text())["playment"]["profiles"] == {"my.work": {"project": "p"}}


def test_what_is_unset_is_gone_with_the_table_that_it_leaves_empty(environ: Environ) -> None:
    config.put(environ, PROVIDERS, "playment.profiles.work.project", ["p"])
    assert config.remove(environ, PROVIDERS, "playment.profiles.work.project") is True
    assert config.read(environ).tables == {}


def test_a_profile_with_dots_in_its_name_can_be_taken_out_whole(environ: Environ) -> None:
    for name in ("my.work", "my"):
        config.put(environ, PROVIDERS, f"playment.profiles.{name}.project", ["p"])
        config.put(environ, PROVIDERS, f"playment.profiles.{name}.batch", ["b"])
    assert config.remove(environ, PROVIDERS, "playment.profiles.my.work") is True
    assert config.read(environ).tables == {"playment": {"profiles": {"my": {"project": "p", "batch": "b"}}}}
    assert config.remove(environ, PROVIDERS, "playment.profiles.my.batch") is True
    assert config.read(environ).tables == {"playment": {"profiles": {"my": {"project": "p"}}}}


def test_a_comment_keeps_its_table(environ: Environ, written: Callable[..., Path]) -> None:
    path = written("config.toml", "[playment]\n# the key is in the drawer\nproject = 'p'\n")
    config.remove(environ, PROVIDERS, "playment.project")
    assert "the key is in the drawer" in path.read_text()


def test_a_key_that_nobody_reads_can_be_taken_out(environ: Environ, written: Callable[..., Path]) -> None:
    written("config.toml", "[cognite]\nprojct = 'p'\n")
    assert config.remove(environ, PROVIDERS, "cognite.projct") is True


@pytest.mark.parametrize("key", ["playment", "playment.profiles", "playment.profiles.work", "defaults"])
def test_taking_out_a_table_that_is_not_there_is_no_error(environ: Environ, key: str) -> None:
    assert config.remove(environ, PROVIDERS, key) is False


def test_taking_out_what_is_not_there_changes_nothing(environ: Environ, written: Callable[..., Path]) -> None:
    path = written("config.toml", COMMENTED)
    assert config.remove(environ, PROVIDERS, "cognite.cluster") is False
    assert path.read_text() == COMMENTED


@pytest.mark.parametrize(
    ("key", "words", "said"),
    [
        ("cognite.projct", ["x"], "did you mean project"),
        ("cognit.project", ["x"], "did you mean cognite"),
        ("playment.api_key", ["hunter2"], "is a secret"),
        ("playment.profiles.work.api_key", ["hunter2"], "is a secret"),
        ("defaults.timeout", ["soon"], "is no duration"),
        ("cognite.kind", ["video"], "kind"),
        ("credential_store", ["vault"], "must be one of file, keyring"),
        ("default_provider", ["nobody"], "must be one of"),
        ("playment.base_url", ["http://me:hunter2@127.0.0.1/x"], "user, password or query"),
        ("playment.base_url", ["junk"], "no http"),
        ("cognite", ["x"], "must be a table"),
        ("cognite.profiles.work", ["x"], "must be a table"),
    ],
)
def test_a_change_that_would_make_the_file_wrong_is_none(
    environ: Environ, written: Callable[..., Path], key: str, words: list[str], said: str
) -> None:
    path = written("config.toml", COMMENTED)
    with pytest.raises(ConfigError, match=said) as caught:
        config.put(environ, PROVIDERS, key, words)
    assert path.read_text() == COMMENTED
    assert "hunter2" not in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize(
    ("key", "words"),
    [("cognite.", ["x"]), ("cognite.project", ["\udcff"]), ("", ["x"]), ("cognite.project", ["two", "words"])],
)
def test_what_is_no_key_or_no_value_is_a_matter_of_usage(environ: Environ, key: str, words: list[str]) -> None:
    with pytest.raises(UsageError):
        config.put(environ, PROVIDERS, key, words)


def test_a_file_that_is_no_toml_is_not_touched(environ: Environ, written: Callable[..., Path]) -> None:
    path = written("config.toml", "[cognite\n")
    with pytest.raises(ConfigError, match="line 1"):
        config.put(environ, PROVIDERS, "cognite.project", ["p"])
    assert path.read_text() == "[cognite\n"


def test_a_value_in_the_place_of_a_table_is_named(environ: Environ, written: Callable[..., Path]) -> None:
    written("config.toml", "cognite = 1\n")
    with pytest.raises(ConfigError, match="line 1: cognite must be a table"):
        config.put(environ, PROVIDERS, "cognite.project", ["p"])


def test_a_link_stays_a_link(environ: Environ, written: Callable[..., Path], tmp_path: Path) -> None:
    path = written("config.toml", "")
    path.rename(tmp_path / "elsewhere.toml")
    path.symlink_to(tmp_path / "elsewhere.toml")
    config.put(environ, PROVIDERS, "cognite.project", ["p"])
    assert path.is_symlink()
    assert "project" in (tmp_path / "elsewhere.toml").read_text()


def test_the_first_file_is_the_example_and_one_that_is_there_is_left(
    environ: Environ, written: Callable[..., Path]
) -> None:
    path, wrote = config.init(environ, PROVIDERS)
    assert (wrote, path.read_text()) == (True, config.example(PROVIDERS))
    path.write_text(COMMENTED)
    assert config.init(environ, PROVIDERS) == (path, False)
    assert path.read_text() == COMMENTED
