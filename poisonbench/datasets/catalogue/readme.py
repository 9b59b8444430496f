"""The page datasets/README.md, made from the catalogue."""

from __future__ import annotations

import re
from importlib.resources import files

from poisonbench.datasets.catalogue.entries import Entry, PublishedFile, entries


def readme() -> str:
    """Return the text of ``datasets/README.md``, made from the catalogue."""
    template = (
        files("poisonbench.datasets.catalogue").joinpath("readme.md").read_text(encoding="utf-8")
    )
    known = list(entries().values())
    table = "\n".join([
        "| name | rows | features | response | licence | may be passed on |",
        "| --- | --- | --- | --- | --- | --- |",
        *map(_row, known),
    ])  # fmt: skip
    return template.replace("{{table}}", table).replace(
        "{{entries}}", "\n\n".join(map(_section, known))
    )


def _row(entry: Entry) -> str:
    cells = [
        f"[`{entry.name}`](#{entry.name})",
        _number(entry, entry.rows),
        _number(entry, entry.columns) + (f" ({entry.features})" if entry.features else ""),
        f"`{entry.target}`",
        entry.licence,
        entry.redistribution,
    ]
    return f"| {' | '.join(cells)} |"


def _number(entry: Entry, value: int | None) -> str:
    unknown = "once fetched" if entry.file else "any"
    return unknown if value is None else str(value)


def _section(entry: Entry) -> str:
    facts = {
        "source": _linked(str(entry.origin))
        + (f", {_linked(entry.homepage)}" if entry.homepage else ""),
        "citation": entry.citation,
        "licence": entry.licence,
        "redistribution": f"{entry.redistribution}.  {entry.terms}".removesuffix(".  "),
        "file": f"`{entry.file}`" if entry.file else "none needed",
        "SHA-256": _checksum(entry),
        "response": f"`{entry.target}`: {entry.unit}",
        "one-hot groups": ", ".join(f"`{group}`" for group in entry.groups or ()),
        "scaling": f"`{entry.scaling}` unless a config says otherwise" if entry.file else "",
        "preprocessing": entry.preprocessing,
        "not verified": entry.unverified,
    }
    lines = [f"### {entry.name}", "", f"{entry.title}.", ""]
    return "\n".join([*lines, *(f"- {name}: {text}" for name, text in facts.items() if text)])


def _linked(text: str) -> str:
    return re.sub(r"https?://\S+", r"<\g<0>>", text)


def _checksum(entry: Entry) -> str:
    if not isinstance(entry.origin, PublishedFile):
        return ""
    if entry.origin.sha256 is None:
        return "not known beforehand; recorded at the first fetch"
    return f"`{entry.origin.sha256}`"
