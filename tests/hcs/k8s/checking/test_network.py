"""Who may connect to whom, against an oracle that lists everything, and in examples of it."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.k8s.checking.network import Endpoint, allows, opened
from hcs.k8s.checking.objects import Object
from hcs.k8s.checking.pods import Port

SPACES = {"ours": {"team": "blue"}, "theirs": {"team": "red"}}
NUMBERS = (53, 80, 81, 443, 9000)
SOCKETS = tuple(product(NUMBERS, ("TCP", "UDP")))
ENDPOINTS = [
    Endpoint(f"{space}-{app}", space, {"app": app, "tier": tier}, labels, (Port(number, "web"), Port(53, "dns", "UDP")))
    for (space, labels), (app, tier, number) in product(
        SPACES.items(), (("api", "front", 80), ("worker", "back", 9000), ("store", "back", 443))
    )
] + [Endpoint("near", addresses=("10.0.0.7",)), Endpoint("far", addresses=("203.0.113.7",))]


def policy(spec: dict[str, Any], *, namespace: str = "ours") -> Object:
    return {"kind": "NetworkPolicy", "metadata": {"name": "some", "namespace": namespace}, "spec": spec}


# The oracle: every rule becomes the set of those it names and the set of ports it opens; no early end, no shortcut.


def oracle_matches(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    told = [labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()]
    for one in selector.get("matchExpressions", []):
        value = labels.get(one["key"])
        told.append(
            {
                "In": value is not None and value in one.get("values", []),
                "NotIn": value is None or value not in one.get("values", []),
                "Exists": value is not None,
                "DoesNotExist": value is None,
            }[one["operator"]]
        )
    return False not in told


def oracle_peers(rule: dict[str, Any], side: str, space: str) -> set[str]:
    if not rule.get(side):
        return {one.name for one in ENDPOINTS}
    found: set[str] = set()
    for peer in rule[side]:
        for one in ENDPOINTS:
            if "ipBlock" in peer:
                inside = {"10.0.0.0/8": {"near"}, "0.0.0.0/0": {"near", "far"}}[peer["ipBlock"]["cidr"]]
                outside = {"near"} if peer["ipBlock"].get("except") else set()
                found |= inside - outside
            elif one.namespace is not None:
                labels = {"kubernetes.io/metadata.name": one.namespace, **SPACES[one.namespace]}
                if "namespaceSelector" in peer:
                    fits = oracle_matches(peer["namespaceSelector"], labels)
                else:
                    fits = one.namespace == space
                if fits and oracle_matches(peer.get("podSelector", {}), one.labels):
                    found.add(one.name)
    return found


def oracle_ports(rule: dict[str, Any], target: Endpoint) -> set[tuple[int, str]]:
    if not rule.get("ports"):
        return set(SOCKETS)
    found = set()
    for entry in rule["ports"]:
        protocol = entry.get("protocol", "TCP")
        if "port" not in entry:
            numbers = set(NUMBERS)
        elif isinstance(entry["port"], str):
            numbers = {port.number for port in target.ports if (port.name, port.protocol) == (entry["port"], protocol)}
        else:
            numbers = set(range(entry["port"], entry.get("endPort", entry["port"]) + 1))
        found |= {(number, protocol) for number in numbers if number in NUMBERS}
    return found


def oracle(policies: list[Object], source: Endpoint, target: Endpoint) -> set[tuple[int, str]]:
    left = set(SOCKETS)
    for subject, peer, word, field, side in (
        (source, target, "Egress", "egress", "to"),
        (target, source, "Ingress", "ingress", "from"),
    ):
        own = []
        for one in policies:
            spec = one["spec"]
            types = spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])
            is_near = word in types and subject.namespace == one["metadata"]["namespace"]
            if is_near and oracle_matches(spec.get("podSelector", {}), subject.labels):
                own.append(one)
        ports = [
            oracle_ports(rule, target)
            for one in own
            for rule in one["spec"].get(field, [])
            if peer.name in oracle_peers(rule, side, one["metadata"]["namespace"])
        ]
        left &= set().union(*ports) if own else set(SOCKETS)
    return left


# What policies may look like.

KEYS = st.sampled_from(["app", "tier", "none"])
VALUES = st.sampled_from(["api", "worker", "front", "back"])
EXPRESSIONS = st.one_of(
    st.builds(lambda key, op, values: {"key": key, "operator": op, "values": values}, KEYS,
              st.sampled_from(["In", "NotIn"]), st.lists(VALUES, min_size=1, max_size=2)),
    st.builds(lambda key, op: {"key": key, "operator": op}, KEYS, st.sampled_from(["Exists", "DoesNotExist"])),
)  # fmt: skip
SELECTORS = st.fixed_dictionaries(
    {},
    optional={
        "matchLabels": st.dictionaries(KEYS, VALUES, max_size=1),
        "matchExpressions": st.lists(EXPRESSIONS, max_size=1),
    },
)
SPACE_SELECTORS = st.sampled_from(
    [
        {},
        {"matchLabels": {"team": "red"}},
        {"matchLabels": {"kubernetes.io/metadata.name": "theirs"}},
        {"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["red"]}]},
    ]
)
PEERS = st.one_of(
    st.builds(lambda pods: {"podSelector": pods}, SELECTORS),
    st.builds(lambda spaces: {"namespaceSelector": spaces}, SPACE_SELECTORS),
    st.builds(lambda spaces, pods: {"namespaceSelector": spaces, "podSelector": pods}, SPACE_SELECTORS, SELECTORS),
    st.sampled_from(
        [
            {"ipBlock": {"cidr": "10.0.0.0/8"}},
            {"ipBlock": {"cidr": "0.0.0.0/0"}},
            {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}},
        ]
    ),
)
PORTS = st.sampled_from(
    [
        {"port": 80, "endPort": 443},
        {"port": "web", "protocol": "TCP"},
        {"port": "dns", "protocol": "UDP"},
        {"port": "web", "protocol": "UDP"},
        {"port": 53, "endPort": 80, "protocol": "UDP"},
        {"protocol": "UDP"},
        {"port": 9000},
    ]
)


def rules(side: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    peers, ports = st.lists(PEERS, min_size=1, max_size=2), st.lists(PORTS, min_size=1, max_size=2)
    rule = st.one_of(
        st.fixed_dictionaries({"ports": ports}),
        st.fixed_dictionaries({side: peers, "ports": ports}),
        st.fixed_dictionaries({side: peers}),
        st.just({}),
    )
    return st.lists(rule, min_size=1, max_size=2)


def described(selector: dict[str, Any], ingress: Any, egress: Any, types: Any, namespace: str) -> Object:
    parts = {"policyTypes": types, "ingress": ingress, "egress": egress}
    return policy(
        {"podSelector": selector, **{key: part for key, part in parts.items() if part is not None}},
        namespace=namespace,
    )


POLICIES = st.lists(
    st.builds(
        described,
        st.one_of(st.just({}), SELECTORS),
        st.one_of(rules("from"), st.none()),
        st.one_of(st.none(), rules("to")),
        st.sampled_from([None, ["Ingress"], ["Egress"], ["Ingress", "Egress"]]),
        st.sampled_from(sorted(SPACES)),
    ),
    min_size=1,
    max_size=3,
)


@given(POLICIES)
@settings(max_examples=100, deadline=None)
def test_every_port_of_every_pair_is_as_the_oracle_says(policies: list[Object]) -> None:
    for source, target in product(ENDPOINTS, ENDPOINTS):
        found = opened(policies, source, target, SOCKETS)

        assert found == oracle(policies, source, target), (source.name, target.name)


@given(POLICIES)
@settings(max_examples=50, deadline=None)
def test_where_nothing_is_opened_nobody_reaches_a_pod_that_is_chosen(policies: list[Object]) -> None:
    closed = [policy({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}, namespace=space) for space in SPACES]
    only_ours = [one for one in policies if not one["spec"].get("ingress") and not one["spec"].get("egress")]

    for source, target in product(ENDPOINTS, ENDPOINTS):
        if source.namespace or target.namespace:
            assert not allows([*closed, *only_ours], source, target, (80, "TCP"))


@given(POLICIES, POLICIES, st.sampled_from(ENDPOINTS), st.sampled_from(ENDPOINTS), st.sampled_from(SOCKETS))
@settings(max_examples=80, deadline=None)
def test_a_policy_more_opens_what_is_closed_already_and_closes_nothing_that_others_opened(
    some: list[Object], more: list[Object], source: Endpoint, target: Endpoint, socket: tuple[int, str]
) -> None:
    isolated = [policy({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}, namespace=space) for space in SPACES]

    if allows([*isolated, *some], source, target, socket):
        assert allows([*isolated, *some, *more], source, target, socket)


def test_a_port_of_a_name_is_the_number_that_the_target_gives_it() -> None:
    opened = policy({"podSelector": {}, "ingress": [{"ports": [{"port": "web"}]}]})
    source, api, worker = (next(one for one in ENDPOINTS if one.name == name) for name in
                           ("theirs-api", "ours-api", "ours-worker"))  # fmt: skip

    assert allows([opened], source, api, (80, "TCP"))
    assert not allows([opened], source, worker, (80, "TCP"))
    assert allows([opened], source, worker, (9000, "TCP"))


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ({"podSelector": {}}, {"ours-api", "ours-worker", "ours-store"}),
        ({"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "api"}}}, {"ours-api", "theirs-api"}),
        ({"namespaceSelector": {"matchLabels": {"team": "red"}}}, {"theirs-api", "theirs-worker", "theirs-store"}),
        ({"ipBlock": {"cidr": "0.0.0.0/0"}}, {"near", "far"}),
    ],
)
def test_a_peer_means_its_own_namespace_others_or_addresses(peer: dict[str, Any], expected: set[str]) -> None:
    opening = policy({"podSelector": {"matchLabels": {"app": "store"}}, "ingress": [{"from": [peer]}]})
    store = next(one for one in ENDPOINTS if one.name == "ours-store")

    assert {one.name for one in ENDPOINTS if allows([opening], one, store, (80, "TCP"))} == expected


@pytest.mark.parametrize(
    ("address", "expected"), [("169.254.169.254", False), ("203.0.113.7", True), ("10.1.2.3", True)]
)
def test_a_hole_in_a_block_is_no_way_out(address: str, expected: bool) -> None:
    block = {"cidr": "0.0.0.0/0", "except": ["169.254.169.254/32"]}
    opened = policy({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [{"ipBlock": block}]}]})

    assert allows([opened], ENDPOINTS[0], Endpoint("there", addresses=(address,)), (443, "TCP")) is expected
