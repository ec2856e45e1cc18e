from __future__ import annotations

import socket

import pytest

from tests.network import StrangeAddress, is_here


@pytest.mark.parametrize("host", ["192.0.2.1", "sqs.eu-west-1.amazonaws.com"])
def test_no_test_leaves_this_machine(host: str) -> None:
    with pytest.raises(StrangeAddress):
        socket.create_connection((host, 443), timeout=0.01)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_this_machine_is_here(host: str) -> None:
    assert is_here(host)
