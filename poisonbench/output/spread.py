"""The spread of defenses over their own random numbers, for tables that show one number of each."""

from __future__ import annotations

import pandas as pd


def known(results: pd.DataFrame) -> bool:
    """Return whether some defense of these rows was fitted several times to the same rows."""
    return bool(results["spread"].notna().any())


def note(results: pd.DataFrame) -> str:
    """Return what the column of spreads means.

    Parameters
    ----------
    results : pandas.DataFrame
        Rows of ``results.csv`` of which some have a spread.
    """
    return (
        f"spread: the largest test MSE of {int(results['repetitions'].max())} fits of a defense to "
        "the same rows, with other random numbers, divided by the least: the median over its "
        "cells in this line, with the largest in brackets. The other columns show the fit with the "
        "median test MSE. The spread is empty where a defense was fitted only once."
    )
