"""Origins, to which credentials are bound, and URLs as messages may show them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobfetch.model import origin, safe_url
from jobfetch.spec import Address

ODD = [
    "https://api.example.com:99999/x",
    "https://api.example.com:abc/x",
    "https://[::1/x",
    "https://[nonsense]/x",
    "https://a\u2100b.example.com/x",
    "//",
    "",
    "mailto:me@example.com",
]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://api.example.com/a", ("https", "api.example.com", 443)),
        ("https://api.example.com:443/b?c", ("https", "api.example.com", 443)),
        ("HTTPS://API.Example.COM/a", ("https", "api.example.com", 443)),
        ("http://api.example.com", ("http", "api.example.com", 80)),
        ("https://api.example.com:8443", ("https", "api.example.com", 8443)),
        ("https://user:word@api.example.com", ("https", "api.example.com", 443)),
        ("https://[::1]:8080/", ("https", "::1", 8080)),
    ],
)
def test_an_origin_is_scheme_host_and_port(url: str, expected: tuple[str, str, int]) -> None:
    assert origin(url) == expected


@pytest.mark.parametrize(
    "other",
    [
        "http://api.example.com/",
        "https://api.example.com:8443/",
        "https://example.com/",
        "https://api.example.com.evil.test/",
        "https://api.example.com@evil.test/",
        "https://evil.test/?https://api.example.com/",
        "https://evil.test/#@api.example.com/",
        "https://evil.test\\@api.example.com.evil.test/",
        "https://api.example.com./",
    ],
)
def test_whoever_differs_in_scheme_host_or_port_is_another_origin(other: str) -> None:
    assert origin(other) != origin("https://api.example.com/")


def test_a_safe_url_has_no_user_password_query_or_fragment() -> None:
    url = "https://user:pass@api.example.com:8443/jobs/1?X-Amz-Signature=abc#token=def"
    assert safe_url(url) == "https://api.example.com:8443/jobs/1"


def test_a_safe_url_keeps_the_brackets_of_an_address() -> None:
    assert safe_url("http://[::1]:8080/x") == "http://[::1]:8080/x"


@pytest.mark.parametrize("url", ["", "nonsense", "/path", "?query=SECRET"])
def test_what_names_no_host_is_called_the_service(url: str) -> None:
    assert safe_url(url) == "the service"


@pytest.mark.parametrize("url", ODD)
def test_an_odd_url_can_still_be_named_in_a_message(url: str) -> None:
    assert isinstance(safe_url(url), str)


@pytest.mark.parametrize("url", ODD)
def test_an_odd_url_is_never_our_own_origin(url: str) -> None:
    assert origin(url) != origin("https://api.example.com/x")


@given(st.text())
def test_no_query_survives_in_a_message(secret: str) -> None:
    assert safe_url(f"https://api.example.com/jobs?signature={secret}#{secret}") == "https://api.example.com/jobs"


@pytest.mark.parametrize(
    "hostile", ["../../admin", "a/b", "a?b=c", "a#b", "a%2fb", "a b", "a\\b", "é", "a;b", "https://evil.test/"]
)
def test_a_value_stays_one_segment_of_the_path(hostile: str) -> None:
    url = Address(base_url="https://api.example.com/v1/", params={"project": "p"}, job_id=hostile).url(
        "/projects/{project}/jobs/{job_id}"
    )
    segments = url.removeprefix("https://api.example.com/v1/").split("/")
    assert segments[:3] == ["projects", "p", "jobs"]
    assert len(segments) == 4
    assert not set("?#\\ ;") & set(segments[3])


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.test\\@api.example.com/x",
        "https://evil.test\\.api.example.com/x",
        "https://api.example.com\t.evil.test/x",
        "https://evil.test @api.example.com/x",
        "https://api.example.com\n/x",
    ],
)
def test_what_two_parsers_may_read_differently_is_nobodys_origin(url: str) -> None:
    assert origin(url) not in {origin("https://api.example.com/x"), origin("https://evil.test/x")}
