"""`loadmaster-operator`: runs the operator, or prints its CustomResourceDefinitions.

Flags are made from `controller.settings`. Exit status 0 clean, 2 wrong usage or configuration, 1 anything
else.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence

from loadmaster_ha.controller import allocator, settings
from loadmaster_ha.resources import crd
from loadmaster_ha.telemetry import logs


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="loadmaster-operator", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="run the operator",
        description="Converge LoadMasterPairs. Each flag is also an environment variable: --azure-cloud is "
        "LOADMASTER_AZURE_CLOUD.",
    )
    for field, flag in settings.flags():
        default = settings.default_of(field)
        shown = "" if default in {None, ()} else f" (default: {default})"
        run.add_argument(
            settings.flag_name(field.name),
            dest=field.name,
            type=flag.parse,
            action="append" if flag.repeatable else "store",
            choices=flag.choices or None,
            metavar=flag.metavar or None,
            help=f"{flag.help}{shown}",
        )
    commands.add_parser("crds", help="print the CustomResourceDefinitions as YAML")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status."""
    given = _parser().parse_args(arguments)
    if given.command == "crds":
        print(crd.render(), end="")
        return 0
    try:
        chosen = settings.build(vars(given), os.environ)
    except settings.InvalidSettings as problem:
        print(f"loadmaster-operator: {problem}", file=sys.stderr)
        return 2
    logs.configure(style=chosen.log_format, level=chosen.log_level)
    allocator.give_memory_back()
    # kopf and the Azure SDK take a second to import: not for `--help` and `crds`.
    from loadmaster_ha.controller import process  # noqa: PLC0415

    return asyncio.run(process.run(chosen))


if __name__ == "__main__":
    sys.exit(main())
