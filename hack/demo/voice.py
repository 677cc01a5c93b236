"""How the demo speaks in a terminal."""

import time

from rich.console import Console
from rich.text import Text

TIME = "{:6.1f}  "


class Voice:
    """Titles, and lines with the time since it began to speak."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        self._began = time.monotonic()

    def title(self, text: str) -> None:
        """Begin a part."""
        self.console.print()
        self.console.rule(f"[bold]{text}", align="left")

    def say(self, text: str, *, crop: bool = False) -> None:
        """One line with the time; a longer one goes on below its beginning, or is cut at the edge."""
        line = Text.from_markup(text)
        room = self.console.width - len(TIME.format(0))
        if crop:
            line.truncate(room, overflow="ellipsis")
        margin = TIME.format(time.monotonic() - self._began)
        for part in line.wrap(self.console, room):
            self.console.print(margin, part, sep="")
            margin = " " * len(margin)

    def block(self, heading: str, *commands: str) -> None:
        """Commands to copy: neither indented by a time nor wrapped."""
        self.console.print(f"\n{heading}")
        for command in commands:
            self.console.print(f"  {command}", soft_wrap=True, markup=False)
