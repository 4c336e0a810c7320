from __future__ import annotations

import pytest

from coinslot.errors import ConfigurationError
from coinslot.methods.tempo.keys import checksum_address
from coinslot.methods.tempo.networks import (
    MAINNET,
    NETWORKS,
    TESTNET,
    Network,
    find_network,
    network_of,
    token_name,
)


def test_the_two_networks_are_those_that_other_implementations_pay_on() -> None:
    """Chain ids, nodes and default currencies are the published ones."""
    assert (MAINNET.chain_id, MAINNET.rpc_url) == (4217, "https://rpc.tempo.xyz")
    assert MAINNET.currency.address.lower() == "0x20c000000000000000000000b9537d11c60e8b50"
    assert (TESTNET.chain_id, TESTNET.rpc_url) == (42431, "https://rpc.moderato.tempo.xyz")
    assert TESTNET.currency.address.lower() == "0x20c0000000000000000000000000000000000000"


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_addresses_are_checksummed(network: Network) -> None:
    """Addresses compare equal to those that the wire reads, which are EIP-55."""
    assert network.currency in network.tokens
    for token in network.tokens:
        assert checksum_address(token.address) == token.address


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_networks_are_found_by_name_and_by_chain(network: Network) -> None:
    """A network answers to its name and to its chain id."""
    assert find_network(network.name) is network
    assert network_of(network.chain_id) is network


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    """The message says what can be written instead."""
    with pytest.raises(ConfigurationError, match=r"'devnet'.*'mainnet' and 'testnet'"):
        find_network("devnet")
    assert network_of(1) is None


def test_tokens_are_known_by_address_in_any_case() -> None:
    """A peer may spell an address in lower case."""
    assert MAINNET.token(MAINNET.currency.address.lower()) is MAINNET.currency
    assert TESTNET.token("0x" + "11" * 20) is None


def test_a_token_is_called_by_its_symbol_or_by_its_shortened_address() -> None:
    """People read `pathUSD`; what has no known name is told apart by its first and last digits."""
    assert token_name(TESTNET.chain_id, TESTNET.currency.address) == "pathUSD"
    assert token_name(TESTNET.chain_id, "0x20C0000000000000000000006a37DA5C996874BE") == "0x20C0…74BE"
    assert token_name(1, TESTNET.currency.address) == "0x20C0…0000"
