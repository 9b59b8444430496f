"""The software of an artifact: the exact version of every package, and poisonbench as a wheel."""

from __future__ import annotations

import base64
import hashlib
import platform
import zipfile
from importlib.metadata import Distribution, PackageNotFoundError, distribution, entry_points
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import poisonbench
from poisonbench import registry
from poisonbench.output.layout import StoreError

EXTRAS = ("certify", "fast", "plot")
"""The extras that results, tables and figures can depend on."""

NOT_PACKED = ("INSTALLER", "REQUESTED", "RECORD", "WHEEL", "direct_url.json")
"""Files of an installation that a wheel does not have, or that are written anew."""

WHEEL = "Wheel-Version: 1.0\nGenerator: poisonbench\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def installed() -> Distribution:
    """Return poisonbench as it is installed.

    Raises
    ------
    StoreError
        It is used without being installed.
    """
    try:
        return distribution("poisonbench")
    except PackageNotFoundError:
        raise StoreError(
            "poisonbench is not installed, so its requirements are not known; expected an "
            "installation by python -m pip install ."
        ) from None


def extras() -> list[str]:
    """Return the extras of :data:`EXTRAS` whose packages are installed."""
    known = [Requirement(text) for text in installed().requires or ()]
    return [
        extra
        for extra in EXTRAS
        if all(
            _distribution(requirement.name)
            for requirement in known
            if _applies(requirement, extra) and not _applies(requirement, "")
        )
    ]


def locked() -> dict[str, str]:
    """Return the version of every package that poisonbench needs here, by name.

    These are its requirements, those of :func:`extras` and of plug-ins, and all that they need.
    """
    groups = {package for package, _ in registry.KINDS.values()}
    plug_ins = {
        entry.dist.name for group in groups for entry in entry_points(group=group) if entry.dist
    }
    waiting = [Requirement(f"poisonbench[{','.join(extras())}]"), *map(Requirement, plug_ins)]
    seen: set[tuple[str, str]] = set()
    versions: dict[str, str] = {}
    while waiting:
        wanted = waiting.pop()
        found = _distribution(wanted.name)
        name = canonicalize_name(wanted.name)
        asked = {"", *wanted.extras} - {extra for known, extra in seen if known == name}
        if found is None or not asked:
            continue
        versions[name] = found.version
        seen |= {(name, extra) for extra in asked}
        needed = map(Requirement, found.requires or ())
        waiting += [one for one in needed if any(_applies(one, extra) for extra in asked)]
    del versions["poisonbench"]
    return dict(sorted(versions.items()))


def requirements(wheel: str) -> str:
    """Return the text of ``requirements.txt``, with poisonbench as a wheel in the same folder."""
    lines = [f"{name}=={version}" for name, version in locked().items()]
    return "\n".join(
        [
            f"# Python {platform.python_version()} on {platform.system()} {platform.machine()}; "
            f"poisonbench with the extras {', '.join(extras()) or 'none'}.",
            "# Run pip in this folder, because the next path is relative to the current folder.",
            f"./{wheel}",
            *lines,
            "",
        ]
    )


def not_on_an_index() -> list[str]:
    """Return notes on the packages of :func:`locked` that were installed from a folder or a URL."""
    return [
        f"{name} {version} was not installed from a package index. If no index has it, pip install "
        "-r requirements.txt fails for others."
        for name, version in locked().items()
        if (found := _distribution(name)) and found.read_text("direct_url.json")
    ]


def differing(text: str) -> list[str]:
    """Return the packages of ``requirements.txt`` that are installed here in other versions."""
    lines = [line.partition("==") for line in text.splitlines() if "==" in line]
    here = {name: found.version if (found := _distribution(name)) else "none" for name, *_ in lines}
    return [f"{name} {here[name]} in place of {version}"
            for name, _, version in lines if here[name] != version]  # fmt: skip


def write_wheel(folder: Path) -> Path:
    """Write the installed poisonbench as a wheel, and return its path.

    The wheel has the files of the package as they are now, so it has the changes that a developer
    has made since an editable installation.  The same files give the same bytes.
    """
    found = installed()
    stem = f"poisonbench-{found.version}"
    package = Path(poisonbench.__file__).parent
    files = {
        str(file): Path(str(file.locate()))
        for file in found.files or ()
        if file.parts[0] in ("poisonbench", f"{stem}.dist-info") and file.name not in NOT_PACKED
    }
    files |= {
        f"poisonbench/{path.relative_to(package).as_posix()}": path
        for path in package.rglob("*")
        if path.is_file()
    }
    contents = {
        name: path.read_bytes()
        for name, path in sorted(files.items())
        if "__pycache__" not in name and path.is_file()
    }
    contents[f"{stem}.dist-info/WHEEL"] = WHEEL.encode()
    record = [f"{name},sha256={_digest(content)},{len(content)}"
              for name, content in contents.items()]  # fmt: skip
    record_name = f"{stem}.dist-info/RECORD"
    contents[record_name] = "".join(f"{line}\n" for line in [*record, f"{record_name},,"]).encode()
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            entry = zipfile.ZipInfo(name)  # without the time of the file
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return path


def _applies(requirement: Requirement, extra: str) -> bool:
    """Return whether a requirement is one of this Python and system, and of the extra."""
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _distribution(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def _digest(content: bytes) -> str:
    digest = hashlib.sha256(content).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
