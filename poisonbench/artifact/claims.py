"""The claims of an artifact: medians over seeds, each with a tolerance.

On the same kind of machine a repetition is exact.  On another kind, the last bits of a sum may
differ.  A result without a search hardly changes then.  An attack that searches in rounds, such as
gradient ascent, may end with other rows of almost the same strength.  A defense can treat these
quite differently, because it keeps or drops whole rows.  ``tests/benchmarks/kernels.py`` measures
the differences, from which the tolerances were chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from poisonbench import records
from poisonbench.output.layout import StoreError
from poisonbench.records import Labels, Measured

KEY = ["experiment", *(name for name in records.names(Labels) if name != "seed")]
"""The columns that, with the metric, identify a claim."""

METRICS = ("test_mse", "ratio_to_clean")
"""The columns of ``results.csv`` that are claimed."""

COLUMNS = [*KEY, "metric", "unit", "seeds", "value", "tolerance"]
"""The columns of ``claims.csv``."""

EXACT, SEARCH, DEFENDED = 1e-6, 0.02, 0.3
"""Usual relative tolerances: without a search, and for the oracle, which ignores the poison; of the
undefended learner under an attack that searches; of a defense under such an attack."""

ZERO = 1e-12
"""Values below this are rounding errors, and are equal."""


def claims_of(
    experiment: str,
    results: pd.DataFrame,
    timings: pd.DataFrame,
    tolerances: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """Return the claims of an experiment, with the columns :data:`COLUMNS`.

    Parameters
    ----------
    experiment : str
        Its name.
    results, timings : pandas.DataFrame
        The rows of ``results.csv`` and ``timings.csv``, in the same order.
    tolerances : mapping of str to float, optional
        Relative tolerances by the name of an attack, in place of the usual ones; the empty
        name stands for all other attacks.
    """
    given = tolerances or {}
    searches = (timings["attack_rounds"].fillna(0).astype(float) > 0).to_numpy()
    rows = results.assign(experiment=experiment, searches=searches)
    for name in KEY:  # as text, because a column that is empty in all rows would match nothing
        rows[name] = rows[name].astype(object).fillna("").astype(str)
    found = []
    for key, group in rows.groupby(KEY, sort=False):
        label = dict(zip(KEY, map(str, key), strict=True))
        usual = EXACT
        if group["searches"].any() and label["defense"] != "oracle":
            usual = SEARCH if label["defense"] == "none" else DEFENDED
        tolerance = given.get(label["attack"], given.get("", usual))
        for metric in METRICS:
            values = group[metric].dropna().astype(float)
            if len(values):
                unit = Measured.__dataclass_fields__[metric].metadata["unit"]
                found.append([*key, metric, unit, len(values), float(values.median()), tolerance])
    return pd.DataFrame(found, columns=COLUMNS)


def read(path: Path) -> pd.DataFrame:
    """Return the claims in a file.

    Raises
    ------
    StoreError
        The file cannot be read, has other columns, or no claims.
    """
    try:
        found = pd.read_csv(path, dtype=str, keep_default_na=False)
        claims = found[COLUMNS].astype({"value": float, "tolerance": float, "seeds": int})
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(f"{path}: not the claims of an artifact ({error}); expected the file that "
                         "poisonbench artifact writes") from error  # fmt: skip
    if claims.empty:
        raise StoreError(f"{path}: no claims; expected the file that poisonbench artifact writes")
    return claims


def checked(claims: pd.DataFrame, repeated: pd.DataFrame) -> pd.DataFrame:
    """Return claims with ``new``, ``difference`` (relative) and ``verdict``.

    A verdict is ``holds``, ``fails`` or ``not computed``.

    Parameters
    ----------
    claims : pandas.DataFrame
        The claims.
    repeated : pandas.DataFrame
        The claims that the repeated experiments would make.
    """
    key = [*KEY, "metric"]
    new = repeated.rename(columns={"value": "new", "seeds": "new_seeds"})
    both = claims.merge(new[[*key, "new", "new_seeds"]], on=key, how="left")
    size = both["value"].abs().clip(lower=ZERO)
    both["difference"] = (both["new"] - both["value"]) / size
    complete = both["new_seeds"].fillna(0).astype(int) == both["seeds"]
    holds = both["difference"].abs() <= both["tolerance"]
    both["verdict"] = np.where(complete, np.where(holds, "holds", "fails"), "not computed")
    return both.drop(columns="new_seeds")


def shortened(claims: pd.DataFrame) -> tuple[str, pd.DataFrame]:
    """Return what all claims have in common, in words, and the claims without these labels."""
    same = [name for name in (*KEY, "unit", "seeds") if claims[name].astype(str).nunique() < 2]
    same = same if len(claims) > 1 else []
    common = [f"{name} {claims[name].iloc[0]}" for name in same if claims[name].iloc[0] != ""]
    text = f"The same in all of them: {', '.join(common)}.\n\n" if common else ""
    return text, claims.drop(columns=same)
