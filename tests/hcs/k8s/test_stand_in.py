"""The stand-in keeps the rules of the Kubernetes API: asked in plain HTTP, without our client.

The sources: KC is https://kubernetes.io/docs/reference/using-api/api-concepts/, CONV the API conventions of SIG
Architecture, RBAC https://kubernetes.io/docs/reference/access-authn-authz/rbac/, and others by their address.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from kube_api import USER, KubeApi, rayjob

PATH = "/apis/ray.io/v1/namespaces/hcs/rayjobs"


@pytest.fixture
def http(kube: KubeApi) -> Iterator[httpx.Client]:
    kube.longest_watch_seconds = 0.2
    with httpx.Client(base_url=kube.url, headers={"Authorization": "Bearer first-token"}, timeout=10) as client:
        yield client


def created(http: httpx.Client, name: str = "one", **labels: str) -> dict[str, Any]:
    answer = http.post(PATH, json=rayjob(name, **labels))
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def watched(http: httpx.Client, since: str, *, seconds: int = 1, **query: str) -> list[dict[str, Any]]:
    asked = {"watch": "true", "resourceVersion": since, "timeoutSeconds": str(seconds), **query}
    with http.stream("GET", PATH, params=asked) as answer:
        assert answer.status_code == 200
        return [json.loads(line) for line in answer.iter_lines()]


def test_what_is_created_gets_a_uid_a_version_and_no_status(http: httpx.Client) -> None:
    """CONV, "Metadata" and "Spec and Status"."""
    answer = http.post(PATH, json={**rayjob(), "status": {"jobStatus": "SUCCEEDED"}})
    made = answer.json()
    assert answer.status_code == 201
    assert made["metadata"]["uid"]
    assert made["metadata"]["creationTimestamp"]
    assert "status" not in made
    assert made["spec"] == rayjob()["spec"]
    assert http.get(f"{PATH}/one").json() == made


def test_versions_grow_with_every_change_of_any_object(http: httpx.Client, kube: KubeApi) -> None:
    """KC, "Resource versions"."""
    versions = [int(created(http, name)["metadata"]["resourceVersion"]) for name in ("one", "two")]
    versions.append(int(kube.store.say("hcs", "one", jobStatus="RUNNING")["metadata"]["resourceVersion"]))
    http.delete(f"{PATH}/two")
    versions.append(int(http.get(PATH).json()["metadata"]["resourceVersion"]))
    assert versions == sorted(set(versions))


def test_a_name_is_given_once(http: httpx.Client) -> None:
    """CONV, "Idempotency": a second create of the name is AlreadyExists."""
    created(http)
    answer = http.post(PATH, json=rayjob())
    assert (answer.status_code, answer.json()["reason"]) == (409, "AlreadyExists")
    assert answer.json()["kind"] == "Status"


@pytest.mark.parametrize("name", ["", "Upper", "a_b", "-a", "a" * 254])
def test_a_name_is_a_dns_subdomain(http: httpx.Client, name: str) -> None:
    """https://kubernetes.io/docs/concepts/overview/working-with-objects/names/."""
    answer = http.post(PATH, json=rayjob(name))
    assert (answer.status_code, answer.json()["reason"]) == (422, "Invalid")


@pytest.mark.parametrize(
    "wrong", [{"kind": "Job"}, {"apiVersion": "ray.io/v2"}, {"metadata": {"name": "one", "namespace": "other"}}]
)
def test_an_object_of_another_kind_or_namespace_is_a_bad_request(http: httpx.Client, wrong: dict[str, Any]) -> None:
    """KC: the path says what is created."""
    assert http.post(PATH, json={**rayjob(), **wrong}).status_code == 400


def test_what_the_schema_refuses_is_invalid(http: httpx.Client, kube: KubeApi) -> None:
    """https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation."""
    kube.store.validate = lambda found: ["spec.entrypoint: Required value"] if "entrypoint" not in found["spec"] else []
    answer = http.post(PATH, json={**rayjob(), "spec": {}})
    assert (answer.status_code, answer.json()["reason"]) == (422, "Invalid")
    assert "spec.entrypoint" in answer.json()["message"]
    created(http)


def test_an_old_version_is_a_conflict_when_it_is_replaced(http: httpx.Client) -> None:
    """CONV, "Concurrency Control and Consistency"."""
    made = created(http)
    first = http.put(f"{PATH}/one", json={**made, "spec": {"entrypoint": "first"}})
    second = http.put(f"{PATH}/one", json={**made, "spec": {"entrypoint": "second"}})
    assert (first.status_code, second.status_code, second.json()["reason"]) == (200, 409, "Conflict")
    found = http.get(f"{PATH}/one").json()
    assert (found["spec"]["entrypoint"], found["metadata"]["generation"]) == ("first", 2)


def test_the_status_is_a_subresource(http: httpx.Client) -> None:
    """CONV, "Spec and Status": each is written through its own path."""
    made = created(http)
    written = http.put(f"{PATH}/one/status", json={**made, "spec": {}, "status": {"jobStatus": "RUNNING"}}).json()
    assert (written["status"], written["spec"]) == ({"jobStatus": "RUNNING"}, made["spec"])
    again = http.put(f"{PATH}/one", json={**written, "status": {}}).json()
    assert again["status"] == {"jobStatus": "RUNNING"}


def test_labels_select(http: httpx.Client) -> None:
    """https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/."""
    created(http, "one", a="1", b="x")
    created(http, "two", a="2")
    created(http, "three")
    for selector, names in {
        "a=1": ["one"],
        "a==1,b=x": ["one"],
        "a!=1": ["three", "two"],
        "a": ["one", "two"],
        "!a": ["three"],
        "a in (1, 2),b": ["one"],
        "a notin (1)": ["three", "two"],
        "": ["one", "three", "two"],
    }.items():
        found = http.get(PATH, params={"labelSelector": selector}).json()["items"]
        assert [item["metadata"]["name"] for item in found] == names, selector
    assert http.get(PATH, params={"labelSelector": "a=("}).status_code in {200, 400}


def test_a_precondition_that_does_not_hold_is_a_conflict(http: httpx.Client) -> None:
    """The reference of the API, DeleteOptions: preconditions."""
    made = created(http)
    wrong = http.request("DELETE", f"{PATH}/one", json={"preconditions": {"uid": "another"}})
    assert (wrong.status_code, wrong.json()["reason"]) == (409, "Conflict")
    right = http.request("DELETE", f"{PATH}/one", json={"preconditions": {"uid": made["metadata"]["uid"]}})
    assert (right.status_code, right.json()["status"]) == (200, "Success")
    gone = http.delete(f"{PATH}/one")
    assert (gone.status_code, gone.json()["reason"]) == (404, "NotFound")


def test_an_object_with_a_finalizer_waits_to_be_gone(http: httpx.Client, kube: KubeApi) -> None:
    """https://kubernetes.io/docs/concepts/overview/working-with-objects/finalizers/."""
    created(http)
    kube.store.hold("hcs", "one", "ray.io/rayjob-finalizer")
    first = http.delete(f"{PATH}/one").json()
    assert first["metadata"]["deletionTimestamp"]
    assert http.delete(f"{PATH}/one").json()["metadata"]["deletionTimestamp"] == first["metadata"]["deletionTimestamp"]
    assert http.post(PATH, json=rayjob()).status_code == 409
    kube.store.let_go("hcs", "one")
    assert http.get(f"{PATH}/one").status_code == 404


def test_foreground_deletion_waits_for_what_it_owns(http: httpx.Client, kube: KubeApi) -> None:
    """https://kubernetes.io/docs/concepts/architecture/garbage-collection/."""
    created(http)
    waits = http.request("DELETE", f"{PATH}/one", json={"propagationPolicy": "Foreground"}).json()
    assert waits["metadata"]["finalizers"] == ["foregroundDeletion"]
    kube.store.let_go("hcs", "one")
    assert http.get(f"{PATH}/one").status_code == 404


def test_a_watch_tells_what_changed_since_a_version(http: httpx.Client, kube: KubeApi) -> None:
    """KC, "Efficient detection of changes"."""
    created(http, "before", a="1")
    since = http.get(PATH).json()["metadata"]["resourceVersion"]
    created(http, "one", a="1")
    created(http, "other", a="2")
    kube.store.say("hcs", "one", jobStatus="RUNNING")
    http.delete(f"{PATH}/one")
    events = watched(http, since, labelSelector="a=1")
    told = [(event["type"], event["object"]["metadata"]["name"]) for event in events]
    assert told == [("ADDED", "one"), ("MODIFIED", "one"), ("DELETED", "one")]
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert versions == sorted(set(versions))
    assert versions[0] > int(since)


def test_who_stops_to_match_is_deleted_for_a_watch(http: httpx.Client) -> None:
    """KC, watches with selectors."""
    made = created(http, "one", a="1")
    since = made["metadata"]["resourceVersion"]
    made["metadata"]["labels"] = {"a": "2"}
    http.put(f"{PATH}/one", json=made)
    told = watched(http, since, labelSelector="a=1")
    assert [event["type"] for event in told] == ["DELETED"]
    assert [event["type"] for event in watched(http, since, labelSelector="a=2")] == ["ADDED"]


def test_a_watch_tells_while_it_goes_on_and_ends_in_time(http: httpx.Client, kube: KubeApi) -> None:
    """KC: timeoutSeconds."""
    kube.longest_watch_seconds = 60
    since = http.get(PATH).json()["metadata"]["resourceVersion"]
    later = threading.Timer(0.3, lambda: httpx.post(f"{http.base_url}{PATH}", json=rayjob(), headers=http.headers))
    later.start()
    began = time.monotonic()
    events = watched(http, since, seconds=1)
    later.join()
    assert [event["type"] for event in events] == ["ADDED"]
    assert 0.9 <= time.monotonic() - began < 3


def test_bookmarks_say_how_far_a_watch_is(http: httpx.Client, kube: KubeApi) -> None:
    """KC, "Watch bookmarks"."""
    kube.bookmark_seconds = 0.05
    created(http, "other", a="2")
    since = "1000"
    events = watched(http, since, labelSelector="a=1", allowWatchBookmarks="true")
    assert {event["type"] for event in events} == {"BOOKMARK"}
    assert events[-1]["object"]["metadata"] == {"resourceVersion": str(kube.store.version)}
    assert "BOOKMARK" not in {event["type"] for event in watched(http, since)}


def test_a_watch_may_be_behind_and_a_list_is_not(http: httpx.Client, kube: KubeApi) -> None:
    """KC, "Semantics for watch" and the consistent reads of lists without a version."""
    kube.behind_at = kube.store.version
    since = http.get(PATH).json()["metadata"]["resourceVersion"]
    created(http)
    assert watched(http, since) == []
    assert len(http.get(PATH).json()["items"]) == 1
    kube.behind_at = None
    assert [event["type"] for event in watched(http, since)] == ["ADDED"]


@pytest.mark.parametrize("by_status", [True, False])
def test_a_version_that_was_compacted_is_gone(http: httpx.Client, kube: KubeApi, by_status: bool) -> None:
    """KC, "410 Gone responses": as an answer, or as an ERROR event."""
    kube.gone_by_status = by_status
    since = created(http)["metadata"]["resourceVersion"]
    created(http, "two")
    kube.store.compact()
    asked = {"watch": "true", "resourceVersion": since, "timeoutSeconds": "1"}
    answer = http.get(PATH, params=asked)
    said = answer.json() if by_status else json.loads(answer.text)["object"]
    assert answer.status_code == (410 if by_status else 200)
    assert (said["code"], said["reason"]) == (410, "Expired")
    assert watched(http, str(kube.store.version)) == []


def test_a_token_that_is_unknown_is_not_let_in(http: httpx.Client) -> None:
    """https://kubernetes.io/docs/reference/access-authn-authz/authentication/."""
    answer = httpx.get(f"{http.base_url}{PATH}", headers={"Authorization": "Bearer other"})
    assert (answer.status_code, answer.json()["reason"]) == (401, "Unauthorized")


VERBS = {
    "get": ("GET", f"{PATH}/one", {}),
    "list": ("GET", PATH, {}),
    "watch": ("GET", PATH, {"watch": "true", "timeoutSeconds": "1", "resourceVersion": "1000"}),
    "create": ("POST", PATH, {}),
    "update": ("PUT", f"{PATH}/one", {}),
    "patch": ("PATCH", f"{PATH}/one", {}),
    "delete": ("DELETE", f"{PATH}/one", {}),
    "deletecollection": ("DELETE", PATH, {}),
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_that_no_rule_names_is_forbidden(http: httpx.Client, kube: KubeApi, verb: str) -> None:
    """RBAC: permissions are only added, there are no rules of denial."""
    method, path, query = VERBS[verb]
    others = sorted(set(VERBS) - {verb})
    kube.rules = [{"apiGroups": ["ray.io"], "resources": ["rayjobs"], "verbs": others}]
    answer = http.request(method, path, params=query)
    assert (answer.status_code, answer.json()["reason"]) == (403, "Forbidden")
    assert f'User "{USER}" cannot {verb} resource "rayjobs" in API group "ray.io"' in answer.json()["message"]
    kube.rules = [{"apiGroups": ["ray.io"], "resources": ["rayjobs"], "verbs": [verb]}]
    assert http.request(method, path, params=query).status_code != 403


def test_a_rule_is_of_its_group_and_namespace(http: httpx.Client, kube: KubeApi) -> None:
    """RBAC: a Role is of one namespace."""
    kube.rules = [{"apiGroups": ["batch"], "resources": ["rayjobs"], "verbs": ["*"]}]
    assert http.get(PATH).status_code == 403
    kube.rules = [{"apiGroups": ["ray.io"], "resources": ["rayjobs"], "verbs": ["list"]}]
    assert http.get(PATH).status_code == 200
    assert http.get(PATH.replace("/hcs/", "/other/")).status_code == 403
    assert http.put(f"{PATH}/one/status", json={}).status_code == 403


def test_names_of_objects_limit_no_create(http: httpx.Client, kube: KubeApi) -> None:
    """RBAC, "Referring to resources": the name may not be known when create is authorized."""
    kube.rules = [
        {"apiGroups": ["ray.io"], "resources": ["rayjobs"], "verbs": ["create", "get"], "resourceNames": ["one"]}
    ]
    assert http.post(PATH, json=rayjob()).status_code == 403
    assert http.get(f"{PATH}/one").status_code == 404
    assert http.get(f"{PATH}/two").status_code == 403


def test_a_quota_refuses_what_is_too_much(http: httpx.Client, kube: KubeApi) -> None:
    """https://kubernetes.io/docs/concepts/policy/resource-quotas/: 403 and what was exceeded."""
    kube.store.quotas["hcs"] = 1
    created(http)
    answer = http.post(PATH, json=rayjob("two"))
    assert answer.status_code == 403
    assert "exceeded quota" in answer.json()["message"]
    http.delete(f"{PATH}/one")
    created(http, "two")


def test_another_kind_is_not_found(http: httpx.Client) -> None:
    """A kind without its CustomResourceDefinition."""
    assert http.get(PATH.replace("rayjobs", "rayclusters")).status_code == 404


def test_a_create_whose_answer_is_lost_was_done(http: httpx.Client, kube: KubeApi) -> None:
    fault = kube.break_next("create", "unheard")
    with pytest.raises(httpx.HTTPError):
        http.post(PATH, json=rayjob())
    assert fault.hits == 1
    assert http.get(f"{PATH}/one").status_code == 200


def test_a_create_that_is_lost_was_not_done(http: httpx.Client, kube: KubeApi) -> None:
    kube.break_next("create", "lost")
    with pytest.raises(httpx.HTTPError):
        http.post(PATH, json=rayjob())
    assert http.get(f"{PATH}/one").status_code == 404


def test_faults_come_as_often_as_asked(http: httpx.Client, kube: KubeApi) -> None:
    kube.break_next("list", status=429, retry_after=7, times=2)
    answers = [http.get(PATH) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429, 429, 200]
    assert answers[0].headers["Retry-After"] == "7"
    assert answers[0].json()["reason"] == "TooManyRequests"


def test_it_is_away_and_back_at_the_same_address(http: httpx.Client, kube: KubeApi) -> None:
    created(http)
    port = kube.stop()
    with pytest.raises(httpx.HTTPError):
        http.get(PATH)
    kube.start(port)
    assert http.get(f"{PATH}/one").status_code == 200
