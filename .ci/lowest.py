"""Print the lowest declared version of every dependency, as constraints for pip.

python .ci/lowest.py > lowest.txt
python -m pip install --constraint lowest.txt '.[test]'
"""

import re
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
extras = project["optional-dependencies"].values()
for requirement in [*project["dependencies"], *(entry for extra in extras for entry in extra)]:
    found = re.fullmatch(r"([\w.-]+)>=([\w.]+)", requirement)
    if found:
        print(f"{found[1]}=={found[2]}")
    elif re.search(r"[^\w.-]", requirement):
        raise SystemExit(f"pyproject.toml: {requirement}: expected a name, or name>=version")
