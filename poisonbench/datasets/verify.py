"""Whether the files of the data folder are what the catalogue says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from poisonbench.data.base import Dataset, DatasetError
from poisonbench.data.catalogue import Entry, PublishedFile
from poisonbench.data.catalogued import checksum, known_checksum
from poisonbench.data.csv import read_dataset


@dataclass(frozen=True)
class Verdict:
    """What is right and wrong with the file of a data set.

    Parameters
    ----------
    name : str
        The data set.
    path : Path or None
        Its file; None if it needs none.
    present : bool
        Whether it is there.
    right, wrong : tuple of str
        What was found.
    """

    name: str
    path: Path | None
    present: bool
    right: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()

    def report(self) -> str:
        """Return it in words."""
        if not self.present:
            return f"{self.name}: not there ({'; '.join(self.right) or self.path})"
        verdict = "wrong" if self.wrong else "right"
        lines = [f"{self.name}: {verdict}" + (f" ({self.path})" if self.path else "")]
        lines += [f"  wrong: {text}" for text in self.wrong]
        lines += [f"  right: {text}" for text in self.right]
        return "\n".join(lines)


def verify(entry: Entry, folder: Path) -> Verdict:
    """Compare the file of a data set with the catalogue, and with what was recorded of it.

    Parameters
    ----------
    entry : Entry
        The data set.
    folder : Path
        The data folder.
    """
    if entry.file is None:
        return Verdict(entry.name, None, True, ("needs no file",))
    path = folder / entry.file
    if not path.exists():
        part = path.with_name(f"{path.name}.part")
        unfinished = (f"{part} is an unfinished download; fetch goes on from there",)
        return Verdict(entry.name, path, False, unfinished if part.exists() else ())
    if not path.is_file():
        return Verdict(entry.name, path, True, wrong=("it is a folder, expected a file",))
    right: list[str] = []
    wrong: list[str] = []
    try:
        _compare_checksum(entry, path, right, wrong)
        data = read_dataset(path, entry.target, entry.scaling, name=entry.name)
        _compare_content(entry, data, right, wrong)
    except DatasetError as error:
        wrong.append(str(error))
    except OSError as error:
        wrong.append(f"cannot be read: {error.strerror}")
    return Verdict(entry.name, path, True, tuple(right), tuple(wrong))


def _compare_checksum(entry: Entry, path: Path, right: list[str], wrong: list[str]) -> None:
    expected, where = known_checksum(entry, path)
    if expected is None:
        right.append("no checksum is known of it")
        return
    found = checksum(path)
    if found == expected:
        right.append(f"its SHA-256 is that {where}")
    else:
        wrong.append(f"its SHA-256 is {found}, that {where} is {expected}")
        size = path.stat().st_size
        if isinstance(entry.origin, PublishedFile) and entry.origin.size not in (None, size):
            wrong.append(f"it has {size} bytes, expected {entry.origin.size}")


def _compare_content(entry: Entry, data: Dataset, right: list[str], wrong: list[str]) -> None:
    groups = {group.name for group in data.space.groups}
    expected = None if entry.groups is None else set(entry.groups)
    for what, found, wanted in (
        ("rows", len(data.y), entry.rows),
        ("features", data.space.n_features, entry.features),
        ("one-hot groups", len(groups), None if expected is None else len(expected)),
    ):
        if wanted in (None, found):
            right.append(f"{found} {what}")
        else:
            wrong.append(f"{found} {what}, expected {wanted}")
    if expected is not None and len(groups) == len(expected) and groups != expected:
        wrong.append(f"the groups {sorted(groups - expected)} are none of the catalogue's")
    right.append(f"response '{data.target}' from {data.y.min():.6g} to {data.y.max():.6g}")
