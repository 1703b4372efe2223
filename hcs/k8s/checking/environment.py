"""Environment variables: those of ours are settings that are read, others belong to a library that reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from hcs.k8s.checking.finding import Finding
from hcs.k8s.checking.objects import Object, dig, kind, name, namespace
from hcs.k8s.checking.pods import Pods
from hcs.settings import Settings

PREFIX = "HCS_"
READ_BY = {
    "botocore": (
        "AWS_ACCESS_KEY_ID",
        "AWS_CA_BUNDLE",
        "AWS_CONFIG_FILE",
        "AWS_DEFAULT_REGION",
        "AWS_EC2_METADATA_DISABLED",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_S3",
        "AWS_MAX_ATTEMPTS",
        "AWS_REGION",
        "AWS_REQUEST_CHECKSUM_CALCULATION",
        "AWS_RESPONSE_CHECKSUM_VALIDATION",
        "AWS_RETRY_MODE",
        "AWS_ROLE_ARN",
        "AWS_ROLE_SESSION_NAME",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_STS_REGIONAL_ENDPOINTS",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
    ),
    "Ray": (
        "RAY_ADDRESS",
        "RAY_AUTH_MODE",
        "RAY_AUTH_TOKEN",
        "RAY_AUTH_TOKEN_PATH",
        "RAY_BACKEND_LOG_LEVEL",
        "RAY_DEDUP_LOGS",
        "RAY_GCS_RPC_SERVER_RECONNECT_TIMEOUT_S",
        "RAY_LOG_TO_STDERR",
        "RAY_OBJECT_STORE_ALLOW_SLOW_STORAGE",
        "RAY_TMPDIR",
        "RAY_USAGE_STATS_ENABLED",
        "RAY_enable_autoscaler_v2",
        "RAY_memory_monitor_refresh_ms",
        "RAY_memory_usage_threshold",
    ),
    "Python": (
        "HOME",
        "LANG",
        "LC_ALL",
        "PATH",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONFAULTHANDLER",
        "PYTHONHASHSEED",
        "PYTHONPATH",
        "PYTHONUNBUFFERED",
        "REQUESTS_CA_BUNDLE",
        "SSL_CERT_FILE",
        "TMPDIR",
        "TZ",
        "USER",
        "XDG_CACHE_HOME",
    ),
    "PyTorch and CUDA": (
        "CUDA_VISIBLE_DEVICES",
        "MKL_NUM_THREADS",
        "NVIDIA_DRIVER_CAPABILITIES",
        "NVIDIA_VISIBLE_DEVICES",
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "PYTORCH_CUDA_ALLOC_CONF",
        "TORCH_HOME",
    ),
    "huggingface_hub": ("HF_ENDPOINT", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_TOKEN"),
    "Matplotlib and Numba": ("MPLCONFIGDIR", "NUMBA_CACHE_DIR"),
    "Streamlit": (
        "STREAMLIT_BROWSER_GATHER_USAGE_STATS",
        "STREAMLIT_SERVER_ADDRESS",
        "STREAMLIT_SERVER_BASE_URL_PATH",
        "STREAMLIT_SERVER_COOKIE_SECRET",
        "STREAMLIT_SERVER_ENABLE_XSRF_PROTECTION",
        "STREAMLIT_SERVER_FILE_WATCHER_TYPE",
        "STREAMLIT_SERVER_HEADLESS",
        "STREAMLIT_SERVER_MAX_UPLOAD_SIZE",
        "STREAMLIT_SERVER_PORT",
    ),
    "libpq": (
        "PGAPPNAME",
        "PGCONNECT_TIMEOUT",
        "PGDATA",
        "PGDATABASE",
        "PGHOST",
        "PGPASSWORD",
        "PGPORT",
        "PGSSLMODE",
        "PGSSLROOTCERT",
        "PGUSER",
    ),
    "the image of PostgreSQL": (
        "POSTGRES_DB",
        "POSTGRES_HOST_AUTH_METHOD",
        "POSTGRES_INITDB_ARGS",
        "POSTGRES_PASSWORD",
        "POSTGRES_PASSWORD_FILE",
        "POSTGRES_USER",
    ),
    "the image of MinIO": ("MINIO_ROOT_PASSWORD", "MINIO_ROOT_USER"),
}
"""Who reads which variable, besides us. A variable that nobody reads is a misspelt one."""

OTHERS = {variable: reader for reader, variables in READ_BY.items() for variable in variables}


def our_variables() -> dict[str, str]:
    """Return the variables that our settings read, each with its field."""
    return {f"{PREFIX}{field.upper()}": field for field in Settings.model_fields}


def check_environment(objects: list[Object], pods: list[Pods]) -> Iterator[Finding]:
    """Return a finding for each variable that nobody reads, that comes twice, or that cannot mean what it says."""
    for one in pods:
        for path, container in one.containers(with_autoscaler=True):
            yield from _check_container(container, one, path, objects)


def _check_container(container: Object, pods: Pods, path: str, objects: list[Object]) -> Iterator[Finding]:
    variables = container.get("env") or []
    for place, variable in enumerate(variables):
        yield from _check_variable(
            str(variable.get("name")), variable.get("value"), pods.owner_title, f"{path}.env[{place}]"
        )
    counted = Counter(str(variable.get("name")) for variable in variables)
    for named, number in counted.items():
        if number > 1:
            yield Finding(pods.owner_title, f"{path}.env", "environment/twice", f"{named} once", f"{number} times",
                          "keep the one that is meant")  # fmt: skip
    for place, source in enumerate(container.get("envFrom") or ()):
        settings = dig(source, "configMapRef", "name")
        for item in objects:
            if kind(item) == "ConfigMap" and name(item) == settings and namespace(item) == pods.namespace:
                for key, value in (item.get("data") or {}).items():
                    yield from _check_variable(
                        f"{source.get('prefix', '')}{key}", value, pods.owner_title, f"{path}.envFrom[{place}]"
                    )


def _check_variable(named: str, value: Any, item: str, path: str) -> Iterator[Finding]:
    ours = our_variables()
    if named in ours:
        said = None if value is None or "$(" in str(value) else _misread(ours[named], value)
        if said is not None:
            yield Finding(item, path, "environment/value", f"a value of {named} that hcs can read",
                          f"{value!r}: {said}", "see the settings in the reference")  # fmt: skip
    elif named not in OTHERS:
        known = list(ours) if named.startswith(PREFIX) else list(OTHERS)
        near = get_close_matches(named, known, n=1, cutoff=0.8)
        hint = f" (nearest: {near[0]})" if near else ""
        yield Finding(
            item,
            path,
            "environment/unknown",
            f"a variable that hcs or one of its libraries reads{hint}",
            named,
            "mend its name, or remove it",
        )


def _misread(field: str, value: Any) -> str | None:
    try:
        Settings.__pydantic_validator__.validate_assignment(Settings.model_construct(), field, value)
    except ValidationError as error:
        return str(error.errors()[0]["msg"])
    return None
