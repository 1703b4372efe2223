"""`python -m services.dispatcher.k8s`: what `hcs k8s dispatch` starts. The catalog is $HCS_CATALOG."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from services.dispatcher.k8s.alive import default_file, is_alive

TEMPLATE = "hcs-run"


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code of a dispatcher that was asked to end; or of a probe, 0 where one goes on."""
    asked = _asked(arguments)
    if asked.alive:
        return 0 if is_alive(asked.alive_file) else 1
    from services.dispatcher.k8s.dispatching import dispatch  # noqa: PLC0415 - a probe is to cost little

    return dispatch(
        namespace=asked.namespace,
        kubeconfig=asked.kubeconfig,
        template=asked.template,
        alive_file=asked.alive_file,
        debug=asked.debug,
    )


def _asked(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="services.dispatcher.k8s", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--namespace")
    parser.add_argument("--kubeconfig")
    parser.add_argument("--template", default=TEMPLATE)
    parser.add_argument("--alive", action="store_true")
    parser.add_argument("--alive-file", type=Path, default=default_file())
    parser.add_argument("--debug", action="store_true")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
