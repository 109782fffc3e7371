from __future__ import annotations

import pytest

from telic._http import Endpoint, HttpRequest
from telic._http._message import encode_headers, parse_url
from telic.errors import ConfigurationError


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\rb", "a\0b"])
def test_a_header_value_that_breaks_the_head_is_refused_and_not_shown(value):
    with pytest.raises(ConfigurationError, match="line break or NUL") as caught:
        Endpoint("http://h/", {"Authorization": f"Bearer secret{value}"})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb", "é"])
def test_a_header_name_that_is_no_token_is_refused(name):
    with pytest.raises(ConfigurationError, match="header name"):
        Endpoint("http://h/", {name: "x"})


def test_a_header_value_outside_latin_1_is_refused_and_not_shown():
    with pytest.raises(ConfigurationError) as caught:
        Endpoint("http://h/", {"X-Key": "sécret✓"})
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding", "Connection"])
def test_headers_of_the_framing_are_the_transports(name):
    with pytest.raises(ConfigurationError, match="set by the transport"):
        Endpoint("http://h/", {name: "1"})


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:8000",
        "ftp://h/",
        "http://",
        "http:///x",
        "http://h:port/",
        "http://h/\r\nX: 1",
        " http://h/",
    ],
)
def test_a_url_that_cannot_work_is_refused(url):
    with pytest.raises(ConfigurationError):
        Endpoint(url)


def test_neither_user_nor_query_of_a_url_are_shown():
    endpoint = Endpoint("https://user:hush@example.com/v1?key=hush")
    assert "hush" not in repr(endpoint)
    assert "hush" not in repr(HttpRequest(endpoint, b"hush"))
    with pytest.raises(ConfigurationError) as caught:
        Endpoint("ftp://user:hush@example.com/v1?key=hush")
    assert "hush" not in str(caught.value)


def test_paths_and_names_outside_ascii_are_quoted():
    address = parse_url("http://bücher.example/é x?q=ü")
    assert address.origin.host == "xn--bcher-kva.example"
    assert address.target == "/%C3%A9%20x?q=%C3%BC"


def test_the_port_stands_in_the_host_header_only_where_it_is_not_the_schemes_own():
    assert parse_url("https://h:443/").origin.authority == "h"
    assert parse_url("http://h:8000/").origin.authority == "h:8000"
    assert parse_url("http://[::1]:8000/").origin.authority == "[::1]:8000"


def test_a_value_that_cannot_be_carried_is_told_by_its_header_and_sign():
    with pytest.raises(ConfigurationError, match="header 'Authorization' holds '…'") as caught:
        encode_headers({"Host": "a", "Authorization": "Bearer sk-hush…"})
    assert "hush" not in str(caught.value)
