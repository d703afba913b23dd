from __future__ import annotations

import socket

import pytest

from chatsite.launcher.address import Address, AddressError, claim, read_address


def test_port_0_becomes_a_free_one() -> None:
    assert claim(Address("127.0.0.1", 0)).port > 0


def test_a_taken_port_is_named_with_the_next_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AddressError, match=rf"Port {port} on 127\.0\.0\.1 .*\n.*PORT={port + 1}"):
            claim(Address("127.0.0.1", port))


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(AddressError, match=r"192\.0\.2\.1"):
        claim(Address("192.0.2.1", 0))


def test_a_host_that_is_no_host_is_refused() -> None:
    with pytest.raises(AddressError, match="is no address of this machine"):
        claim(Address("no such host", 0))


@pytest.mark.parametrize("word", ["http", "70000", "-1", "8000.5"])
def test_what_is_no_port_is_refused(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", word)
    with pytest.raises(AddressError, match="PORT must be a number"):
        read_address()


@pytest.mark.parametrize(
    ("host", "url", "loopback"),
    [
        ("127.0.0.1", "http://127.0.0.1:80/", True),
        ("localhost", "http://localhost:80/", True),
        ("::1", "http://[::1]:80/", True),
        ("0.0.0.0", "http://127.0.0.1:80/", False),
        ("::", "http://[::1]:80/", False),
        ("chat.example.org", "http://chat.example.org:80/", False),
    ],
)
def test_the_printed_address_can_be_opened(host: str, url: str, loopback: bool) -> None:
    address = Address(host, 80)
    assert address.url == url
    assert address.is_loopback is loopback


def test_nobody_answers_where_nobody_listens() -> None:
    assert not claim(Address("127.0.0.1", 0)).answers()
