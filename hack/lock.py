"""Renew requirements/*.lock: versions and hashes of everything, and no registry's address.

`make lock` runs it with the uv that requirements/uv.lock pins; pass names (`dev`, `go`) to renew
only those. uv.lock and go.lock come from exact pins, so a new version there starts in the `.in`.
"""

import subprocess
import sys

import bootstrap

COMPILE = ["pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--generate-hashes"]
# Where packages come from is each machine's own configuration; comments would repeat it.
ANONYMOUS = ["--no-emit-index-url", "--no-header"]


def main() -> int:
    """Renew the named lock files, all of them without a name."""
    folder = bootstrap.REPOSITORY / "requirements"
    for name in sys.argv[1:] or sorted(path.stem for path in folder.glob("*.in")):
        sources = [f"requirements/{name}.in"]
        if name == "dev":
            sources = ["pyproject.toml", "--all-extras", *sources]
        command = [bootstrap.uv_program(), *COMPILE, *ANONYMOUS, *sources, "-o", f"requirements/{name}.lock"]
        subprocess.run([*command, "--upgrade"], cwd=bootstrap.REPOSITORY, check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
