"""Who may connect to whom under NetworkPolicies, as the API describes them.

Both sides must allow a connection: the policies that choose the source its way out, those that choose the target its
way in. A pod that no policy chooses for a direction is open in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

from hcs.k8s.checking.objects import Object, dig, kind, namespace
from hcs.k8s.checking.pods import Port
from hcs.k8s.checking.selectors import chooses

Socket = tuple[int, str]
"""A port's number and protocol, TCP or UDP."""

NAME_OF_NAMESPACE = "kubernetes.io/metadata.name"


@dataclass(frozen=True)
class Endpoint:
    """Something that connects or is connected to: pods of one template, pods elsewhere, or an address."""

    name: str
    namespace: str | None = None
    """None: no pod, but an address outside the cluster."""
    labels: dict[str, str] = field(default_factory=dict)
    namespace_labels: dict[str, str] = field(default_factory=dict)
    ports: tuple[Port, ...] = ()
    addresses: tuple[str, ...] = ()
    """Addresses that an ipBlock is held against; a pod without any is chosen by labels alone."""


def allows(policies: list[Object], source: Endpoint, target: Endpoint, socket: Socket) -> bool:
    """Return whether a source may open a connection to a port of a target."""
    return socket in opened(policies, source, target, [socket])


def opened(policies: list[Object], source: Endpoint, target: Endpoint, sockets: Iterable[Socket]) -> set[Socket]:
    """Return those of the ports of a target that a source may open a connection to."""
    left = set(sockets)
    for direction in ("Egress", "Ingress"):
        left = _opened_by_side(policies, direction, source, target, left)
    return left


def types_of(policy: Object) -> set[str]:
    """Return the directions that a policy closes before it opens any."""
    stated = dig(policy, "spec", "policyTypes")
    if stated:
        return set(stated)
    return {"Ingress"} | ({"Egress"} if dig(policy, "spec", "egress") else set())


def applies(policy: Object, pod: Endpoint, direction: str) -> bool:
    """Return whether a policy chooses a pod for a direction."""
    return (
        kind(policy) == "NetworkPolicy"
        and direction in types_of(policy)
        and pod.namespace == namespace(policy)
        and chooses(dig(policy, "spec", "podSelector") or {}, pod.labels)
    )


def _opened_by_side(
    policies: list[Object], direction: str, source: Endpoint, target: Endpoint, sockets: set[Socket]
) -> set[Socket]:
    if direction == "Ingress":
        subject, peer, rules_at, peers_at = target, source, "ingress", "from"
    else:
        subject, peer, rules_at, peers_at = source, target, "egress", "to"
    own = [policy for policy in policies if applies(policy, subject, direction)]
    if not own:
        return sockets
    heard = [
        rule
        for policy in own
        for rule in dig(policy, "spec", rules_at) or ()
        if _peers_match(rule.get(peers_at), peer, policy)
    ]
    return {socket for socket in sockets if any(_ports_match(rule.get("ports"), target, socket) for rule in heard)}


def _ports_match(entries: list[dict[str, Any]] | None, target: Endpoint, socket: Socket) -> bool:
    number, protocol = socket
    return not entries or any(
        entry.get("protocol", "TCP") == protocol
        and any(low <= number <= high for low, high in _numbers(entry, target, protocol))
        for entry in entries
    )


def _numbers(entry: dict[str, Any], target: Endpoint, protocol: str) -> Iterator[tuple[int, int]]:
    wanted = entry.get("port")
    if wanted is None:
        yield 1, 65_535
    elif isinstance(wanted, int):
        yield wanted, entry.get("endPort") or wanted
    else:
        for known in target.ports:
            if known.name == wanted and known.protocol == protocol:
                yield known.number, known.number


def _peers_match(entries: list[dict[str, Any]] | None, peer: Endpoint, policy: Object) -> bool:
    return not entries or any(_peer_matches(entry, peer, policy) for entry in entries)


def _peer_matches(entry: dict[str, Any], peer: Endpoint, policy: Object) -> bool:
    block = entry.get("ipBlock")
    if block is not None:
        return any(_in_block(address, block) for address in peer.addresses)
    if peer.namespace is None:
        return False
    spaces, pods = entry.get("namespaceSelector"), entry.get("podSelector")
    if spaces is None:
        is_near = peer.namespace == namespace(policy)
    else:
        is_near = chooses(spaces, {NAME_OF_NAMESPACE: peer.namespace, **peer.namespace_labels})
    return is_near and (pods is None or chooses(pods, peer.labels))


def _in_block(address: str, block: dict[str, Any]) -> bool:
    parsed = ip_address(address)
    return parsed in ip_network(block["cidr"], strict=False) and not any(
        parsed in ip_network(hole, strict=False) for hole in block.get("except") or ()
    )
