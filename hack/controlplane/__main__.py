"""Command line: get the programs, start and stop a control plane, name it to a shell.

Works as `python3 hack/controlplane COMMAND` from anywhere and, with hack/ on the path, as
`python3 -m controlplane COMMAND`.
"""

import signal

signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while the imports below run: no traceback

# ruff: noqa: E402 - because of the line above
import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

if not __package__:  # run by the folder's name: hack/ is not on the path yet
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from controlplane import binaries
from controlplane.errors import ControlPlaneError
from controlplane.server import ControlPlane

EPILOG = """
Programs are looked for in the folder KUBEBUILDER_ASSETS, then in our cache; `ensure` and
`start` also download or build them (5 minutes on 2 cores).
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it went through."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        _run(options)
    except KeyboardInterrupt:
        return 130
    except ControlPlaneError as error:
        print(f"controlplane: {error}", file=sys.stderr)
        return 1
    return 0


def _run(options: argparse.Namespace) -> None:
    if options.command == "ensure":
        print(binaries.ensure(_say))
    elif options.command == "start":
        plane = ControlPlane.start(options.dir, binaries.ensure(_say), detached=True)
        print(plane.kubeconfig)
        plane.release()
    elif options.command == "env":
        plane = _running(options.dir)
        print(f"export KUBECONFIG={shlex.quote(str(plane.kubeconfig))}")
        print(f"export PATH={shlex.quote(str(plane.programs))}:$PATH")
        plane.release()
    else:
        _running(options.dir).stop()


def _running(folder: Path) -> ControlPlane:
    plane = ControlPlane.join(folder)
    if plane is None:
        raise ControlPlaneError(f"no control plane runs in {folder}")
    return plane


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="controlplane", description="A real kube-apiserver and etcd on loopback.", epilog=EPILOG
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("ensure", help="get the programs if need be and print their folder")
    for name, text in {
        "start": "start a control plane and print its kubeconfig's path",
        "stop": "stop it and remove its folder",
        "env": 'print shell commands that point kubectl at it: eval "$(... env --dir DIR)"',
    }.items():
        command = commands.add_parser(name, help=text)
        command.add_argument("--dir", type=Path, required=True, help="the control plane's folder")
    return parser


def _say(line: str) -> None:
    print(f"controlplane: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
