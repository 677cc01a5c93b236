"""Write the generated reference pages: `python -m loadmaster_ha.cli.reference [FOLDER]`.

A test fails when the pages that are checked in are not what this writes.
"""

import sys
from pathlib import Path

from loadmaster_ha.controller import settings
from loadmaster_ha.telemetry import operator as telemetry


def pages() -> dict[str, str]:
    """File name and content of each generated page."""
    metrics = telemetry.OperatorMetrics(version="", kopf_version="")
    return {"configuration.md": settings.reference(), "metrics.md": telemetry.reference(metrics)}


def main() -> int:
    """Write the pages."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/reference")
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in pages().items():
        (folder / name).write_text(content, encoding="utf-8")
        print(folder / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
