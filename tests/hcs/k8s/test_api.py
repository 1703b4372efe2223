"""Our client of the Kubernetes API, against the stand-in."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from kube_api import KubeApi, rayjob

from hcs.errors import (
    KubernetesBusyError,
    KubernetesConflictError,
    KubernetesError,
    KubernetesGoneError,
    KubernetesInvalidError,
    KubernetesNotAllowedError,
    KubernetesNotFoundError,
    KubernetesQuotaError,
    KubernetesUnreachableError,
)
from hcs.k8s.api import RayJobs
from hcs.k8s.cluster import find_cluster

ANY = ""


def names(items: Any) -> list[str]:
    return [item["metadata"]["name"] for item in items]


def test_what_is_created_is_listed_read_and_deleted(rayjobs: RayJobs) -> None:
    made = rayjobs.create(rayjob("one", a="1"))
    rayjobs.create(rayjob("two", a="2"))
    assert names(rayjobs.list(selector="a=1").items) == ["one"]
    assert rayjobs.get("one") == made
    rayjobs.delete("one", uid=made["metadata"]["uid"])
    assert names(rayjobs.list(selector=ANY).items) == ["two"]
    with pytest.raises(KubernetesNotFoundError):
        rayjobs.get("one")


def test_the_namespace_is_the_one_of_the_kubeconfig_or_the_one_that_is_said(kube: KubeApi, tmp_path: Path) -> None:
    file = str(kube.kubeconfig(tmp_path, namespace="screens"))
    assert find_cluster(kubeconfig=file).namespace == "screens"
    assert find_cluster(kubeconfig=file, namespace="hcs").namespace == "hcs"


def test_another_object_of_the_name_is_not_deleted(rayjobs: RayJobs) -> None:
    rayjobs.create(rayjob())
    with pytest.raises(KubernetesConflictError):
        rayjobs.delete("one", uid="of-one-before")
    assert names(rayjobs.list(selector=ANY).items) == ["one"]


def test_a_name_that_is_taken_is_a_conflict(rayjobs: RayJobs) -> None:
    rayjobs.create(rayjob())
    with pytest.raises(KubernetesConflictError, match="already exists"):
        rayjobs.create(rayjob())


def test_changes_are_told_from_a_listing_on(kube: KubeApi, rayjobs: RayJobs) -> None:
    rayjobs.create(rayjob("before"))
    since = rayjobs.list(selector=ANY).version
    rayjobs.create(rayjob("one"))
    kube.store.say("hcs", "one", jobStatus="RUNNING")
    found = list(rayjobs.changes(selector=ANY, since=since, seconds=1))
    assert [(change.kind, change.item["metadata"]["name"]) for change in found] == [
        ("ADDED", "one"),
        ("MODIFIED", "one"),
    ]
    assert list(rayjobs.changes(selector=ANY, since=found[-1].version, seconds=1)) == []


def test_a_change_is_told_at_once_and_not_at_the_end_of_the_watch(rayjobs: RayJobs) -> None:
    since = rayjobs.list(selector=ANY).version
    rayjobs.create(rayjob())
    began = time.monotonic()
    watch = rayjobs.changes(selector=ANY, since=since, seconds=30)
    assert next(watch).kind == "ADDED"
    assert time.monotonic() - began < 5
    watch.close()  # type: ignore[attr-defined]
    assert names(rayjobs.list(selector=ANY).items) == ["one"]


@pytest.mark.parametrize("by_status", [True, False])
def test_a_version_that_is_forgotten_is_gone(kube: KubeApi, rayjobs: RayJobs, by_status: bool) -> None:
    kube.gone_by_status = by_status
    since = rayjobs.list(selector=ANY).version
    rayjobs.create(rayjob())
    kube.store.compact()
    with pytest.raises(KubernetesGoneError):
        list(rayjobs.changes(selector=ANY, since=since, seconds=1))


def test_a_version_that_is_forgotten_while_it_is_watched_is_gone(kube: KubeApi, rayjobs: RayJobs) -> None:
    since = rayjobs.list(selector=ANY).version

    def forget() -> None:
        with kube.store.changed:
            kube.store.create("hcs", rayjob())
            kube.store.compact()
            kube.store.create("hcs", rayjob("two"))

    later = threading.Timer(0.2, forget)
    later.start()
    with pytest.raises(KubernetesGoneError):
        list(rayjobs.changes(selector=ANY, since=since, seconds=5))
    later.join()


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, KubernetesInvalidError),
        (403, KubernetesNotAllowedError),
        (404, KubernetesNotFoundError),
        (409, KubernetesConflictError),
        (410, KubernetesGoneError),
        (418, KubernetesError),
        (422, KubernetesInvalidError),
        (429, KubernetesBusyError),
        (500, KubernetesBusyError),
        (503, KubernetesBusyError),
        (504, KubernetesBusyError),
    ],
)
def test_every_refusal_has_an_error_that_says_what_was_asked(
    kube: KubeApi, rayjobs: RayJobs, status: int, error: type[KubernetesError]
) -> None:
    kube.break_next("create", status=status)
    with pytest.raises(error) as caught:
        rayjobs.create(rayjob())
    assert type(caught.value) is error
    said = str(caught.value)
    assert f"answered {status} to 'POST /apis/ray.io/v1/namespaces/hcs/rayjobs': as the test asked for. " in said
    assert "\n" not in said
    assert kube.count("create") == 1  # it is asked once


@pytest.mark.parametrize("status", [429, 503])
def test_how_long_the_api_wants_to_be_left_alone_is_known(kube: KubeApi, rayjobs: RayJobs, status: int) -> None:
    kube.break_next("list", status=status, retry_after=7)
    began = time.monotonic()
    with pytest.raises(KubernetesBusyError) as caught:
        rayjobs.list(selector=ANY)
    assert caught.value.retry_after == 7.0
    assert time.monotonic() - began < 5  # who asks decides, and not the client


def test_a_quota_is_told_from_what_is_forbidden(kube: KubeApi, rayjobs: RayJobs) -> None:
    kube.store.quotas["hcs"] = 0
    with pytest.raises(KubernetesQuotaError, match="exceeded quota: runs"):
        rayjobs.create(rayjob())


def test_what_the_role_does_not_name_is_forbidden(kube: KubeApi, rayjobs: RayJobs) -> None:
    kube.rules = [{"apiGroups": ["ray.io"], "resources": ["rayjobs"], "verbs": ["list"]}]
    rayjobs.list(selector=ANY)
    with pytest.raises(KubernetesNotAllowedError, match=r"cannot create.*RoleBinding"):
        rayjobs.create(rayjob())


@pytest.mark.parametrize("kind", ["lost", "unheard", "silent", "mute", "torn", "garbage"])
def test_an_answer_that_does_not_come_is_no_answer(kube: KubeApi, rayjobs: RayJobs, kind: str) -> None:
    fault = kube.break_next("create", kind)
    began = time.monotonic()
    with pytest.raises(KubernetesUnreachableError):
        rayjobs.create(rayjob())
    assert time.monotonic() - began < 6
    assert fault.hits == 1
    assert kube.count("create") <= 1
    is_there = names(rayjobs.list(selector=ANY).items) == ["one"]
    assert is_there == (kind in {"unheard", "mute", "torn"})


def test_an_answer_that_is_late_but_in_time_is_one(kube: KubeApi, rayjobs: RayJobs) -> None:
    kube.break_next("create", "late", seconds=0.2)
    assert rayjobs.create(rayjob())["metadata"]["name"] == "one"


def test_an_api_that_is_away_says_the_same_each_time(kube: KubeApi, rayjobs: RayJobs) -> None:
    rayjobs.list(selector=ANY)
    port = kube.stop()
    said = set()
    for _ in range(3):
        with pytest.raises(KubernetesUnreachableError) as caught:
            rayjobs.list(selector=ANY)
        said.add(str(caught.value))
    kube.start(port)
    assert names(rayjobs.list(selector=ANY).items) == []
    assert len(said) <= 2  # the first may find a line that breaks, the others find none
    assert not any("object at 0x" in text for text in said)


@pytest.mark.parametrize("kind", ["lost", "torn", "garbage"])
def test_a_watch_that_breaks_off_says_so(kube: KubeApi, rayjobs: RayJobs, kind: str) -> None:
    since = rayjobs.list(selector=ANY).version
    rayjobs.create(rayjob())
    rayjobs.create(rayjob("two"))
    kube.break_next("watch", kind)
    found = []
    with pytest.raises(KubernetesUnreachableError):
        found.extend(change.kind for change in rayjobs.changes(selector=ANY, since=since, seconds=1))
    assert names(rayjobs.list(selector=ANY).items) == ["one", "two"]


def test_a_watch_that_says_nothing_ends(kube: KubeApi, rayjobs: RayJobs) -> None:
    since = rayjobs.list(selector=ANY).version
    fault = kube.break_next("watch", "silent")
    before = threading.active_count()
    began = time.monotonic()
    with pytest.raises(KubernetesUnreachableError):
        list(rayjobs.changes(selector=ANY, since=since, seconds=1))
    assert time.monotonic() - began < 10
    assert fault.hits == 1
    assert threading.active_count() <= before + 1  # the stand-in's own, which still waits


def test_a_token_that_was_exchanged_is_read_again(kube: KubeApi, rayjobs: RayJobs, tmp_path: Path) -> None:
    rayjobs.create(rayjob())
    kube.tokens = {"second-token"}
    (tmp_path / "token").write_text("second-token")
    rayjobs.create(rayjob("two"))
    assert [kube.count("create", status) for status in (201, 401)] == [2, 1]


def test_a_token_that_is_unknown_is_asked_with_twice_and_no_more(kube: KubeApi, rayjobs: RayJobs) -> None:
    kube.tokens = {"second-token"}
    with pytest.raises(KubernetesNotAllowedError, match="Its token is unknown, or has ended"):
        rayjobs.list(selector=ANY)
    assert kube.count("list") == 2


def test_no_token_stands_in_an_error(kube: KubeApi, rayjobs: RayJobs) -> None:
    kube.tokens = set()
    with pytest.raises(KubernetesNotAllowedError) as caught:
        rayjobs.list(selector=ANY)
    assert "first-token" not in str(caught.value)


@pytest.mark.parametrize("content", [None, "", "a: [", "kind: Config", "contexts: 3"])
def test_a_kubeconfig_that_is_none_is_explained(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "kubeconfig"
    if content is not None:
        file.write_text(content)
    with pytest.raises(KubernetesError, match="KUBECONFIG") as error:
        find_cluster(kubeconfig=str(file))
    assert str(file) in str(error.value)
    assert ".." not in str(error.value).replace(str(file), "")


def test_a_pod_finds_its_own_cluster_and_reads_its_token_again(
    kube: KubeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, content in {"token": "first-token", "ca.crt": "-", "namespace": "hcs\n"}.items():
        (tmp_path / name).write_text(content)
    host, port = kube.url.removeprefix("http://").split(":")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    cluster = find_cluster(account=tmp_path)
    assert cluster.namespace == "hcs"
    assert cluster.client.configuration.host == f"https://{host}:{port}"
    assert cluster.client.configuration.get_api_key_with_prefix("BearerToken").endswith("first-token")
    (tmp_path / "token").unlink()
    rayjobs = RayJobs(lambda: find_cluster(account=tmp_path))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(KubernetesError, match="ServiceAccount"):
        rayjobs.list(selector=ANY)
