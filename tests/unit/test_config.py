"""Settings: where they come from, which place wins, and what is refused."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from jobfetch import config
from jobfetch.errors import ConfigError
from jobfetch.providers import PROVIDERS, cognite, playment
from jobfetch.spec import Provider

Settings = dict[str, str]
Resolve = Callable[..., Settings]

EVERYWHERE = """
default_profile = "usual"
[cognite]
project = "table"
base_url = "https://api.example.com"
[cognite.profiles.usual]
project = "default profile"
[cognite.profiles.work]
project = "explicit profile"
"""


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    """Write config.toml, and give the folder that it lies in."""

    def write(text: str) -> Path:
        (tmp_path / "config.toml").write_text(text, encoding="utf-8")
        return tmp_path

    return write


@pytest.fixture
def resolve(written: Callable[[str], Path]) -> Resolve:
    """Resolve a provider's settings: `resolve(toml, env={...}, options={...}, profile="work")`."""

    def run(
        toml: str = "",
        *,
        env: Settings | None = None,
        options: dict[str, str | None] | None = None,
        profile: str | None = None,
        provider: Provider = cognite.PROVIDER,
    ) -> Settings:
        environ = {"JOBFETCH_CONFIG_DIR": str(written(toml))} | (env or {})
        file = config.read(environ)
        file.check(PROVIDERS)
        values = config.resolve(provider, options or {}, file, environ, profile)
        return {name: value.text for name, value in values.items()}

    return run


# --- the order of places ---

PLACES = ["option", "explicit profile", "ours", "vendor", "default profile", "table"]


@pytest.mark.parametrize("best", range(len(PLACES)))
def test_a_setting_comes_from_the_nearest_place(resolve: Resolve, best: int) -> None:
    there = PLACES[best:]
    env = {"JOBFETCH_COGNITE_PROJECT": "ours"} if "ours" in there else {}
    env |= {"CDF_PROJECT": "vendor"} if "vendor" in there else {}
    toml = EVERYWHERE if "default profile" in there else EVERYWHERE.replace('default_profile = "usual"', "")
    found = resolve(
        toml,
        env=env,
        options={"project": "option"} if "option" in there else {},
        profile="work" if "explicit profile" in there else None,
    )
    assert found["project"] == PLACES[best]


def test_the_vendors_variables_are_tried_in_their_order(resolve: Resolve) -> None:
    env = {"COGNITE_PROJECT": "second", "CDF_CLUSTER": "c"}
    assert resolve(env=env)["project"] == "second"
    assert resolve(env=env | {"CDF_PROJECT": "first"})["project"] == "first"


def test_the_variable_for_a_profile_comes_before_the_default_one(resolve: Resolve) -> None:
    toml = EVERYWHERE + '[cognite.profiles.other]\nproject = "named by the environment"\n'
    assert resolve(toml, env={"JOBFETCH_PROFILE": "other"})["project"] == "named by the environment"


def test_an_explicit_profile_replaces_the_default_one(resolve: Resolve) -> None:
    toml = EVERYWHERE.replace('project = "explicit profile"', 'client_id = "me"')
    assert resolve(toml, profile="work")["project"] == "table"


@pytest.fixture
def named(written: Callable[[str], Path]) -> Callable[..., None]:
    """Look whether a profile is anybody's: `named(toml, profile="work", env={...}, stored={...})`."""

    def run(
        toml: str,
        *,
        profile: str | None = None,
        env: Settings | None = None,
        stored: dict[str, list[str]] | None = None,
    ) -> None:
        environ = {"JOBFETCH_CONFIG_DIR": str(written(toml))} | (env or {})
        file = config.read(environ)
        config.profile_named(PROVIDERS, cognite.PROVIDER, file, environ=environ, profile=profile, stored=stored or {})

    return run


def test_a_profile_that_is_not_there_is_refused_with_those_that_are(named: Callable[..., None]) -> None:
    with pytest.raises(ConfigError, match=r"no profile 'wrok' \(there is: usual, work\)"):
        named(EVERYWHERE, profile="wrok")


def test_a_profile_of_another_provider_is_none_of_this_one(named: Callable[..., None]) -> None:
    with pytest.raises(ConfigError, match="no profile 'theirs'"):
        named("[playment.profiles.theirs]\nproject = 'p'\n", profile="theirs")


def test_a_profile_that_only_has_secrets_is_one_too(named: Callable[..., None]) -> None:
    named("", profile="kept", stored={"cognite": ["kept"]})


def test_a_default_profile_must_be_somebodys(named: Callable[..., None]) -> None:
    named("default_profile = 'theirs'\n[playment.profiles.theirs]\nproject = 'p'\n")
    with pytest.raises(ConfigError, match="default_profile: any provider has no profile 'wrok'"):
        named(EVERYWHERE.replace('"usual"', '"wrok"'))


def test_a_profile_of_the_environment_must_be_somebodys(named: Callable[..., None]) -> None:
    named("[playment.profiles.theirs]\nproject = 'p'\n", env={"JOBFETCH_PROFILE": "theirs"})
    with pytest.raises(ConfigError, match="JOBFETCH_PROFILE: any provider has no profile 'nobodys'"):
        named(EVERYWHERE, env={"JOBFETCH_PROFILE": "nobodys"})


def test_a_default_profile_need_not_exist_for_every_service(resolve: Resolve) -> None:
    assert resolve(EVERYWHERE, provider=playment.PROVIDER, options={"project": "p"})["project"] == "p"


@pytest.mark.parametrize("blank", ["", " ", "\t"])
@pytest.mark.parametrize("place", ["option", "JOBFETCH_COGNITE_PROJECT", "CDF_PROJECT"])
def test_a_blank_value_counts_as_missing(resolve: Resolve, place: str, blank: str) -> None:
    options: dict[str, str | None] = {"project": blank} if place == "option" else {}
    env = {} if place == "option" else {place: blank}
    assert resolve(EVERYWHERE, env=env, options=options)["project"] == "default profile"


def test_a_number_in_the_file_is_text_all_the_same(resolve: Resolve) -> None:
    assert resolve("[playment]\nproject = 123\n", provider=playment.PROVIDER)["project"] == "123"


def test_what_nobody_set_is_not_there_unless_it_has_a_default(resolve: Resolve) -> None:
    assert set(resolve(env={"CDF_CLUSTER": "c", "CDF_PROJECT": "p"})) == {"cluster", "project", "base_url", "kind"}


# --- settings with a choice ---

KINDS = ["vision/extract", "diagram/detect", "diagram/convert", "entitymatching"]


def test_a_setting_with_a_choice_has_its_default(resolve: Resolve) -> None:
    assert resolve(EVERYWHERE)["kind"] == "vision/extract"


@pytest.mark.parametrize("kind", KINDS)
def test_every_choice_can_be_made(resolve: Resolve, kind: str) -> None:
    assert resolve(EVERYWHERE, options={"kind": kind})["kind"] == kind


@pytest.mark.parametrize("kind", ["vision", "diagram", "Diagram/Detect", "diagram/detect/", "../files", "x"])
def test_anything_else_is_refused_with_the_choices(resolve: Resolve, kind: str) -> None:
    with pytest.raises(ConfigError, match=f"kind \\(from --kind\\) is '{kind}'") as caught:
        resolve(EVERYWHERE, options={"kind": kind})
    assert caught.value.exit == 3
    assert caught.value.hint == f"one of {', '.join(KINDS)}"


def test_a_wrong_choice_names_the_place_that_it_comes_from(resolve: Resolve) -> None:
    with pytest.raises(ConfigError, match="from JOBFETCH_COGNITE_KIND"):
        resolve(EVERYWHERE, env={"JOBFETCH_COGNITE_KIND": "vision"})
    with pytest.raises(ConfigError, match=r"from \[cognite\] in .*config\.toml"):
        resolve(EVERYWHERE.replace('project = "table"', 'kind = "vision"'))


# --- templates ---


@pytest.mark.parametrize(
    ("env", "token_url"),
    [
        ({"IDP_TENANT_ID": "t-1"}, "https://login.microsoftonline.com/t-1/oauth2/v2.0/token"),
        ({"IDP_AUTHORITY_URL": "https://login.example.com/t"}, "https://login.example.com/t/oauth2/v2.0/token"),
        ({"IDP_TOKEN_URL": "https://a.example.com", "IDP_TENANT_ID": "t"}, "https://a.example.com"),
    ],
)
def test_a_variable_may_hold_a_part_of_the_value(resolve: Resolve, env: Settings, token_url: str) -> None:
    assert resolve(env=env | {"CDF_CLUSTER": "c"})["token_url"] == token_url


def test_a_blank_part_makes_no_value(resolve: Resolve) -> None:
    assert "token_url" not in resolve(env={"IDP_TENANT_ID": "", "CDF_CLUSTER": "c"})


# --- the base URL ---


def test_the_base_url_follows_from_the_cluster(resolve: Resolve) -> None:
    assert resolve(env={"CDF_CLUSTER": "westeurope-1"})["base_url"] == "https://westeurope-1.cognitedata.com"


def test_a_base_url_comes_before_a_cluster_from_the_same_place(resolve: Resolve) -> None:
    options: dict[str, str | None] = {"base_url": "https://proxy.example.com/cdf", "cluster": "c"}
    assert resolve(options=options)["base_url"] == "https://proxy.example.com/cdf"


def test_a_cluster_that_is_nearer_comes_before_a_base_url(resolve: Resolve) -> None:
    toml = '[cognite]\nbase_url = "https://proxy.example.com"\n'
    assert resolve(toml, options={"cluster": "c"})["base_url"] == "https://c.cognitedata.com"


def test_a_base_url_that_is_nearer_comes_before_a_cluster(resolve: Resolve) -> None:
    options: dict[str, str | None] = {"base_url": "https://proxy.example.com"}
    assert resolve(env={"CDF_CLUSTER": "c"}, options=options)["base_url"] == "https://proxy.example.com"


def test_every_value_knows_where_it_comes_from(written: Callable[[str], Path]) -> None:
    environ = {"JOBFETCH_CONFIG_DIR": str(written(EVERYWHERE)), "CDF_CLUSTER": "c", "JOBFETCH_COGNITE_CLIENT_ID": "me"}
    found = config.found(cognite.PROVIDER, {"audience": "a"}, config.read(environ), environ, "work")
    origins = {name: value.origin for name, value in found.items()}
    file = f"{environ['JOBFETCH_CONFIG_DIR']}/config.toml"
    assert origins == {
        "audience": "--audience",
        "project": f"profile work in {file}",
        "client_id": "JOBFETCH_COGNITE_CLIENT_ID",
        "cluster": "CDF_CLUSTER",
        "base_url": "made from cluster (CDF_CLUSTER)",
        "kind": "default",
    }


def test_without_either_the_way_to_give_one_is_named(resolve: Resolve) -> None:
    with pytest.raises(ConfigError, match="cognite needs base_url or cluster") as caught:
        resolve()
    assert "JOBFETCH_COGNITE_CLUSTER" in (caught.value.hint or "")


def test_a_service_with_one_address_needs_none(resolve: Resolve) -> None:
    assert resolve(provider=playment.PROVIDER)["base_url"] == "https://api.playment.io"


def test_a_service_with_one_address_may_have_another(resolve: Resolve) -> None:
    env = {"JOBFETCH_PLAYMENT_BASE_URL": "http://127.0.0.1:8080"}
    assert resolve(env=env, provider=playment.PROVIDER)["base_url"] == "http://127.0.0.1:8080"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_plain_http_is_for_this_machine(resolve: Resolve, host: str) -> None:
    assert resolve(options={"base_url": f"http://{host}:8080/x"})["base_url"] == f"http://{host}:8080/x"


@pytest.mark.parametrize("name", ["base_url", "token_url"])
@pytest.mark.parametrize(
    "host", ["api.example.com", "127.0.0.1.evil.test", "localhost.evil.test", "0.0.0.0", "10.0.0.1"]
)
def test_plain_http_is_refused_towards_any_other(resolve: Resolve, name: str, host: str) -> None:
    with pytest.raises(ConfigError, match="plain http"):
        resolve(options={"base_url": "https://api.example.com", name: f"http://{host}/"})


@pytest.mark.parametrize("name", ["base_url", "token_url"])
@pytest.mark.parametrize(
    "url",
    [
        "https://me:hunter2@api.example.com",
        "https://hunter2@api.example.com",
        "https://a.example.com/?key=hunter2",
        "https://a.example.com/#hunter2",
    ],
)
def test_a_secret_in_an_address_is_refused_without_being_shown(resolve: Resolve, name: str, url: str) -> None:
    with pytest.raises(ConfigError, match="user, password or query") as caught:
        resolve(options={"base_url": "https://api.example.com", name: url})
    assert "hunter2" not in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "ftp://a.example.com",
        "https://",
        "//a.example.com",
        "https://a:b:c/",
        "https://[::1",
        "https://a:99999",
    ],
)
def test_what_is_no_address_is_refused_with_its_place(resolve: Resolve, url: str) -> None:
    with pytest.raises(ConfigError, match=r"base_url \(from JOBFETCH_COGNITE_BASE_URL\) is no http"):
        resolve(env={"JOBFETCH_COGNITE_BASE_URL": url})


# --- the file ---


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("[cognite]\nprojct = 'x'\n", r"cognite\.projct is no setting; did you mean project\?"),
        ("[cognit]\n", r"cognit is no setting; did you mean cognite\?"),
        ("[cognite.profiles.work]\nclutser = 'x'\n", r"cognite\.profiles\.work\.clutser .* did you mean cluster\?"),
        ("[defaults]\ntimeot = '1h'\n", r"defaults\.timeot is no setting; did you mean timeout\?"),
        ("default_profil = 'x'\n", r"default_profil is no setting; did you mean default_profile\?"),
        ("zzz = 1\n", r"zzz is no setting$"),
    ],
)
def test_a_key_that_nobody_reads_is_refused_with_the_nearest_name(resolve: Resolve, toml: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        resolve(toml, options={"cluster": "c"})


@pytest.mark.parametrize(
    "toml",
    [
        "[cognite]\nclient_secret = 'hunter2'\n",
        "[cognite]\ntoken = 'hunter2'\n",
        "[cognite.profiles.work]\ntoken = 'hunter2'\n",
        "[playment]\napi_key = 'hunter2'\n",
    ],
)
def test_a_secret_in_the_file_is_refused_without_being_shown(resolve: Resolve, toml: str) -> None:
    with pytest.raises(ConfigError, match="is a secret") as caught:
        resolve(toml, options={"cluster": "c"})
    assert "hunter2" not in f"{caught.value.message} {caught.value.hint}"
    assert "JOBFETCH_" in caught.value.message


@pytest.mark.parametrize(
    "toml",
    [
        "[cognite]\nproject = true\n",
        "[cognite]\nproject = ['a']\n",
        "[cognite]\nproject = 1.5\n",
        "[playment]\napi_key_file = ['a']\n",
        "[playment]\napi_key_command = 'pass show key'\n",
        "[playment]\napi_key_command = []\n",
        "[playment]\napi_key_command = ['pass', 1]\n",
        "credential_store = 'vault'\n",
        "default_provider = 'nobody'\n",
        "[cognite]\nproject = 2026-01-01\n",
        "cognite = 'text'\n",
        "defaults = 'text'\n",
        "[defaults]\nformat = ['csv']\n",
        "[cognite]\nprofiles = 'text'\n",
        "[cognite.profiles]\nwork = 'text'\n",
        "default_profile = ['work']\n",
        "default_profile = 5\n",
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_with_its_key(resolve: Resolve, toml: str) -> None:
    key = toml.replace("[", "").replace("]", " ").split()[0].partition(".")[0]
    with pytest.raises(ConfigError, match=key):
        resolve(toml, options={"cluster": "c"})


@pytest.mark.parametrize(
    ("toml", "line"),
    [
        ("zzz = 1\n", 1),
        ("\n# c\n[cognite]\n\nprojct = 'x'\n", 5),
        ("[playment]\nproject = 'x'\n[cognite]\nproject = true\n", 4),
        ("[cognite.profiles.work]\n'clutser' = 'x'\n", 2),
        ("[cognite]\nprofiles.work.clutser = 'x'\n", 2),
        ('[cognite]\nproject = """\nprojct = 1\n"""\nprojct = \'x\'\n', 5),
        ("[ cognit ] # not\n", 1),
        ("[cognite]\nclient_secret = 'hunter2'\n", 2),
    ],
)
def test_what_is_wrong_is_named_with_its_line(resolve: Resolve, toml: str, line: int) -> None:
    with pytest.raises(ConfigError, match=rf"config\.toml, line {line}: "):
        resolve(toml, options={"cluster": "c"})


def test_a_line_that_cannot_be_told_is_left_out(resolve: Resolve) -> None:
    with pytest.raises(ConfigError, match=r"config\.toml: cognite\.projct is no setting"):
        resolve("cognite = { projct = 'x' }\n", options={"cluster": "c"})


def test_bad_toml_names_the_file_and_the_line(written: Callable[[str], Path]) -> None:
    folder = written("[cognite]\nproject = \n")
    with pytest.raises(ConfigError, match=r"config\.toml: .*line 2") as caught:
        config.read({"JOBFETCH_CONFIG_DIR": str(folder)})
    assert str(folder) in caught.value.message


@pytest.mark.parametrize("text", ["x = " + "[" * 5000, "[defaults]\nworkers = " + "9" * 5000 + "\n"])
def test_a_file_that_no_parser_takes_is_named(written: Callable[[str], Path], text: str) -> None:
    with pytest.raises(ConfigError, match=r"config\.toml"):
        config.read({"JOBFETCH_CONFIG_DIR": str(written(text))})


def test_a_pipe_in_place_of_the_file_is_named_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.toml")
    with pytest.raises(ConfigError, match="it is no file"):
        config.read({"JOBFETCH_CONFIG_DIR": str(tmp_path)})


def test_a_file_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b"[cognite]\nproject = '\xff'\n")
    with pytest.raises(ConfigError, match=r"config\.toml"):
        config.read({"JOBFETCH_CONFIG_DIR": str(tmp_path)})


def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.toml").mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        config.read({"JOBFETCH_CONFIG_DIR": str(tmp_path)})


def test_no_file_is_no_settings(tmp_path: Path) -> None:
    assert config.read({"JOBFETCH_CONFIG_DIR": str(tmp_path / "nowhere")}).tables == {}


RUN_PLACES = {
    "option": ("[defaults]\nformat = 'csv'\n[playment]\nformat = 'ndjson'\n", {"format": "raw"}, "raw"),
    "provider's table": ("[defaults]\nformat = 'csv'\n[playment]\nformat = 'ndjson'\n", {}, "ndjson"),
    "defaults": ("[defaults]\nformat = 'csv'\n", {}, "csv"),
}


@pytest.mark.parametrize("place", RUN_PLACES)
def test_how_a_run_goes_is_said_by_the_nearest_place(resolve: Resolve, place: str) -> None:
    toml, options, best = RUN_PLACES[place]
    assert resolve(toml, provider=playment.PROVIDER, options=dict(options))["format"] == best


def test_a_setting_of_a_provider_is_none_of_the_defaults(resolve: Resolve) -> None:
    with pytest.raises(ConfigError, match=r"defaults\.project is no setting"):
        resolve("[defaults]\nproject = 'p'\n")


@pytest.mark.parametrize(
    "toml",
    ["timeout = 'soon'", "timeout = '1 week'", "workers = 0", "workers = 'many'", "workers = 9999", "format = 'xml'"],
)
def test_a_default_that_cannot_be_is_refused_with_its_place(resolve: Resolve, toml: str) -> None:
    with pytest.raises(ConfigError, match=r"\(from \[defaults\] in .*config\.toml\)"):
        resolve(f"[defaults]\n{toml}\n", provider=playment.PROVIDER)


def test_the_example_is_a_file_of_comments_that_names_every_setting(tmp_path: Path) -> None:
    text = config.example(PROVIDERS)
    assert all(line.startswith("#") for line in text.splitlines() if line)
    for provider in PROVIDERS.values():
        for param in config.params_of(provider):
            assert f"# {param.name} = " in text


def test_the_example_without_its_marks_is_a_good_file(written: Callable[[str], Path]) -> None:
    lines = [line.removeprefix("# ") for line in config.example(PROVIDERS).splitlines()]
    toml = "\n".join(line for line in lines if line.startswith("[") or " = " in line)
    file = config.read({"JOBFETCH_CONFIG_DIR": str(written(toml))})
    file.check(PROVIDERS)
    assert set(PROVIDERS) < set(file.tables)
