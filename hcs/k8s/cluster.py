"""Finds the Kubernetes API, and who we are for it: as a pod of it, or by a kubeconfig."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hcs.errors import KubernetesError, KubernetesNotAllowedError, UsageError

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass
class Cluster:
    """An API, one namespace of it, and a client that knows a token or a certificate."""

    client: Any
    namespace: str

    def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
        timeouts: tuple[float, float],
    ) -> Any:
        """Return urllib3's answer to one request, its body still to be read.

        `timeouts` are the seconds to connect, and to wait for each piece of the answer. A pod's token is read again
        when a minute has passed: they are exchanged about once an hour.

        Raises:
            KubernetesNotAllowedError: If there is no token any more.
        """
        from kubernetes.config import ConfigException  # noqa: PLC0415 - as below

        try:
            asked = self.client.param_serialize(
                method=method,
                resource_path=path,
                query_params=list((query or {}).items()),
                header_params={"Accept": "application/json", "Content-Type": "application/json"},
                body=None if body is None else dict(body),
                auth_settings=["BearerToken"],
            )
        except (ConfigException, OSError) as error:
            raise KubernetesNotAllowedError(
                f"expected a token to show to the Kubernetes API, but {error}. Does the pod mount the token of its "
                "ServiceAccount?"
            ) from error
        return self.client.call_api(*asked, _request_timeout=timeouts).response

    def close(self) -> None:
        """Close its connections."""
        self.client.close()


def find_cluster(
    *, namespace: str | None = None, kubeconfig: str | None = None, account: Path = SERVICE_ACCOUNT
) -> Cluster:
    """Return the cluster of this pod, else that of a kubeconfig: a named one, `$KUBECONFIG`, or `~/.kube/config`.

    Args:
        namespace: Which namespace; by default the pod's, or that of the kubeconfig's context.
        kubeconfig: A file; with it, the pod's own cluster is not looked for.
        account: The folder in which a pod finds its token, its certificate and its namespace.

    Raises:
        KubernetesError: If there is no cluster.
        UsageError: If the extra `k8s` is not installed.
    """
    try:
        from kubernetes.client import ApiClient, Configuration  # noqa: PLC0415 - of an extra
        from kubernetes.config import ConfigException  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise UsageError(
            f"a cluster is asked through {error.name}, which is not installed here: pip install 'hcs[k8s]'"
        ) from error
    configuration = Configuration()
    configuration.retries = False  # one function asks again, and says so
    try:
        own = None if kubeconfig else _own(configuration, account)
        found = own or _named(configuration, kubeconfig)
    except (ConfigException, OSError, ValueError, KeyError, TypeError) as error:
        looked = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
        raise KubernetesError(
            f"expected to run in a pod with a ServiceAccount, or a kubeconfig that names a cluster and a user, but in "
            f"{looked}: {str(error).rstrip('.')}. Say --kubeconfig FILE, or set KUBECONFIG."
        ) from error
    return Cluster(ApiClient(configuration), namespace or found)


def _own(configuration: Any, account: Path) -> str | None:
    """Return the namespace of this pod, if it is one that may ask its cluster."""
    from kubernetes.config import ConfigException  # noqa: PLC0415
    from kubernetes.config.incluster_config import InClusterConfigLoader  # noqa: PLC0415

    load: Any = InClusterConfigLoader  # its package has no types
    loader = load(token_filename=str(account / "token"), cert_filename=str(account / "ca.crt"), try_refresh_token=True)
    try:
        loader.load_and_set(configuration)
    except ConfigException:
        return None
    file = account / "namespace"
    return file.read_text().strip() if file.is_file() else "default"


def _named(configuration: Any, kubeconfig: str | None) -> str:
    """Return the namespace of the kubeconfig's context."""
    from kubernetes import config  # noqa: PLC0415

    untyped: Any = config
    try:
        untyped.load_kube_config(config_file=kubeconfig, client_configuration=configuration, persist_config=False)
        _, context = untyped.list_kube_config_contexts(config_file=kubeconfig)
    except yaml.YAMLError as error:
        raise config.ConfigException(f"{kubeconfig or 'the kubeconfig'} is no YAML") from error
    return str(context.get("context", {}).get("namespace") or "default")
