"""Write crds/ from what `loadmaster-operator crds` prints, one file per resource.

`make crds` runs it; a test holds the files against the models.
"""

import subprocess
import sys
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).resolve().parent.parent


def main() -> int:
    """Write the files and remove those of resources that are no longer there."""
    command = [str(Path(sys.executable).with_name("loadmaster-operator")), "crds"]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    folder = REPOSITORY / "crds"
    written = set()
    for part in printed.split("\n---\n"):
        text = part.removeprefix("---\n").strip("\n") + "\n"
        path = folder / f"{yaml.safe_load(text)['metadata']['name']}.yaml"
        path.write_text(text, encoding="utf-8")
        written.add(path)
    for old in set(folder.glob("*.yaml")) - written:
        old.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
