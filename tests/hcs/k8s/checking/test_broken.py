"""Ways of breaking a rendered overlay: each is caught, by the finding that names its cause and by no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hcs.k8s.checking.finding import Verdict
from hcs.k8s.checking.objects import Object

Change = Callable[[list[Object]], None]
API = "spec.template.spec.containers[0]"
HEAD = "spec.rayClusterSpec.headGroupSpec.template.spec"
WORKER = "spec.rayClusterSpec.workerGroupSpecs[0]"


@dataclass(frozen=True)
class Break:
    """A change of an overlay, and the object, place and rule of each finding that it must cause."""

    change: Change
    findings: set[tuple[str, str, str]]
    overlay: str = "prod"
    needs_definitions: bool = False


def find(objects: list[Object], title: str) -> Object:
    kind, name = title.split("/")
    return next(one for one in objects if one["kind"] == kind and one["metadata"]["name"] == name)


def container(objects: list[Object], title: str = "Deployment/hcs-api") -> dict[str, Any]:
    return find(objects, title)["spec"]["template"]["spec"]["containers"][0]


def cluster(objects: list[Object]) -> dict[str, Any]:
    return find(objects, "RayJob/hcs-run")["spec"]["rayClusterSpec"]


def head(objects: list[Object]) -> dict[str, Any]:
    return cluster(objects)["headGroupSpec"]["template"]["spec"]


def worker(objects: list[Object]) -> dict[str, Any]:
    return cluster(objects)["workerGroupSpecs"][0]


def policy(objects: list[Object], name: str) -> dict[str, Any]:
    return find(objects, f"NetworkPolicy/{name}")["spec"]


def without(objects: list[Object], title: str) -> None:
    objects.remove(find(objects, title))


def add_variable(holder: dict[str, Any], name: str, value: str) -> None:
    holder.setdefault("env", []).append({"name": name, "value": value})


def relabel_the_api(objects: list[Object]) -> None:
    """The Deployment still makes its pods, and nothing else finds them."""
    spec = find(objects, "Deployment/hcs-api")["spec"]
    for labels in (spec["selector"]["matchLabels"], spec["template"]["metadata"]["labels"]):
        labels["app.kubernetes.io/component"] = "application"


def open_to_everybody(objects: list[Object]) -> None:
    """The head is reached from anywhere."""
    policy(objects, "run-head")["ingress"].append({"ports": [{"protocol": "TCP", "port": 6379}]})


def roll_out_of(objects: list[Object]) -> None:
    """A dispatcher that is not allowed what it is there for."""
    without(objects, "RoleBinding/hcs-dispatcher")


BREAKS = {
    "a container without a security context": Break(
        lambda objects: container(objects).pop("securityContext"),
        {
            ("Deployment/hcs-api", f"{API}.securityContext.readOnlyRootFilesystem", "policy/read-only"),
            ("Deployment/hcs-api", f"{API}.securityContext.allowPrivilegeEscalation", "policy/escalation"),
            ("Deployment/hcs-api", f"{API}.securityContext.capabilities.drop", "policy/capabilities"),
        },
    ),
    "a worker that runs as root": Break(
        lambda objects: worker(objects)["template"]["spec"]["securityContext"].update(runAsUser=0),
        {("RayJob/hcs-run", f"{WORKER}.template.spec.containers[0].securityContext.runAsUser", "policy/uid")},
    ),
    "a head without a seccomp profile": Break(
        lambda objects: head(objects)["securityContext"].pop("seccompProfile"),
        {
            ("RayJob/hcs-run", f"{HEAD}.containers[0].securityContext.seccompProfile.type", "policy/seccomp"),
            ("RayJob/hcs-run", f"{HEAD}.initContainers[0].securityContext.seccompProfile.type", "policy/seccomp"),
            (
                "RayJob/hcs-run",
                "spec.rayClusterSpec.autoscalerOptions.securityContext.seccompProfile.type",
                "policy/seccomp",
            ),
        },
    ),
    "a label that only the template was given": Break(
        lambda objects: find(objects, "Deployment/hcs-dispatcher")["spec"]["template"]["metadata"]["labels"].update(
            {"app.kubernetes.io/component": "watcher"}
        ),
        {
            ("Deployment/hcs-dispatcher", "spec.selector", "wiring/selector"),
            (
                "Deployment/hcs-dispatcher",
                "port 443, 6443 to proxy, prometheus, dns, kuberay, cloudnative-pg, impostor, machine, internet",
                "network/too-little",
            ),
            ("Pooler/hcs-catalog-pooler", "port 5432 from Deployment/hcs-dispatcher", "network/too-little"),
        },
    ),
    "a Service whose port nobody serves": Break(
        lambda objects: find(objects, "Service/hcs-api")["spec"]["ports"][0].update(targetPort=8001),
        {("Service/hcs-api", "spec.ports[0].targetPort", "wiring/port")},
    ),
    "a probe of a port that the container does not serve": Break(
        lambda objects: container(objects)["livenessProbe"]["httpGet"].update(port="web"),
        {("Deployment/hcs-api", f"{API}.livenessProbe.httpGet.port", "wiring/port")},
    ),
    "a field that Kubernetes does not know": Break(
        lambda objects: container(objects).update(imagePullPolicies="Always"),
        {("Deployment/hcs-api", f"{API}.imagePullPolicies", "schema/unknown-field")},
    ),
    "a field that KubeRay does not know": Break(
        lambda objects: cluster(objects).update(enableAutoscaling=True),
        {("RayJob/hcs-run", "spec.rayClusterSpec.enableAutoscaling", "schema/unknown-field")},
        needs_definitions=True,
    ),
    "a value of another type": Break(
        lambda objects: find(objects, "Deployment/hcs-api")["spec"].update(replicas="two"),
        {("Deployment/hcs-api", "spec.replicas", "schema/value")},
    ),
    "a rule in CEL that is broken": Break(
        lambda objects: find(objects, "RayJob/hcs-run")["spec"].update(managedBy="somebody"),
        {("RayJob/hcs-run", "spec.managedBy", "schema/cel")},
        needs_definitions=True,
    ),
    "a setting that nobody reads": Break(
        lambda objects: add_variable(container(objects), "HCS_CATALOGUE", "postgresql://there"),
        {("Deployment/hcs-api", f"{API}.env[2]", "environment/unknown")},
    ),
    "a setting in a ConfigMap that nobody reads": Break(
        lambda objects: find(objects, "ConfigMap/hcs-catalog-settings")["data"].update(HCS_CATALOGUE="there"),
        {
            ("Deployment/hcs-api", f"{API}.envFrom[1]", "environment/unknown"),
            ("Deployment/hcs-api", "spec.template.spec.initContainers[0].envFrom[1]", "environment/unknown"),
            ("Deployment/hcs-dispatcher", f"{API}.envFrom[1]", "environment/unknown"),
            ("Deployment/hcs-dispatcher", "spec.template.spec.initContainers[0].envFrom[1]", "environment/unknown"),
            ("Job/hcs-migration", f"{API}.envFrom[1]", "environment/unknown"),
            ("RayJob/hcs-run", f"{HEAD}.containers[0].envFrom[1]", "environment/unknown"),
            ("RayJob/hcs-run", f"{HEAD}.initContainers[0].envFrom[1]", "environment/unknown"),
        },
    ),
    "a setting that cannot mean what it says": Break(
        lambda objects: add_variable(container(objects), "HCS_LEASE_SECONDS", "ten minutes"),
        {("Deployment/hcs-api", f"{API}.env[2]", "environment/value")},
    ),
    "an option that the command does not have": Break(
        lambda objects: container(objects)["args"].append("--workers=4"),
        {("Deployment/hcs-api", f"{API}.args", "command/refused")},
    ),
    "an entrypoint that is no command of ours": Break(
        lambda objects: find(objects, "RayJob/hcs-run")["spec"].update(entrypoint="hcs work --executor spark"),
        {("RayJob/hcs-run", "spec.entrypoint", "command/refused")},
    ),
    "fewer workers at most than at least": Break(
        lambda objects: worker(objects).update(minReplicas=3, maxReplicas=2, replicas=2),
        {
            ("RayJob/hcs-run", f"{WORKER}.minReplicas", "kuberay"),
            ("RayJob/hcs-run", f"{WORKER}.replicas", "kuberay"),
        },
    ),
    "pods that are started again, with the autoscaler v2": Break(
        lambda objects: worker(objects)["template"]["spec"].update(restartPolicy="Always"),
        {("RayJob/hcs-run", f"{WORKER}.template.spec.restartPolicy", "kuberay")},
    ),
    "tokens with a Ray that knows none": Break(
        lambda objects: cluster(objects).update(rayVersion="2.51.0"),
        {("RayJob/hcs-run", "spec.rayClusterSpec.rayVersion", "kuberay")},
    ),
    "a template that is suspended and keeps its cluster": Break(
        lambda objects: find(objects, "RayJob/hcs-run")["spec"].update(shutdownAfterJobFinishes=False),
        {
            ("RayJob/hcs-run", "spec.suspend", "kuberay"),
            ("RayJob/hcs-run", "spec.ttlSecondsAfterFinished", "kuberay"),
        },
    ),
    "a token for who needs none": Break(
        lambda objects: find(objects, "Deployment/hcs-api")["spec"]["template"]["spec"].update(
            automountServiceAccountToken=True
        ),
        {("Deployment/hcs-api", "spec.template.spec.automountServiceAccountToken", "policy/token")},
    ),
    "a dispatcher whose ServiceAccount may do nothing": Break(
        roll_out_of,
        {("Deployment/hcs-dispatcher", "spec.template.spec.automountServiceAccountToken", "policy/token")},
    ),
    "the ports of a head open to everybody": Break(
        open_to_everybody,
        {
            (
                "RayJob/hcs-run/head",
                "port 6379 from proxy, prometheus, dns, kuberay, cloudnative-pg, impostor, machine, internet, metadata",
                "network/too-much",
            )
        },
    ),
    "a way out to the metadata of nodes": Break(
        lambda objects: policy(objects, "object-store")["egress"][0]["to"][0]["ipBlock"].pop("except"),
        {
            (pods, "port 443 to metadata", "network/too-much")
            for pods in ("Deployment/hcs-api", "RayJob/hcs-run/head", "RayJob/hcs-run/cpu", "RayJob/hcs-run/gpu")
        },
    ),
    "a dashboard that may not ask the API": Break(
        lambda objects: policy(objects, "dashboard").pop("egress"),
        {("Deployment/hcs-api", "port 8000 from Deployment/hcs-dashboard", "network/too-little")},
    ),
    "nothing that is closed before it is opened": Break(
        lambda objects: policy(objects, "default-deny").update(policyTypes=["Ingress"]),
        set(),  # the policy for DNS chooses every pod too, so that nothing opens
    ),
    "a Secret that nobody makes": Break(
        lambda objects: find(objects, "ConfigMap/hcs-settings")["metadata"]["annotations"].update(
            {"hcs/external-secrets": "hcs-catalog-app"}
        ),
        {("RayJob/hcs-run", "spec.rayClusterSpec.authOptions.secretName", "wiring/reference")},
    ),
    "a Secret that is declared and that nobody names": Break(
        lambda objects: find(objects, "ConfigMap/hcs-settings")["metadata"]["annotations"].update(
            {"hcs/external-secrets": "hcs-catalog-app, hcs-ray-token, hcs-old-token"}
        ),
        {("ConfigMap/hcs-settings", "metadata.annotations[hcs/external-secrets]", "wiring/external")},
    ),
    "a ServiceAccount that is not there": Break(
        lambda objects: without(objects, "ServiceAccount/hcs-run-worker"),
        {
            ("RayJob/hcs-run", f"{WORKER}.template.spec.serviceAccountName", "wiring/reference"),
            (
                "RayJob/hcs-run",
                "spec.rayClusterSpec.workerGroupSpecs[1].template.spec.serviceAccountName",
                "wiring/reference",
            ),
        },
    ),
    "a volume that is mounted and not there": Break(
        lambda objects: worker(objects)["template"]["spec"]["volumes"].pop(),
        {("RayJob/hcs-run", f"{WORKER}.template.spec.containers[0].volumeMounts[2].name", "wiring/volume")},
    ),
    "an image of whatever version": Break(
        lambda objects: container(objects).update(image="registry.example/hcs-api:latest"),
        {("Deployment/hcs-api", f"{API}.image", "policy/image")},
    ),
    "no limit of memory": Break(
        lambda objects: container(objects)["resources"]["limits"].pop("memory"),
        {("Deployment/hcs-api", f"{API}.resources.limits.memory", "policy/resources")},
    ),
    "more shared memory than the container may use": Break(
        lambda objects: worker(objects)["template"]["spec"]["volumes"][2]["emptyDir"].update(sizeLimit="16Gi"),
        {("RayJob/hcs-run", f"{WORKER}.template.spec.containers[0].resources.limits.memory", "policy/memory")},
    ),
    "no probe of liveness": Break(
        lambda objects: container(objects).pop("livenessProbe"),
        {("Deployment/hcs-api", f"{API}.livenessProbe", "policy/probes")},
    ),
    "no disruption budget": Break(
        lambda objects: without(objects, "PodDisruptionBudget/hcs-api"),
        {("Deployment/hcs-api", "spec.replicas", "policy/disruption")},
    ),
    "a head that may be moved": Break(
        lambda objects: cluster(objects)["headGroupSpec"]["template"]["metadata"].pop("annotations"),
        {
            (
                "RayJob/hcs-run",
                "spec.rayClusterSpec.headGroupSpec.template.metadata.annotations"
                "[cluster-autoscaler.kubernetes.io/safe-to-evict]",
                "policy/eviction",
            )
        },
    ),
    "packages that are installed while a run starts": Break(
        lambda objects: find(objects, "RayJob/hcs-run")["spec"].update(runtimeEnvYAML="pip: [torch]\n"),
        {("RayJob/hcs-run", "spec.runtimeEnvYAML", "policy/runtime-env")},
    ),
    "a submitter as KubeRay makes it": Break(
        lambda objects: find(objects, "RayJob/hcs-run")["spec"].pop("submitterPodTemplate"),
        {
            ("RayJob/hcs-run", f"spec.submitterPodTemplate.spec.{path}", rule)
            for path, rule in (
                ("containers[0].securityContext.runAsNonRoot", "policy/uid"),
                ("containers[0].securityContext.runAsUser", "policy/uid"),
                ("containers[0].securityContext.readOnlyRootFilesystem", "policy/read-only"),
                ("containers[0].securityContext.allowPrivilegeEscalation", "policy/escalation"),
                ("containers[0].securityContext.capabilities.drop", "policy/capabilities"),
                ("containers[0].securityContext.seccompProfile.type", "policy/seccomp"),
                ("automountServiceAccountToken", "policy/token"),
            )
        }
        | {  # and it has no label that a policy knows
            ("NetworkPolicy/run-head", "spec.ingress[0].from[0].podSelector", "wiring/selector"),
            ("NetworkPolicy/run-submitter", "spec.podSelector", "wiring/selector"),
            ("RayJob/hcs-run/head", "port 8265 from RayJob/hcs-run/submitter", "network/too-little"),
        },
    ),
    "a namespace that enforces little": Break(
        lambda objects: find(objects, "Namespace/hcs")["metadata"]["labels"].update(
            {"pod-security.kubernetes.io/enforce": "baseline"}
        ),
        {
            (
                "Namespace/hcs",
                "metadata.labels[pod-security.kubernetes.io/enforce]",
                "policy/namespace-label",
            )
        },
    ),
    "a folder of the node": Break(
        lambda objects: head(objects)["volumes"].append({"name": "node", "hostPath": {"path": "/var/lib"}}),
        {("RayJob/hcs-run", f"{HEAD}.volumes[4]", "policy/host")},
    ),
    "an annotation of the template that is misspelt": Break(
        lambda objects: find(objects, "RayJob/hcs-run")["metadata"]["annotations"].update({"hcs/max-worker": "2"}),
        {("RayJob/hcs-run", "", "template/refused")},
    ),
    "a template that starts by itself": Break(
        lambda objects: find(objects, "RayJob/hcs-run")["spec"].update(suspend=False),
        {("RayJob/hcs-run", "", "template/refused")},
    ),
    "GPUs, and no pod that may have one": Break(
        lambda objects: (
            find(objects, "RayJob/hcs-run")["metadata"]["annotations"].update({"hcs/gpu": "true"}),
            find(objects, "RayJob/hcs-run")["spec"]["rayClusterSpec"]["workerGroupSpecs"][1].update(maxReplicas=0),
        )[0],
        {("RayJob/hcs-run", "", "template/refused")},
    ),
    "a database of another version of its operator": Break(
        lambda objects: find(objects, "Cluster/hcs-catalog").update(apiVersion="postgresql.cnpg.io/v2"),
        {("Cluster/hcs-catalog", "apiVersion", "schema/unknown-kind")},
        needs_definitions=True,
    ),
}


def pod(objects: list[Object], title: str = "Deployment/hcs-api") -> dict[str, Any]:
    return find(objects, title)["spec"]["template"]["spec"]


def role(objects: list[Object]) -> dict[str, Any]:
    return find(objects, "Role/hcs-dispatcher")


def binding(objects: list[Object]) -> dict[str, Any]:
    return find(objects, "RoleBinding/hcs-dispatcher")


def workers_pod(objects: list[Object]) -> dict[str, Any]:
    return worker(objects)["template"]["spec"]


def mount_a_token(objects: list[Object]) -> None:
    """A token of the API, at a place where no client looks for it by itself."""
    token = {"serviceAccountToken": {"path": "token"}}
    workers_pod(objects)["volumes"].append({"name": "token", "projected": {"sources": [token]}})
    workers_pod(objects)["containers"][0]["volumeMounts"].append({"name": "token", "mountPath": "/token"})


def mount_the_password(objects: list[Object]) -> None:
    workers_pod(objects)["volumes"].append({"name": "catalog", "secret": {"secretName": "hcs-catalog-app"}})
    workers_pod(objects)["containers"][0]["volumeMounts"].append({"name": "catalog", "mountPath": "/catalog"})


def bind_everywhere(objects: list[Object]) -> None:
    everywhere = {**binding(objects), "kind": "ClusterRoleBinding", "metadata": {"name": "hcs-dispatcher"}}
    objects.append(everywhere | {"roleRef": {**everywhere["roleRef"], "kind": "ClusterRole", "name": "cluster-admin"}})


def budget_of_one(objects: list[Object]) -> None:
    spec = {"minAvailable": 1, "selector": find(objects, "Deployment/hcs-dispatcher")["spec"]["selector"]}
    budget = find(objects, "PodDisruptionBudget/hcs-api")
    objects.append({**budget, "metadata": {"name": "one", "namespace": "hcs"}, "spec": spec})


def budget_as_well(objects: list[Object]) -> None:
    budget = find(objects, "PodDisruptionBudget/hcs-api")
    objects.append({**budget, "metadata": {"name": "two", "namespace": "hcs"}})


def all_but_a_few(objects: list[Object]) -> None:
    """Half of three pods and a bit is two, and half of two and a bit is both."""
    find(objects, "Deployment/hcs-api")["spec"]["replicas"] = 2
    budget = find(objects, "PodDisruptionBudget/hcs-api")["spec"]
    budget.pop("maxUnavailable", None)
    budget["minAvailable"] = "51%"


def context(objects: list[Object]) -> dict[str, Any]:
    return container(objects)["securityContext"]


POD = "spec.template.spec"
WORKERS_POD = f"{WORKER}.template.spec"


def refused(change: Change, path: str) -> Break:
    """A pod that a namespace with `restricted` refuses."""
    return Break(change, {("Deployment/hcs-api", path, "policy/restricted")})


MORE_BREAKS = {
    "a port of the node": refused(
        lambda objects: container(objects)["ports"][0].update(hostPort=8000), f"{API}.ports[0].hostPort"
    ),
    "the whole of /proc": refused(
        lambda objects: context(objects).update(procMount="Unmasked"), f"{API}.securityContext.procMount"
    ),
    "a setting of the kernel": refused(
        lambda objects: pod(objects)["securityContext"].update(sysctls=[{"name": "kernel.msgmax", "value": "1"}]),
        f"{POD}.securityContext.sysctls[0]",
    ),
    "a type of SELinux that may do all": refused(
        lambda objects: pod(objects)["securityContext"].update(seLinuxOptions={"type": "spc_t"}),
        f"{POD}.securityContext.seLinuxOptions",
    ),
    "no AppArmor": refused(
        lambda objects: context(objects).update(appArmorProfile={"type": "Unconfined"}),
        f"{API}.securityContext.appArmorProfile.type",
    ),
    "a process of the node": refused(
        lambda objects: pod(objects)["securityContext"].update(windowsOptions={"hostProcess": True}),
        f"{POD}.securityContext.windowsOptions.hostProcess",
    ),
    "the group of root": refused(
        lambda objects: pod(objects)["securityContext"].update(runAsGroup=0), f"{POD}.securityContext.runAsGroup"
    ),
    "a volume of another server": refused(
        lambda objects: pod(objects)["volumes"].insert(0, {"name": "n", "nfs": {"server": "files", "path": "/"}}),
        f"{POD}.volumes[0].nfs",
    ),
    "processes that see one another": refused(
        lambda objects: pod(objects).update(shareProcessNamespace=True), f"{POD}.shareProcessNamespace"
    ),
    "a token at another place": Break(
        mount_a_token, {("RayJob/hcs-run", f"{WORKERS_POD}.automountServiceAccountToken", "policy/token")}
    ),
    "a role by wildcard": Break(
        lambda objects: role(objects)["rules"][0].update(verbs=["*"]),
        {("Role/hcs-dispatcher", "rules[0].verbs", "policy/rights")},
    ),
    "a role that reads Secrets": Break(
        lambda objects: role(objects)["rules"].append({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}),
        {("Role/hcs-dispatcher", "rules[1].resources", "policy/rights")},
    ),
    "a role that gives itself more": Break(
        lambda objects: role(objects)["rules"][0]["verbs"].append("escalate"),
        {("Role/hcs-dispatcher", "rules[0].verbs", "policy/rights")},
    ),
    "a dispatcher that may do everything": Break(
        lambda objects: binding(objects)["roleRef"].update(kind="ClusterRole", name="cluster-admin"),
        {("RoleBinding/hcs-dispatcher", "roleRef", "policy/rights")},
    ),
    "a dispatcher that may do everything everywhere": Break(
        bind_everywhere, {("ClusterRoleBinding/hcs-dispatcher", "roleRef", "policy/rights")}
    ),
    "rights for everybody who has a name": Break(
        lambda objects: binding(objects)["subjects"].append(
            {"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "system:authenticated"}
        ),
        {("RoleBinding/hcs-dispatcher", "subjects[1]", "policy/rights")},
    ),
    "an API that is offered to the internet": Break(
        lambda objects: find(objects, "Service/hcs-api")["spec"].update(type="LoadBalancer"),
        {("Service/hcs-api", "spec.type", "policy/exposed")},
    ),
    "an API at an address of its own": Break(
        lambda objects: find(objects, "Service/hcs-api")["spec"].update(externalIPs=["192.0.2.1"]),
        {("Service/hcs-api", "spec.externalIPs", "policy/exposed")},
    ),
    "a Service that leads nowhere": Break(
        lambda objects: find(objects, "Service/hcs-api")["spec"].pop("selector"),
        {("Service/hcs-api", "spec.selector", "wiring/selector")},
    ),
    "a block of addresses that is none": Break(
        lambda objects: policy(objects, "object-store")["egress"][0]["to"][0]["ipBlock"].update(cidr="10.0.0.0/33"),
        {("NetworkPolicy/object-store", "spec.egress[0].to[0].ipBlock", "network/address")},
    ),
    "a worker with the address of the catalog": Break(
        lambda objects: workers_pod(objects)["containers"][0]["envFrom"].append(
            {"configMapRef": {"name": "hcs-catalog-settings"}}
        ),
        {("RayJob/hcs-run", f"{WORKERS_POD}.containers[0].envFrom[2]", "policy/catalog")},
    ),
    "a worker with the password of the catalog": Break(
        mount_the_password, {("RayJob/hcs-run", f"{WORKERS_POD}.volumes[3]", "policy/catalog")}
    ),
    "a password in a ConfigMap": Break(
        lambda objects: find(objects, "ConfigMap/hcs-catalog-settings")["data"].update(
            HCS_CATALOG="postgresql://hcs:hunter2@hcs-catalog:5432/hcs"
        ),
        {("ConfigMap/hcs-catalog-settings", "data.HCS_CATALOG", "policy/secret")},
    ),
    "a key as text": Break(
        lambda objects: add_variable(container(objects), "AWS_SECRET_ACCESS_KEY", "abc"),
        {("Deployment/hcs-api", f"{API}.env[2]", "policy/secret")},
    ),
    "a Secret with its values": Break(
        lambda objects: objects.append(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "keys", "namespace": "hcs"},
                "stringData": {"key": "abc"},
            }
        ),
        {("Secret/keys", "data", "policy/secret")},
    ),
    "a budget that keeps the only pod": Break(
        budget_of_one, {("PodDisruptionBudget/one", "spec", "policy/disruption")}
    ),
    "two budgets for a pod": Break(budget_as_well, {("Deployment/hcs-api", "spec.selector", "policy/disruption")}),
    "a budget in per cent that is rounded up to all": Break(
        all_but_a_few, {("PodDisruptionBudget/hcs-api", "spec", "policy/disruption")}
    ),
    "a quota that no run fits into": Break(
        lambda objects: find(objects, "ResourceQuota/hcs")["spec"]["hard"].update({"requests.cpu": "2"}),
        {("ResourceQuota/hcs", "spec.hard[requests.cpu]", "policy/quota")},
    ),
    "limits that refuse the workers": Break(
        lambda objects: find(objects, "LimitRange/hcs")["spec"]["limits"][0].update(max={"cpu": "3"}),
        {
            (
                "RayJob/hcs-run",
                f"spec.rayClusterSpec.workerGroupSpecs[{place}].template.spec.containers[0].resources.limits.cpu",
                "policy/limits",
            )
            for place in (0, 1)
        },
    ),
    "a template that starts itself": Break(
        lambda objects: find(objects, "RayJob/hcs-run")["spec"].update(suspend=False),
        {("RayJob/hcs-run", "", "template/refused")},
    ),
    "a template whose annotation nobody understands": Break(
        lambda objects: find(objects, "RayJob/hcs-run")["metadata"]["annotations"].update({"hcs/max-workers": "lots"}),
        {("RayJob/hcs-run", "", "template/refused")},
    ),
    "an autoscaler of whatever version": Break(
        lambda objects: cluster(objects)["autoscalerOptions"].update(image="rayproject/ray:latest"),
        {("RayJob/hcs-run", "spec.rayClusterSpec.autoscalerOptions.image", "policy/image")},
    ),
    "an autoscaler with a Secret that is not there": Break(
        lambda objects: cluster(objects)["autoscalerOptions"].update(envFrom=[{"secretRef": {"name": "none"}}]),
        {("RayJob/hcs-run", "spec.rayClusterSpec.autoscalerOptions.envFrom[0].secretRef", "wiring/reference")},
    ),
}


def said(verdict: Verdict) -> set[tuple[str, str, str]]:
    return {(finding.item, finding.path, finding.rule) for finding in verdict.findings}


@pytest.mark.parametrize("named", ["dev", "prod"])
def test_the_overlays_as_they_are_have_no_finding(
    named: str, overlay: Callable[[str], list[Object]], judged: Callable[[str, list[Object]], Verdict]
) -> None:
    verdict = judged(named, overlay(named))

    assert [str(finding) for finding in verdict.findings] == []
    assert verdict.n_objects > 40


@pytest.mark.parametrize("broken", (BREAKS | MORE_BREAKS).values(), ids=list(BREAKS | MORE_BREAKS))
def test_what_is_broken_is_found_and_nothing_else(
    broken: Break,
    overlay: Callable[[str], list[Object]],
    judged: Callable[[str, list[Object]], Verdict],
    request: pytest.FixtureRequest,
) -> None:
    if broken.needs_definitions:
        _: Path = request.getfixturevalue("definitions")
    objects = overlay(broken.overlay)
    broken.change(objects)

    assert said(judged(broken.overlay, objects)) == broken.findings
