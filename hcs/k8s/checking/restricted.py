"""What a namespace that enforces `restricted` refuses of a pod, besides what `policy` looks at, and a little more.

The API server refuses such pods when their Deployment is rolled out, which nobody sees who only applies manifests.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hcs.k8s.checking.finding import Finding
from hcs.k8s.checking.objects import Object, dig
from hcs.k8s.checking.pods import Pods

VOLUMES = frozenset(
    {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
)
SAFE_SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    }
)
SELINUX_TYPES = frozenset({"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"})
_PROFILES = ("RuntimeDefault", "Localhost", None)
APPARMOR = "container.apparmor.security.beta.kubernetes.io/"

_Said = tuple[str, str, str]
"""Where under the security context, what was expected, what is there."""


def check_restricted(pods: Pods) -> Iterator[Finding]:
    """Return a finding for each thing of a pod that `restricted` does not allow."""

    def found(path: str, expected: str, got: object) -> Finding:
        return Finding(pods.owner_title, path, "policy/restricted", expected, str(got), "remove it")

    for place, volume in enumerate(pods.spec.get("volumes") or ()):
        for source in sorted(volume.keys() - VOLUMES - {"name", "hostPath"}):  # policy/host says that of a hostPath
            yield found(pods.at("volumes", place, source), f"one of {', '.join(sorted(VOLUMES))}", source)
    if pods.spec.get("ephemeralContainers"):
        yield found(pods.at("ephemeralContainers"), "none: they are for debugging", "some")
    if pods.spec.get("shareProcessNamespace"):
        yield found(pods.at("shareProcessNamespace"), "containers that do not see one another's processes", "true")
    for field, expected, got in _in_context(pods.spec.get("securityContext") or {}):
        yield found(pods.at("securityContext") + f".{field}", expected, got)
    for note, profile in pods.annotations.items():
        if note.startswith(APPARMOR) and profile == "unconfined":
            yield found(f"metadata.annotations[{note}]", "a profile of AppArmor", profile)
    for path, container in pods.containers(with_autoscaler=True):
        for place, port in enumerate(container.get("ports") or ()):
            if port.get("hostPort"):
                yield found(f"{path}.ports[{place}].hostPort", "no port of the node", port["hostPort"])
        for field, expected, got in _in_context(container.get("securityContext") or {}):
            yield found(f"{path}.securityContext.{field}", expected, got)


def _in_context(context: Object) -> Iterator[_Said]:
    """Yield what is wrong in a security context, of a pod or of a container."""
    if context.get("procMount") not in (None, "Default"):
        yield "procMount", "Default", str(context["procMount"])
    for place, sysctl in enumerate(context.get("sysctls") or ()):
        if sysctl.get("name") not in SAFE_SYSCTLS:
            yield f"sysctls[{place}]", "one that is safe", str(sysctl.get("name"))
    linux: dict[str, Any] = context.get("seLinuxOptions") or {}
    if linux.get("type", "") not in SELINUX_TYPES or linux.get("user") or linux.get("role"):
        yield "seLinuxOptions", "none but a type of containers", str(linux)
    if dig(context, "appArmorProfile", "type") not in _PROFILES:
        yield "appArmorProfile.type", "RuntimeDefault or Localhost", str(dig(context, "appArmorProfile", "type"))
    if dig(context, "windowsOptions", "hostProcess"):
        yield "windowsOptions.hostProcess", "no process of the node", "true"
    for field in ("runAsGroup", "fsGroup"):
        if context.get(field) == 0:
            yield field, "a group other than root's", "0"
    if 0 in (context.get("supplementalGroups") or ()):
        yield "supplementalGroups", "no group of root's", "0"
