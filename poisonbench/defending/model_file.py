"""The defended model as a JSON file: coefficients in own units, for each raw column.

The file has all that is needed to predict from the cells of a raw file: what each column contains,
the coefficient of a number or of each category, and what stands for a missing value or an unknown
category.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from poisonbench.data.base import DatasetError
from poisonbench.data.files import checksum
from poisonbench.defending.columns import Column, Kind
from poisonbench.defending.fit import Defended
from poisonbench.defending.reading import SuspectFile
from poisonbench.preparation.grouping import MISSING_LABEL
from poisonbench.version import __version__

FORMAT = "poisonbench model 1"
"""Identifies a JSON file as a model, and the version of its format."""


@dataclass(frozen=True)
class CellRules:
    """What the user said about the cells of a column, beyond its kind.

    Parameters
    ----------
    missing_values : tuple of str
        Values that mean a missing value, such as -999.
    unit : str
        The unit in the cells; empty if there is none.
    """

    missing_values: tuple[str, ...] = ()
    unit: str = ""


@dataclass(frozen=True)
class ModelColumn:
    """A raw column of a model.

    Parameters
    ----------
    name : str
        Its name.
    kind : {"number", "date", "boolean", "category", "indicator"}
        What it contains; dates are in days since 1970.
    coefficient : float
        The change of the prediction for each unit of a number, for each day, or from 0 to 1.
    effects : mapping of str to float
        The change of the prediction for each category; empty for numbers.
    limits : (float, float) or None
        Numbers beyond these count as these, because the file has a few that are far outside.
    missing : float or str
        The number or the category that stands for a missing value; empty if a category has no
        missing values and `otherwise` is used.
    otherwise : float
        The change for a category that the model does not know: the mean over its own rows.
    merged : tuple of str
        The rare categories that were merged into `merged_label`.
    merged_label : str
        The name of the merged category, which also stands for unknown ones; empty if there is none.
    order : str
        The order of day and month in dates, if it matters.
    cells : CellRules
        What else the user said about the cells.
    """

    name: str
    kind: Kind
    coefficient: float = 0.0
    effects: Mapping[str, float] = field(default_factory=dict)
    limits: tuple[float, float] | None = None
    missing: float | str = ""
    otherwise: float = 0.0
    merged: tuple[str, ...] = ()
    merged_label: str = ""
    order: str = ""
    cells: CellRules = field(default_factory=CellRules)


@dataclass(frozen=True)
class Model:
    """A linear model that predicts from raw cells.

    Parameters
    ----------
    target : str
        Name of the response.
    intercept : float
        The prediction if every number and every effect is 0.
    columns : tuple of ModelColumn
        The raw columns.
    response : CellRules
        What the user said about the cells of the response.
    decimal : str
        The decimal mark of the file that the model was made from.
    missing_words : tuple of str
        Words that mean a missing value.
    left_out : mapping of str to str
        Columns of that file that the model does not use, with the reason.
    about : mapping
        How the model was made.
    """

    target: str
    intercept: float
    columns: tuple[ModelColumn, ...]
    response: CellRules
    decimal: str
    missing_words: tuple[str, ...]
    left_out: Mapping[str, str]
    about: Mapping[str, Any]

    def text(self) -> str:
        """Return the content of the file."""
        content = {"format": FORMAT, "made by": f"poisonbench {__version__}", **asdict(self)}
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def model_of(raw: SuspectFile, found: Defended) -> Model:
    """Return the model of a defense, for raw cells.

    Parameters
    ----------
    raw : SuspectFile
        The file.
    found : Defended
        The defense of its rows.
    """
    data, scaling = raw.rows.data, found.box.scaling
    names = [*data.space.names, data.target]
    offsets = [*scaling.offset.tolist(), scaling.y_offset]
    spans = [*scaling.span.tolist(), scaling.y_span]
    n = len(data.y)
    about = {
        "file": raw.path.name,
        "sha256": checksum(raw.path),
        "rows": n,
        "suspicious rows": len(found.suspicious),
        "defense": found.defense,
        "share": found.share,
        "note": found.note,
        "learner": found.learner.name,
        "lambda": found.learner.lambda_for(n),
        "scale of the residuals": found.scale,
        "scaling": {name: [low, span]
                    for name, low, span in zip(names, offsets, spans, strict=True)},
    }  # fmt: skip
    return Model(
        target=data.target,
        intercept=found.intercept,
        columns=tuple(_model_column(column, raw, found) for column in raw.rows.columns),
        response=_cells(data.target, raw),
        decimal=raw.dialect.decimal,
        missing_words=tuple(sorted(raw.missing_words)),
        left_out=dict(raw.left_out),
        about=about,
    )


def _cells(name: str, raw: SuspectFile) -> CellRules:
    names = raw.dialect.names
    return CellRules(raw.choices.missing_values_of(name, names), raw.choices.unit_of(name, names))


def _model_column(column: Column, raw: SuspectFile, found: Defended) -> ModelColumn:
    design = list(column.design)
    X, coef = raw.rows.data.X[:, design], found.coef[design]
    if column.kind not in ("category", "boolean"):
        low, high = float(found.box.low[design[0]]), float(found.box.high[design[0]])
        if column.name in raw.clipped:
            low, high = float(X.min()), float(X.max())
        fate = raw.fates.get(column.name, "")
        order = next((one for one in ("day first", "month first") if one in fate), "")
        return ModelColumn(
            column.name,
            column.kind,
            coefficient=float(coef[0]),
            limits=(low, high) if np.isfinite(low) else None,
            missing=float(X.mean()),
            order=order.replace(" ", "-") if column.kind == "date" else "",
            cells=_cells(column.name, raw),
        )
    effects = dict(zip(column.labels, [0.0, *coef.tolist()], strict=True))
    missing = MISSING_LABEL if MISSING_LABEL in effects else ""
    if MISSING_LABEL in column.merged:
        missing = column.merged_label
    return ModelColumn(
        column.name,
        column.kind,
        effects=effects,
        missing=missing,
        otherwise=float(np.mean(X @ coef)),
        merged=column.merged,
        merged_label=column.merged_label,
        cells=_cells(column.name, raw),
    )


def read_model(path: Path) -> Model:
    """Return the model of a file.

    Raises
    ------
    DatasetError
        The file is not a model.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
            raise DatasetError(f"{path}: not a model of poisonbench, expected the file model.json "
                               "that poisonbench defend writes")  # fmt: skip
        content.pop("made by", None)
        columns = [_read_column(one) for one in content.pop("columns")]
        response = _read_cells(content.pop("response"))
        return Model(columns=tuple(columns), response=response, **content)
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror or error}, expected a model") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(f"{path}: not a model of poisonbench ({error}), expected the file "
                           "model.json that poisonbench defend writes") from error  # fmt: skip


def _read_cells(content: dict[str, Any]) -> CellRules:
    return CellRules(tuple(content["missing_values"]), content["unit"])


def _read_column(content: dict[str, Any]) -> ModelColumn:
    limits = content["limits"]
    return ModelColumn(
        **{
            **content,
            "merged": tuple(content["merged"]),
            "cells": _read_cells(content["cells"]),
            "limits": None if limits is None else (float(limits[0]), float(limits[1])),
        }
    )
