"""The table of who reaches what, which stands beside an overlay, against what the policies allow: exactly that."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from typing import Annotated

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from hcs.errors import UsageError
from hcs.k8s.bounded import check_bounds
from hcs.k8s.checking.finding import Finding
from hcs.k8s.checking.network import NAME_OF_NAMESPACE, Endpoint, Socket, applies, opened
from hcs.k8s.checking.objects import Object, dig, kind, labels, name, of_kind
from hcs.k8s.checking.pods import Pods, Port

EVERY_OTHER = "*"
PERHAPS = "?"
"""Ends a port of `out` that some network plugins open and some do not: they hold an ipBlock against pods or not."""

SENSITIVE = (22, 53, 80, 443, 5432, 6379, 6443, 8000, 8080, 8265, 8501, 10001)
"""Ports that are looked at even where nothing names them."""


def _address(text: str) -> str:
    return str(ip_address(text))


class Peer(BaseModel):
    """Something outside the manifests: pods of another namespace, or an address."""

    model_config = ConfigDict(extra="forbid")

    namespace: str | None = None
    namespace_labels: dict[str, str] = Field(default_factory=dict)
    labels: dict[str, str] = Field(default_factory=dict)
    address: Annotated[str, AfterValidator(_address)] | None = None
    ports: dict[str, int] = Field(default_factory=dict)
    """Named ports that it serves."""


class Reach(BaseModel):
    """Who reaches what: `in` for each of our pods, `out` to each peer outside; what is not listed is not allowed."""

    model_config = ConfigDict(extra="forbid")

    pod_addresses: list[Annotated[str, AfterValidator(_address)]] = Field(
        default_factory=lambda: ["10.0.0.1", "100.64.0.1", "172.16.0.1", "192.168.0.1"]
    )
    """Addresses that pods may have; some network plugins hold an ipBlock against them and some do not."""
    peers: dict[str, Peer] = Field(default_factory=dict)
    groups: dict[str, list[str]] = Field(default_factory=dict)
    """Names that stand for several pods or peers, wherever one may be named."""
    into: dict[str, dict[str | int, list[str]]] = Field(default_factory=dict, alias="in")
    out: dict[str, dict[str, list[str | int]]] = Field(default_factory=dict)


def read_reach(text: str, *, source: str) -> Reach:
    """Return the table of a text in YAML.

    Raises:
        UsageError: If it is not such a table.
    """
    try:
        check_bounds(text)
        return Reach.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        said = " ".join(str(error).split())
    except ValidationError as error:
        first = error.errors()[0]
        said = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    raise UsageError(f"expected a table of who reaches what in {source}, got {said}; see the reference on checks")


def check_reach(objects: list[Object], pods: list[Pods], table: Reach) -> Iterator[Finding]:
    """Return a finding for each connection that is possible and not in the table, and for each other way round."""
    policies = of_kind(objects, "NetworkPolicy")
    sockets = _sockets(policies, pods, table)
    spare = next(number for number in range(20_001, 65_536) if (number, "TCP") not in sockets)
    sockets = [*sockets, (spare, "TCP"), (spare, "UDP")]
    table = _without_groups(table)
    strict, loose = (_endpoints(objects, pods, table, with_addresses=flag) for flag in (False, True))
    yield from _check_names(pods, table)
    for one in _unique(pods):
        rows = {_socket(key): set(sources) for key, sources in table.into.get(one.item, {}).items()}
        errors = _Errors(one.item, spare)
        for peer in strict:
            wanted = {socket for socket in sockets if peer in _expected(rows, socket)}
            must, may = (opened(policies, ends[peer], ends[one.item], sockets) for ends in (strict, loose))
            errors.note("from", peer, too_much=may - wanted, too_little=wanted - must)
        for peer in table.peers:
            row = table.out.get(one.item, {}).get(peer, [])
            wanted = _listed([port for port in row if not str(port).endswith(PERHAPS)], sockets)
            perhaps = _listed([str(port)[:-1] for port in row if str(port).endswith(PERHAPS)], sockets)
            must, may = (opened(policies, ends[one.item], ends[peer], sockets) for ends in (strict, loose))
            too_little = (wanted - must) | (perhaps - may)
            errors.note("to", peer, too_much=may - wanted - perhaps, too_little=too_little)
        yield from errors.findings()


def check_isolation(objects: list[Object], pods: list[Pods]) -> Iterator[Finding]:
    """Return a finding for each namespace where a pod that no manifest knows would be open."""
    policies = of_kind(objects, "NetworkPolicy")
    for where in sorted({one.namespace for one in pods}):
        anybody = Endpoint("any", where, {"hcs/nobody": "nobody"})
        for direction in ("Ingress", "Egress"):
            if not any(applies(policy, anybody, direction) for policy in policies):
                yield Finding(
                    f"Namespace/{where}",
                    "",
                    "network/default-deny",
                    f"a NetworkPolicy that chooses every pod for {direction}",
                    "none",
                    "add one with an empty podSelector and no rules",
                )


def _unique(pods: list[Pods]) -> list[Pods]:
    return list({one.item: one for one in pods}.values())


def _without_groups(table: Reach) -> Reach:
    """Return a table that names every pod and peer itself; what several rows say of one is taken together."""

    def members(named: str) -> list[str]:
        return table.groups.get(named, [named])

    into: dict[str, dict[str | int, list[str]]] = {}
    for subject, rows in table.into.items():
        for one in members(subject):
            for port, sources in rows.items():
                into.setdefault(one, {}).setdefault(port, []).extend(
                    peer for source in sources for peer in members(source)
                )
    out: dict[str, dict[str, list[str | int]]] = {}
    for subject, targets in table.out.items():
        for one in members(subject):
            for target, ports in targets.items():
                for peer in members(target):
                    out.setdefault(one, {}).setdefault(peer, []).extend(ports)
    return table.model_copy(update={"into": into, "out": out, "groups": {}})


def _check_names(pods: list[Pods], table: Reach) -> Iterator[Finding]:
    ours = {one.item for one in pods}
    known = ours | set(table.peers)
    mentioned = {
        **dict.fromkeys((*table.into, *table.out), ours),
        **{peer: known for rows in table.into.values() for sources in rows.values() for peer in sources},
        **{peer: set(table.peers) for rows in table.out.values() for peer in rows},
    }
    for named, allowed in sorted(mentioned.items()):
        if named not in allowed:
            yield Finding(named, "", "network/unknown", f"one of {', '.join(sorted(allowed))}", named,
                          "mend the name in the table of who reaches what")  # fmt: skip


def _expected(rows: dict[Socket | None, set[str]], socket: Socket) -> set[str]:
    return rows.get(socket, rows.get(None, set()))


def _listed(keys: Sequence[str | int], sockets: list[Socket]) -> set[Socket]:
    row = {_socket(key) for key in keys}
    return set(sockets) if None in row else {socket for socket in sockets if socket in row}


def _socket(key: str | int) -> Socket | None:
    """Return the port of a key such as 8000 or 53/UDP; None for every other one."""
    if key == EVERY_OTHER:
        return None
    number, _, protocol = str(key).partition("/")
    if not number.isdigit() or protocol not in ("", "TCP", "UDP"):
        raise UsageError(f"expected a port such as 8000 or 53/UDP, or *, in the table of who reaches what, got {key!r}")
    return int(number), protocol or "TCP"


def _sockets(policies: list[Object], pods: list[Pods], table: Reach) -> list[Socket]:
    found: set[Socket] = {(number, "TCP") for number in SENSITIVE} | {(53, "UDP")}
    found |= {(port.number, port.protocol) for one in pods for port in one.ports}
    keys = [key for rows in table.into.values() for key in rows]
    keys += [str(key).rstrip(PERHAPS) for rows in table.out.values() for ports in rows.values() for key in ports]
    found |= {socket for key in keys if (socket := _socket(key)) is not None}
    for policy in policies:
        for direction in ("ingress", "egress"):
            for rule in dig(policy, "spec", direction) or ():
                for entry in rule.get("ports") or ():
                    if isinstance(entry.get("port"), int):  # both ends of a range, and what lies right beyond it
                        low, high = entry["port"], entry.get("endPort") or entry["port"]
                        protocol = entry.get("protocol", "TCP")
                        found |= {(low, protocol), (high, protocol), (low - 1, protocol), (high + 1, protocol)}
    return sorted((number, protocol) for number, protocol in found if 1 <= number <= 65_535)


def _endpoints(objects: list[Object], pods: list[Pods], table: Reach, *, with_addresses: bool) -> dict[str, Endpoint]:
    given = {name(item): labels(item) for item in objects if kind(item) == "Namespace"}
    addresses = tuple(table.pod_addresses) if with_addresses else ()
    found = {
        one.item: Endpoint(one.item, one.namespace, one.labels, given.get(one.namespace, {}), one.ports, addresses)
        for one in pods
    }
    for named, peer in table.peers.items():
        ports = tuple(Port(number, word) for word, number in peer.ports.items())
        if peer.address is not None:
            found[named] = Endpoint(named, addresses=(peer.address,), ports=ports)
        else:
            spaces = {NAME_OF_NAMESPACE: str(peer.namespace), **peer.namespace_labels}
            found[named] = Endpoint(named, peer.namespace or "default", peer.labels, spaces, ports, addresses)
    return found


class _Errors:
    """What the policies have of some pods beyond the table or short of it; peers of one error are one finding."""

    def __init__(self, item: str, spare: int) -> None:
        self._item, self._spare = item, spare
        self._peers: dict[tuple[str, str, str], list[str]] = defaultdict(list)

    def note(self, direction: str, peer: str, *, too_much: set[Socket], too_little: set[Socket]) -> None:
        for rule, sockets in (("network/too-much", too_much), ("network/too-little", too_little)):
            if sockets:
                self._peers[rule, _ports_in_words(sockets, self._spare), direction].append(peer)

    def findings(self) -> Iterator[Finding]:
        for (rule, ports, direction), peers in self._peers.items():
            expected, got = "no connection, says the table", "the NetworkPolicies allow one"
            advice = "close it, or list it in the table"
            if rule == "network/too-little":
                expected, got = "a connection, says the table", "the NetworkPolicies allow none"
                advice = "open it, or strike it from the table"
            yield Finding(self._item, f"port {ports} {direction} {', '.join(peers)}", rule, expected, got, advice)


def _ports_in_words(ports: set[Socket], spare: int) -> str:
    by_protocol: dict[str, list[str]] = defaultdict(list)
    for number, protocol in sorted(ports):
        by_protocol[protocol].append("any other" if number == spare else str(number))
    return "; ".join(
        ", ".join(numbers) + ("" if protocol == "TCP" else f"/{protocol}") for protocol, numbers in by_protocol.items()
    )
