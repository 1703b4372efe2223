from __future__ import annotations

import copy
import json
import re
import shlex
from pathlib import Path

import pytest
import yaml
from commands import hcs
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from hcs.catalog import begin_dispatch, cancel_run, catalog_id, end_dispatch, open_catalog, submit_run
from hcs.cli.main import app
from hcs.errors import MissingFileError, NotFoundError, TemplateError
from hcs.io.screen import load_screen
from hcs.k8s.rayjob import RunJob, find_template, render
from hcs.k8s.sizing import Demand

TEMPLATE = yaml.safe_load("""
apiVersion: ray.io/v1
kind: RayJob
metadata:
  name: hcs-run
  namespace: screening
  labels: {app.kubernetes.io/name: hcs, app.kubernetes.io/component: run-template, team: imaging}
  annotations: {hcs/plates-per-worker: "2", hcs/max-workers: "5", hcs/gpu: "true", example.org/owner: lab}
spec:
  suspend: true
  entrypoint: hcs --version
  submissionMode: K8sJobMode
  backoffLimit: 2
  shutdownAfterJobFinishes: true
  rayClusterSpec:
    enableInTreeAutoscaling: true
    headGroupSpec:
      rayStartParams: {num-cpus: "0"}
      template: {spec: {containers: [{name: ray-head, image: registry.example/x}]}}
    workerGroupSpecs:
      - groupName: cpu
        replicas: 0
        minReplicas: 0
        maxReplicas: 3
        template: {spec: {containers: [{name: ray-worker, image: registry.example/x, resources: {limits: {cpu: "4"}}}]}}
      - groupName: gpu
        maxReplicas: 8
        template:
          spec:
            containers:
              - {name: ray-worker, image: registry.example/y, resources: {limits: {cpu: 8500m, nvidia.com/gpu: "1"}}}
""")
BASE = Path(__file__).parents[3] / "k8s/base/rayjob-template.yaml"
CATALOG = "0123456789abcdef0123456789abcdef"
NAMED_BY_THE_RUN = [
    ("metadata", "name"),
    *(("metadata", "labels", f"hcs/{label}") for label in ("catalog", "run", "attempt")),
    ("metadata", "labels", "app.kubernetes.io/component"),
    *(("metadata", "annotations", f"hcs/{name}") for name in ("plates-per-worker", "max-workers", "gpu")),
    ("spec", "suspend"),
    ("spec", "entrypoint"),
    *(
        ("spec", "rayClusterSpec", "workerGroupSpecs", group, count)
        for group in (0, 1)
        for count in ("replicas", "minReplicas", "maxReplicas")
    ),
]

POD_LABELS = ("hcs/catalog", "hcs/run", "hcs/attempt")


def leaves(value, path=()):
    """Every value of an object by its path."""
    if isinstance(value, (dict, list)) and value:
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(item, (*path, key))
    else:
        yield path, value


def job(n_plates=1, *, run_id=7, attempt=1, has_network=False, device=None):
    return RunJob(CATALOG, run_id, attempt, Demand(n_plates, has_network, device))


def replicas(made):
    groups = made["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    return {group["groupName"]: (group["replicas"], group["minReplicas"], group["maxReplicas"]) for group in groups}


def changed(path, value):
    """The template with one value changed, or taken away."""
    made = copy.deepcopy(TEMPLATE)
    place = made
    for key in path[:-1]:
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return made


jobs = st.builds(
    job,
    st.integers(1, 10_000),
    run_id=st.integers(1, 2**63 - 1),
    attempt=st.integers(1, 10**6),
    has_network=st.booleans(),
    device=st.sampled_from([None, "cpu", "cuda"]),
)


@given(jobs)
def test_what_depends_on_the_run_is_named_and_everything_else_is_the_templates(one):
    before = copy.deepcopy(TEMPLATE)

    made = render(TEMPLATE, one)

    assert before == TEMPLATE
    assert render(TEMPLATE, one) == made
    assert json.loads(json.dumps(made)) == made
    wanted, found = dict(leaves(TEMPLATE)), dict(leaves(made))
    labels = {path for path in found if path[-3:-1] == ("metadata", "labels") and path[-1] in POD_LABELS}
    for path in (*NAMED_BY_THE_RUN, *labels):
        wanted.pop(path, None)
        found.pop(path, None)
    assert found == wanted


@pytest.mark.skipif(not BASE.exists(), reason="the manifests of the place are not here")
@pytest.mark.parametrize("n_plates", [1, 384])
def test_the_template_of_the_base_is_one_that_runs_are_made_from(n_plates):
    template = find_template(yaml.safe_load_all(BASE.read_text(encoding="utf-8")))

    made = render(template, job(n_plates, has_network=True))

    (largest,) = {group for group, (*_, most) in replicas(made).items() if most}
    assert replicas(made)[largest] == (0, 0, 1 if n_plates == 1 else 16)
    assert made["spec"]["shutdownAfterJobFinishes"] is True
    assert made["spec"].keys() == template["spec"].keys()


@given(st.text("0123456789abcdef", min_size=32, max_size=32), st.integers(1, 2**63 - 1), st.integers(1, 10**6))
def test_a_name_is_one_that_kubernetes_and_kuberay_take_and_that_no_other_run_has(catalog, run_id, attempt):
    name = RunJob(catalog, run_id, attempt, Demand(1, has_network=False)).name

    assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name)
    assert len(name) <= 47
    assert name.split("-run-") == [f"hcs-{catalog[:8]}", f"{run_id}-{attempt}"]


@given(jobs)
def test_labels_and_the_command_line_say_which_run_it_is(one):
    made = render(TEMPLATE, one)

    assert made["metadata"]["labels"] == {
        "app.kubernetes.io/name": "hcs",
        "app.kubernetes.io/component": "run",
        "hcs/catalog": CATALOG,
        "hcs/run": str(one.run_id),
        "hcs/attempt": str(one.attempt),
        "team": "imaging",
    }
    assert all(
        re.fullmatch(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", v) for v in made["metadata"]["labels"].values()
    )
    assert made["metadata"]["annotations"] == {"example.org/owner": "lab"}
    words = shlex.split(made["spec"]["entrypoint"])
    assert words[:4] == ["hcs", "work", "--run", f"run-{one.run_id}"]
    assert made["spec"]["suspend"] is False


@given(jobs)
def test_pods_of_a_run_are_found_by_its_labels_and_keep_their_own(one):
    made = render(changed(("spec", "submitterPodTemplate"), {"metadata": {"labels": {"team": "imaging"}}}), one)["spec"]

    cluster = made["rayClusterSpec"]
    pods = [group["template"] for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]
    of_run = {"hcs/catalog": CATALOG, "hcs/run": str(one.run_id), "hcs/attempt": str(one.attempt)}
    assert [pod["metadata"]["labels"] for pod in pods] == [of_run] * 3
    assert made["submitterPodTemplate"]["metadata"]["labels"] == {"team": "imaging", **of_run}
    assert "submitterPodTemplate" not in render(TEMPLATE, one)["spec"]


@given(jobs)
def test_one_group_grows_from_none_to_its_bounds_and_the_other_stays_empty(one):
    made = render(TEMPLATE, one)
    counts = replicas(made)

    (group,) = [name for name, (*_, most) in counts.items() if most]
    n_pods = counts[group][2]
    assert counts[group][:2] == (0, 0)
    assert 1 <= n_pods <= {"cpu": 3, "gpu": 5}[group]
    assert counts[{"cpu": "gpu", "gpu": "cpu"}[group]] == (0, 0, 0)
    words = shlex.split(made["spec"]["entrypoint"])
    assert words[4:10] == ["--executor", "ray", "--address", "auto", "--device", {"cpu": "cpu", "gpu": "cuda"}[group]]
    workers = {
        "cpu": ["--workers", str(4 * n_pods), "--worker-cpus", "1"],
        "gpu": ["--workers", str(4 * n_pods), "--worker-cpus", "2", "--worker-gpus", "0.25"],
    }
    assert words[10:] == [*workers[group], "--await-nodes", "1800"]


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({}, "resources.limits.cpu"),
        ({"cpu": "500m"}, "needs a processor"),
        ({"cpu": "2Gi"}, "more than 10,000"),
        ({"cpu": "4", "nvidia.com/gpu": "-1"}, "a GPU"),
    ],
)
def test_a_group_without_room_for_a_worker_is_refused(limits, said):
    container = ("spec", "rayClusterSpec", "workerGroupSpecs", 0, "template", "spec", "containers", 0)

    with pytest.raises(TemplateError, match=said):
        render(changed((*container, "resources", "limits"), limits), job())


def test_what_ray_is_told_of_its_processors_counts():
    made = render(
        changed(("spec", "rayClusterSpec", "workerGroupSpecs", 0, "rayStartParams"), {"num-cpus": "2"}), job()
    )

    assert "--workers 2 --worker-cpus 1" in made["spec"]["entrypoint"]


def test_what_the_api_keeps_for_itself_is_left_out():
    stored = copy.deepcopy(TEMPLATE)
    own = {"uid": "1-2", "resourceVersion": "7", "generation": 3, "creationTimestamp": "x", "managedFields": [{}]}
    stored["metadata"] |= own
    stored["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = "{}"
    stored["status"] = {"jobDeploymentStatus": "Suspended"}

    assert render(stored, job()) == render(TEMPLATE, job())


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("kind",), "Pod", "ray.io/v1 Pod"),
        (("kind",), None, "RayJob"),
        (("apiVersion",), "ray.io/v1alpha1", "v1alpha1"),
        (("spec",), None, "suspend"),
        (("spec", "suspend"), False, "Set it to true"),
        (("spec", "suspend"), None, "Set it to true"),
        (("spec", "suspend"), "true", "Set it to true"),
        (("spec", "rayClusterSpec"), None, "none"),
        (("spec", "rayClusterSpec", "workerGroupSpecs"), None, "none"),
        (("spec", "rayClusterSpec", "workerGroupSpecs"), "cpu", "none"),
        (("spec", "rayClusterSpec", "workerGroupSpecs", 1), None, "there are: cpu"),
        (("spec", "rayClusterSpec", "workerGroupSpecs", 1), "gpu", "one that is none"),
        (("spec", "rayClusterSpec", "workerGroupSpecs", 1, "groupName"), "tpu", "cpu, tpu"),
        (("spec", "rayClusterSpec", "workerGroupSpecs", 1, "groupName"), "cpu", "cpu, cpu"),
        (("spec", "rayClusterSpec", "workerGroupSpecs", 0, "maxReplicas"), 0, "maxReplicas"),
        (("spec", "rayClusterSpec", "workerGroupSpecs", 0, "maxReplicas"), None, "maxReplicas"),
        (("spec", "rayClusterSpec", "workerGroupSpecs", 0, "maxReplicas"), True, "maxReplicas"),
        (("metadata", "annotations", "hcs/max-workers"), "0", "hcs/max-workers"),
        (("metadata", "annotations", "hcs/gpus"), "true", "hcs/gpus"),
    ],
)
def test_a_template_that_no_run_can_be_made_from_is_refused_in_a_paragraph(path, value, said):
    with pytest.raises(TemplateError) as error:
        render(changed(path, value), job())

    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_the_template_is_found_among_what_an_overlay_holds():
    others = [{"kind": "Namespace", "metadata": {"name": "x"}}, None, {"kind": "RayJob", "metadata": None}, "text"]

    assert find_template([*others, TEMPLATE]) is TEMPLATE
    assert find_template([None, changed(("metadata", "labels"), {})])["kind"] == "RayJob"
    for several in ([], [None], others, [TEMPLATE, *others, TEMPLATE], ["text"]):
        with pytest.raises(TemplateError, match="one RayJob"):
            find_template(several)


@pytest.fixture
def screen_file(tmp_path):
    path = tmp_path / "SCREEN.yaml"
    plates = [{"uri": str(tmp_path / f"P{number}")} for number in range(9)]
    path.write_text(yaml.safe_dump({"screen": "pilot", "plates": plates, "encoders": ["named"]}))
    return path


@pytest.fixture
def overlay(tmp_path):
    path = tmp_path / "rendered.yaml"
    path.write_text(
        yaml.safe_dump_all([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}}, TEMPLATE])
    )
    return path


def test_a_screen_and_a_run_are_rendered_without_a_cluster(screen_file, overlay, tmp_path):
    place = str(tmp_path / "store" / "catalog.sqlite")

    def rendered(run):
        options = ["--template", str(overlay), "--format", "json", "--catalog", place]
        return CliRunner().invoke(app, ["k8s", "render", run, *options])

    of_screen = hcs("k8s", "render", screen_file, "--template", overlay)

    assert of_screen.code == 0, of_screen.err
    assert yaml.safe_load(of_screen.out)["metadata"]["name"] == "hcs-00000000-run-1-1"
    assert replicas(yaml.safe_load(of_screen.out)) == {"cpu": (0, 0, 3), "gpu": (0, 0, 0)}
    assert "is not submitted" in of_screen.err
    with open_catalog(place) as catalog:
        submit_run(catalog, load_screen(str(screen_file)), code_version="0.1.0")
        prefix = f"hcs-{catalog_id(catalog)[:8]}"
        begin_dispatch(catalog, 1, prefix=prefix)
        going_on = rendered("run-1")
        end_dispatch(catalog, 1, 1, message="the head was lost")
        again = rendered("1")
        cancel_run(catalog, 1)
    assert json.loads(going_on.stdout)["metadata"]["name"] == f"{prefix}-run-1-1"
    assert json.loads(again.stdout)["metadata"]["name"] == f"{prefix}-run-1-2"
    assert (going_on.stderr, again.stderr) == ("", "")
    ended = rendered("run-1")
    assert "is cancelled: nothing is created" in ended.stderr
    assert isinstance(rendered("run-9").exception, NotFoundError)


@pytest.mark.parametrize(
    ("text", "said"), [(None, "no such file"), ("a: [", "expected YAML"), ("", "0 objects"), ("kind: Pod", "None Pod")]
)
def test_a_file_without_a_template_is_refused(screen_file, tmp_path, text, said):
    path = tmp_path / "template.yaml"
    if text is not None:
        path.write_text(text)

    ended = CliRunner().invoke(app, ["k8s", "render", str(screen_file), "--template", str(path)])

    assert isinstance(ended.exception, MissingFileError if text is None else TemplateError)
    assert ended.stdout == ""
    assert said in str(ended.exception)


def test_a_folder_in_place_of_a_template_is_told_how_to_print_it(screen_file, tmp_path):
    ended = CliRunner().invoke(app, ["k8s", "render", str(screen_file), "--template", str(tmp_path)])

    assert isinstance(ended.exception, TemplateError)
    assert f"kubectl kustomize {tmp_path}" in str(ended.exception)
