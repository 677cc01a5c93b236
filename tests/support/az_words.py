"""Does the Azure CLI know these commands with these options? A program for the CLI's own Python.

    PYTHON -P az_words.py < FILE       # one command a line, a JSON list of what follows the word `az`

Prints a JSON object: each command that its parser refuses, as typed, with its last words. Nothing is sent
anywhere, and nobody has to be signed in. What a value has to be is beyond the parser. Its neighbour `az`
runs commands.
"""

import contextlib
import io
import json
import shlex
import sys

from azure.cli.core import get_default_cli


def refusal(arguments: list[str]) -> str:
    """What the parser has against a command; empty when it takes it."""
    cli = get_default_cli()
    cli.invocation = invocation = cli.invocation_cls(
        cli_ctx=cli,
        parser_cls=cli.parser_cls,
        commands_loader_cls=cli.commands_loader_cls,
        help_cls=cli.help_cls,
    )
    loader = invocation.commands_loader
    loader.load_command_table(arguments)
    command = " ".join(word for word in _leading(arguments))
    if command not in loader.command_table:
        return f"there is no command {command!r}"
    invocation.data["command_string"] = loader.command_name = command
    loader.load_arguments(command)
    invocation.parser.load_command_table(loader)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            invocation.parser.parse_args(arguments)
    except SystemExit:
        return said.getvalue().strip() or "refused"
    return ""


def _leading(arguments: list[str]) -> list[str]:
    """The words before the first option."""
    ends = next((at for at, word in enumerate(arguments) if word.startswith("-")), len(arguments))
    return arguments[:ends]


if __name__ == "__main__":
    found = {shlex.join(each): refusal(each) for each in map(json.loads, sys.stdin)}
    print(json.dumps({command: said for command, said in found.items() if said}))  # noqa: T201
