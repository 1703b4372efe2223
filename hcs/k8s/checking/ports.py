"""Ports that are named must be served, and volumes that are mounted must be there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hcs.k8s.checking.finding import Finding
from hcs.k8s.checking.objects import Object, dig, dotted, kind, title
from hcs.k8s.checking.pods import Pods, Port
from hcs.k8s.checking.selectors import chosen

PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


def check_ports(objects: list[Object], pods: list[Pods]) -> Iterator[Finding]:
    """Return a finding for every port of a Service, probe or PodMonitor that no chosen pod serves."""
    for item in objects:
        if kind(item) == "Service":
            yield from _check_service(item, pods)
        elif kind(item) == "PodMonitor":
            yield from _check_monitor(item, pods)
    for one in pods:
        yield from _check_probes(one)
        yield from _check_mounts(one)


def serves(ports: tuple[Port, ...], wanted: Any, protocol: str = "TCP") -> bool:
    """Return whether a number or a name is one of the ports."""
    return any(wanted in (port.number, port.name) and port.protocol == protocol for port in ports)


def _check_service(item: Object, pods: list[Pods]) -> Iterator[Finding]:
    found = chosen(item, pods)
    for place, port in enumerate(dig(item, "spec", "ports") or ()):
        target = port.get("targetPort", port.get("port"))
        for one in found:
            if not serves(one.ports, target, port.get("protocol", "TCP")):
                yield _unserved(
                    title(item), dotted(("spec", "ports", place, "targetPort")), target, one.item, one.ports
                )


def _check_monitor(item: Object, pods: list[Pods]) -> Iterator[Finding]:
    found = chosen(item, pods)
    for place, endpoint in enumerate(dig(item, "spec", "podMetricsEndpoints") or ()):
        target = endpoint.get("port", endpoint.get("portNumber"))
        if found and not any(serves(one.ports, target) for one in found):
            path = dotted(("spec", "podMetricsEndpoints", place))
            yield _unserved(title(item), path, target, found[0].item, found[0].ports)


def _check_probes(pods: Pods) -> Iterator[Finding]:
    for path, container in pods.containers():
        own = tuple(
            Port(port["containerPort"], port.get("name"), port.get("protocol", "TCP"))
            for port in container.get("ports") or ()
            if isinstance(port.get("containerPort"), int)
        )
        for probe in (*PROBES, "lifecycle"):
            for way in ("httpGet", "tcpSocket", "grpc"):
                target = dig(container, probe, way, "port")
                if target is not None and not serves(own, target):
                    yield _unserved(pods.owner_title, f"{path}.{probe}.{way}.port", target, "the container", own)


def _unserved(item: str, path: str, target: Any, served_by: str, ports: tuple[Port, ...]) -> Finding:
    known = ", ".join(f"{port.number} ({port.name})" if port.name else str(port.number) for port in ports)
    return Finding(
        item,
        path,
        "wiring/port",
        f"a port that {served_by} serves: {known or 'it has none'}",
        str(target),
        "name one of these ports, or list it under the container's ports",
    )


def _check_mounts(pods: Pods) -> Iterator[Finding]:
    claims = dig(pods.owner, "spec", "volumeClaimTemplates") or ()
    volumes = {volume.get("name") for volume in pods.spec.get("volumes") or ()}
    volumes |= {dig(claim, "metadata", "name") for claim in claims}
    for path, container in pods.containers(with_autoscaler=True):
        for place, mount in enumerate(container.get("volumeMounts") or ()):
            if mount.get("name") not in volumes:
                yield Finding(
                    pods.owner_title,
                    f"{path}.volumeMounts[{place}].name",
                    "wiring/volume",
                    f"a volume of the pod: {', '.join(sorted(map(str, volumes))) or 'it has none'}",
                    str(mount.get("name")),
                    "name one of these volumes, or add it",
                )
