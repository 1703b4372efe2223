"""Who is offered to whom: Services inside the cluster alone, and addresses that are some."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

from hcs.k8s.checking.finding import Finding
from hcs.k8s.checking.objects import Object, dig, dotted, name, namespace, of_kind, title


def check_services(objects: list[Object]) -> Iterator[Finding]:
    """Return a finding for each Service that is open to outside, or that leads nowhere."""
    for item in of_kind(objects, "Service"):
        offered = dig(item, "spec", "type") or "ClusterIP"
        if offered != "ClusterIP":
            yield Finding(title(item), "spec.type", "policy/exposed", "ClusterIP: a proxy that ends TLS is before it",
                          offered, "set it to ClusterIP, and label the namespace of the proxy")  # fmt: skip
        if dig(item, "spec", "externalIPs"):
            yield Finding(title(item), "spec.externalIPs", "policy/exposed", "none", str(item["spec"]["externalIPs"]),
                          "remove them")  # fmt: skip
        if offered != "ExternalName" and not dig(item, "spec", "selector") and not _has_endpoints(item, objects):
            yield Finding(title(item), "spec.selector", "wiring/selector", "labels of the pods that serve it",
                          "none, and no EndpointSlice of its name", "name the labels")  # fmt: skip


def _has_endpoints(service: Object, objects: list[Object]) -> bool:
    return any(
        namespace(item) == namespace(service)
        and name(service) in (name(item), dig(item, "metadata", "labels", "kubernetes.io/service-name"))
        for item in of_kind(objects, "Endpoints", "EndpointSlice")
    )


def check_addresses(objects: list[Object]) -> Iterator[Finding]:
    """Return a finding for each block of addresses in a NetworkPolicy that is none."""
    for item in of_kind(objects, "NetworkPolicy"):
        for direction, side in (("ingress", "from"), ("egress", "to")):
            for number, rule in enumerate(dig(item, "spec", direction) or ()):
                for place, peer in enumerate((rule or {}).get(side) or ()):
                    block = peer.get("ipBlock") or {}
                    for cidr in [block["cidr"], *(block.get("except") or ())] if block.get("cidr") else ():
                        if not _is_block(cidr):
                            path = dotted(("spec", direction, number, side, place, "ipBlock"))
                            yield Finding(title(item), path, "network/address", "a block such as 10.0.0.0/8", str(cidr),
                                          "mend it")  # fmt: skip


def _is_block(cidr: Any) -> bool:
    try:
        ip_network(cidr, strict=False)
    except ValueError:
        return False
    return "/" in str(cidr)
