"""Errors of a model, and how well a defense distinguished poison from clean rows."""

from __future__ import annotations

from typing import TypedDict

import numpy as np

from poisonbench.features import BoolArray, FloatArray


class Errors(TypedDict):
    """Errors on test rows, in box units; the columns of the same names."""

    test_mse: float
    test_mse_clipped: float
    test_median_se: float
    test_mae: float
    test_r2: float | None


class Removal(TypedDict):
    """How well a defense removed the poison rows; the columns of the same names."""

    n_removed: int | None
    removal_precision: float | None
    removal_recall: float | None
    poison_kept: float | None


def mean_squared_error(y: FloatArray, predicted: FloatArray) -> float:
    """Return the mean squared error of predictions of shape (rows,)."""
    return float(np.mean((predicted - y) ** 2))


def errors(y: FloatArray, predicted: FloatArray) -> Errors:
    """Return the errors of predictions of shape (rows,) for responses `y` of shape (rows,).

    Raises
    ------
    ValueError
        The predictions are not one finite number for each row.
    """
    if predicted.shape != y.shape:  # NumPy would silently broadcast
        raise ValueError(f"the predictions have shape {predicted.shape}, expected {y.shape}")
    if not np.isfinite(predicted).all():
        raise ValueError("the predictions are not all finite")
    squared = (predicted - y) ** 2
    variance = float(np.var(y))
    return {
        "test_mse": float(squared.mean()),
        "test_mse_clipped": float(np.mean((np.clip(predicted, 0.0, 1.0) - y) ** 2)),
        "test_median_se": float(np.median(squared)),
        "test_mae": float(np.abs(predicted - y).mean()),
        "test_r2": 1 - float(squared.mean()) / variance if variance > 0 else None,
    }


def removal(kept: BoolArray | None, poison: BoolArray) -> Removal:
    """Return how well the rows that a defense removed match the poison rows.

    Parameters
    ----------
    kept : ndarray of bool of shape (N,) or None
        Which rows the defense kept; None if it does not remove rows.
    poison : ndarray of bool of shape (N,)
        Which rows are poison.

    Raises
    ------
    ValueError
        `kept`, which is a defense's ``support_``, has the wrong type or shape.
    """
    if kept is None:
        return {
            "n_removed": None,
            "removal_precision": None,
            "removal_recall": None,
            "poison_kept": None,
        }
    if kept.dtype != bool or kept.shape != poison.shape:
        raise ValueError(f"support_ has type {kept.dtype} and shape {kept.shape}, expected bool "
                         f"and {poison.shape}")  # fmt: skip
    n_removed, n_poison = int((~kept).sum()), int(poison.sum())
    caught = int((~kept & poison).sum())
    return {
        "n_removed": n_removed,
        "removal_precision": caught / n_removed if n_removed else None,
        "removal_recall": caught / n_poison if n_poison else None,
        "poison_kept": (n_poison - caught) / n_poison if n_poison else None,
    }
