"""Moves: the single changes to a row that keep it legal.

A block is a set of columns that one move changes: a numeric or binary column by itself, or the
columns of a one-hot group together.  A block holds a value in one of its columns and 0 in the
others.  So a row is described by one column and one value for each block, and a move replaces this
pair in one block.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from poisonbench.features import BoolArray, FeatureSpace, FloatArray, IntArray


@dataclass(frozen=True)
class Moves:
    """The moves in a feature space.

    Parameters
    ----------
    column, value : ndarray of shape (moves,)
        The column and the value that a move puts into its block.  The value 0 in a group means
        that none of its columns holds a 1.
    block : ndarray of shape (moves,)
        The block of each move; the moves of a block follow each other.  The last block is that of
        the intercept.  Its only move is move 0, which leaves the row as it is.
    block_of : ndarray of shape (d + 1,)
        The block of each column, the intercept's last.
    """

    column: IntArray
    value: FloatArray
    block: IntArray
    block_of: IntArray

    @classmethod
    def within(
        cls, space: FeatureSpace, levels: tuple[float, ...], fixed: BoolArray | None = None
    ) -> Moves:
        """Return the moves in a space.

        Parameters
        ----------
        space : FeatureSpace
            The columns, and which rows are legal.
        levels : tuple of float
            Values in [0, 1] that moves give to numeric columns.
        fixed : ndarray of bool of shape (d,), optional
            Columns to which no move gives a value.  A fixed column of a group may still lose its 1
            to another column.
        """
        d = space.n_features
        free = np.ones(d, dtype=bool) if fixed is None else ~fixed
        block_of = np.full(d + 1, -1, dtype=np.intp)
        for b, group in enumerate(space.choices):
            block_of[list(group.columns)] = b
        alone = block_of == -1
        block_of[alone] = len(space.choices) + np.arange(alone.sum())
        found = [(d, 0.0)]
        for group in space.choices:
            columns = [j for j in group.columns if free[j]]
            found += [(j, 1.0) for j in columns]
            if group.all_zero and columns:
                found.append((columns[0], 0.0))
        binary = set(space.binary.tolist())
        for j in np.flatnonzero(alone[:-1] & free).tolist():
            found += [(j, level) for level in ((0.0, 1.0) if j in binary else levels)]
        column = np.array([j for j, _ in found], dtype=np.intp)
        return cls(column, np.array([value for _, value in found]), block_of[column], block_of)

    @cached_property
    def first(self) -> IntArray:
        """The first column of each block; shape (blocks,)."""
        first: IntArray = np.unique(self.block_of, return_index=True)[1]
        return first

    @cached_property
    def columns_of(self) -> list[slice | IntArray]:
        """The columns of each block; as a slice, which is faster, if they are adjacent."""
        found: list[slice | IntArray] = []
        for b in range(len(self.first)):
            columns = np.flatnonzero(self.block_of == b)
            together = slice(columns[0], columns[-1] + 1)
            found.append(together if len(columns) == together.stop - together.start else columns)
        return found


class Row:
    """A row and the moves from it.

    Parameters
    ----------
    moves : Moves
        The moves.
    x : ndarray of shape (d,)
        The row; copied.

    Attributes
    ----------
    z : ndarray of shape (d + 1,)
        The row as it is now, followed by a 1.
    column, value : ndarray of shape (moves + blocks,)
        First the column and the value of each move, then those that each block holds now.  The
        intercept's block counts as empty, with value 0, although z has a 1 there.
    """

    def __init__(self, moves: Moves, x: FloatArray) -> None:
        self.moves, self.n_moves = moves, len(moves.column)
        self.z = np.append(x, 1.0)
        nonzero = x.nonzero()[0]
        places = self.n_moves + moves.block_of[nonzero]
        self.column = np.concatenate([moves.column, moves.first])
        self.column[places] = nonzero
        self.value = np.concatenate([moves.value, np.zeros(len(moves.first))])
        self.value[places] = x[nonzero]

    def place(self, move: int) -> int:
        """Return the index in `column` and `value` of what the move would replace."""
        return self.n_moves + int(self.moves.block[move])

    def entry(self, place: int) -> tuple[int, float]:
        """Return the column and the value at an index."""
        return int(self.column[place]), float(self.value[place])

    def holds(self, move: int) -> bool:
        """Return whether the move would change nothing."""
        (column, value), (old, held) = self.entry(move), self.entry(self.place(move))
        return value == held and (column == old or value == 0)

    def make(self, move: int) -> None:
        """Make a move."""
        at = self.place(move)
        self.z[self.column[at]] = 0.0
        self.column[at], self.value[at] = self.column[move], self.value[move]
        self.z[self.column[at]] = self.value[at]
