"""The data plane's process is small: the standard library, and nothing of ARM."""

import subprocess
import sys

PROGRAM = """
import sys
import loadmaster_ha.emulator.dataplane.worker
ours = sorted(name for name in sys.modules if name.startswith("loadmaster_ha"))
others = {name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names) - {"loadmaster_ha"}
print(*ours, "/", *sorted(name for name in others if not name.startswith("_")))
"""


def test_it_imports_only_its_own_package_and_the_standard_library():
    done = subprocess.run([sys.executable, "-S", "-c", PROGRAM], capture_output=True, text=True, check=False,
                          env={"PYTHONPATH": ":".join(sys.path)})  # fmt: skip
    ours, _, others = done.stdout.partition("/")
    assert ours, done.stderr
    assert [name for name in ours.split() if name.count(".") == 2 and "dataplane" not in name] == []
    assert others.split() == []
