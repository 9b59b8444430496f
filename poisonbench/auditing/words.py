"""The answer of an audit in sentences."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from poisonbench.auditing.conclusion import (
    CLEAN_LIMIT,
    HELD,
    SUSPICIOUS,
    Candidate,
    Conclusion,
    Reached,
)

LEARNERS = {
    "ols": "ordinary least squares",
    "ridge": "ridge regression",
    "lasso": "LASSO",
    "elastic-net": "elastic net",
}

DEFENSES = {
    "mm": "MM-regression",
    "torrent": "TORRENT",
    "huber": "Huber regression",
    "trim": "TRIM",
    "lts": "least trimmed squares",
    "ransac": "RANSAC",
    "sparse-lts": "sparse least trimmed squares",
}

WHITE_BOX = "an attacker who knows the training rows and the model"
BLIND = "an attacker who knows only the means and covariances of the training rows"

ATTACKS = {
    "coordinate": "knows the training rows and the model, and chooses every value of the bad rows "
    "so that the predictions become as wrong as possible",
    "statp": "knows only the means and covariances of the training rows",
    "subpopulation": "knows the training rows and the model, and copies rows of a small group with "
    "changed responses",
    "sever": "knows the training rows and the model, and repeats one or two rows that look "
    "harmless",
}

FEW = 50
"""Below this number of test rows, the answer says that the errors are rough."""

LITTLE_USE = 1.1
"""A model is little better than the same prediction for every row if the error of that is at most
this many times that of the model, which then explains less than 18% of the variance."""

SAFER = 0.9
"""A defense that costs too much without poison is named as safer if its worst error is less than
this many times that of the recommended one, and that one has not held."""

WIDTH = 92
"""Width of the text."""


def percent(rate: float) -> str:
    """Return a share as a percentage with at most three digits: ``4%``, ``0.5%``."""
    return f"{100 * rate:.3g}%"


class Answer:
    """The sentences of a conclusion.

    Parameters
    ----------
    conclusion : Conclusion
        The numbers.
    assumed_rate : float
        The rate that a defense assumes that has to be told one.
    defenses_told : sequence of str
        Names of these defenses.
    left_out : sequence of str
        Sentences on what was not tried.
    trimmed : float or None
        Share of the largest errors that the comparison without poison leaves out; None for trusted
        rows.
    """

    def __init__(
        self,
        conclusion: Conclusion,
        assumed_rate: float,
        defenses_told: Sequence[str] = (),
        left_out: Sequence[str] = (),
        trimmed: float | None = None,
    ) -> None:
        self.of = conclusion
        self.assumed_rate = assumed_rate
        self.defenses_told = tuple(defenses_told)
        self.left_out = tuple(left_out)
        self.trimmed = trimmed

    @property
    def learner(self) -> str:
        """The learner in words."""
        return LEARNERS.get(self.of.model, self.of.model)

    def amount(self, value: float) -> str:
        """Return an error with its unit, as far as it has a name."""
        if not self.of.unit:
            return f"{100 * value:.3g}% of its range"
        if self.of.unit.startswith("unit of "):
            return short(value)
        return f"{short(value)} {self.of.unit}"

    def paragraph(self) -> str:
        """Return the answer in one paragraph."""
        return " ".join(
            [*self._today(), *self._damage(), self._doubling(), *self._defense(), self._limits()]
        )

    def _today(self) -> Iterator[str]:
        of = self.of
        unit = " in the unit of the file" if of.unit.startswith("unit of ") else ""
        yield (
            f"With the rows as they are, {self.learner} predicts {of.target} with a typical error "
            f"of {self.amount(of.today)} (root mean squared error on test rows,{unit}"
            f"{',' if unit else ''} {over(of, 'random split')}, with {of.n_train:,} "
            f"training rows{f' and only {of.n_test} test rows' if of.n_test < FEW else ''})."
        )
        if of.n_test < FEW:
            yield "With so few rows, all these errors are rough."
        if of.constant <= 1.02 * of.today:
            yield (
                f"That is no better than the same prediction for every row "
                f"({self.amount(of.constant)}), so the model is of little use even without bad "
                "rows."
            )
        elif of.constant <= LITTLE_USE * of.today:
            yield (
                f"That is only a little better than the same prediction for every row "
                f"({self.amount(of.constant)})."
            )

    def _damage(self) -> Iterator[str]:
        reached = self.of.reached
        who = BLIND if reached.attack.startswith("statp") else WHITE_BOX
        worst = f"; {self.amount(reached.worst)} on the worst split" if self.of.n_splits > 1 else ""
        yield (
            f"If {who} adds {percent(reached.rate)} bad rows, the error is "
            f"{self.amount(reached.median)}, {self._times(reached)}{worst}."
        )
        if 1.02 * self.of.today < self.of.constant < reached.median:
            yield (
                "The model is then worse than the same prediction for every row "
                f"({self.amount(self.of.constant)})."
            )
        weak = self._weak()
        if weak is not None and who != BLIND:
            yield (
                f"One who knows only the means and covariances of the training rows reaches "
                f"{self.amount(weak.median)}, {self._times(weak)}."
            )

    def _weak(self) -> Reached | None:
        """Return what the attacker who knows little reaches."""
        for name, curve in self.of.by_attack.items():
            if name.startswith("statp"):
                return next(one for one in curve if one.rate == self.of.rate)
        return None

    def _times(self, reached: Reached) -> str:
        if self.of.today == 0:
            return "up from 0"
        ratio = short(reached.median / self.of.today)
        return "the same as today's" if ratio == "1" else f"{ratio} times today's"

    def _doubling(self) -> str:
        found = self.of.doubling
        if found.kind == "above":
            return (
                f"The error does not double at up to {percent(found.rate)} bad rows, the highest "
                "rate tried."
            )
        if found.kind == "below":
            return (
                f"The error has more than doubled at {percent(found.high)} bad rows, the lowest "
                f"rate tried; on a straight line from there to none, it doubles at about "
                f"{100 * found.rate:.1g}%."
            )
        return (
            f"The error doubles at about {100 * found.rate:.2g}% bad rows (between "
            f"{percent(found.low)}, where it does not, and {percent(found.high)}, where it does)."
        )

    def _defense(self) -> Iterator[str]:
        best = self.of.recommended
        if best is None:
            yield "No defense was tried."
            return
        name, highest = self.defense(best), self.of.curve[-1].rate
        at_rate = best.at(self.of.rate)
        cost = self._costs(best)
        also = (
            f" ({self.amount(at_rate.median)} at {percent(self.of.rate)})"
            if at_rate != best.worst
            else ""
        )
        if self.of.needs_no_defense:
            yield (
                f"At up to {percent(highest)} bad rows, the error stays within {HELD:g} times "
                "today's even without a defense, so none is needed against these attacks. The "
                f"safest is {name}, with an error of at most {self.amount(best.worst.median)}"
                f"{also}. {cost}"
            )
            return
        if self.of.has_held:
            yield (
                f"The defense to use is {name}: it held, with an error of at most "
                f"{self.amount(best.worst.median)} at up to {percent(highest)} bad rows under the "
                f"attacks tried{also}. {cost}"
            )
            return
        held = _held_up_to(best, self.of.today)
        until = (
            f"it held up to {percent(held)} bad rows, but its error is"
            if held
            else "with it, the error is"
        )
        yield (
            f"No defense held at every rate. The best is {name}: {until} "
            f"{self.amount(best.worst.median)} at {percent(best.worst.rate)}"
            + (
                f" and {self.amount(at_rate.median)} at {percent(self.of.rate)}"
                if at_rate != best.worst
                else ""
            )
            + f". {cost}"
        )
        most, least = (SAFER * at.median for at in (best.worst, best.worst_validation))
        safer = [
            one
            for one in self.of.candidates
            if not one.is_eligible
            and one.clean > best.clean
            and one.worst.median < most
            and one.worst_validation.median < least
        ]
        if safer:
            other = min(safer, key=lambda one: one.worst_validation.median)
            yield (
                f"Safer, but worse without bad rows ({self.amount(other.clean)}), is "
                f"{self.defense(other)}, with an error of at most "
                f"{self.amount(other.worst.median)}."
            )

    def defense(self, one: Candidate) -> str:
        """Return a defense in words, with its name in a config."""
        words = DEFENSES.get(one.name)
        return f"{words} ({one.name})" if words else one.name

    def _costs(self, one: Candidate) -> str:
        """Return what a defense costs without bad rows, in a sentence."""
        if self.trimmed is not None and self.of.suspicion > SUSPICIOUS:
            # Today's error has bad rows of the file itself in it, and is no fair comparison.
            less = 1 - (one.clean_ratio / self.of.suspicion) ** 0.5
            return (
                f"Without added bad rows its error is {self.amount(one.clean)}; on the "
                f"{1 - self.trimmed:.0%} of the validation rows that fit best, it is "
                f"{abs(100 * less):.2g}% {'smaller' if less > 0 else 'larger'} than that of "
                f"{self.learner}."
            )
        return f"Without bad rows its error is {self.amount(one.clean)}, {self._cost(one)} today's."

    def _cost(self, one: Candidate) -> str:
        if self.of.today == 0:
            return "compared with 0,"
        change = one.clean / self.of.today - 1
        if abs(change) < 0.005:
            return "the same as"
        return f"{abs(100 * change):.2g}% {'more' if change > 0 else 'less'} than"

    def _limits(self) -> str:
        return "Not tried: attackers who know the defense, or who change or delete rows" + (
            "; more is listed below." if self.left_out else "."
        )

    def warning(self) -> str | None:
        """Return a warning if the file itself may contain bad rows."""
        of = self.of
        if self.trimmed is None or of.suspicion <= SUSPICIOUS or not of.candidates:
            return None
        best = min(of.candidates, key=lambda one: one.clean_ratio)
        return (
            f"The file itself may contain bad rows. On the {1 - self.trimmed:.0%} of the "
            f"validation rows that fit best, the mean squared error of {self.learner} is "
            f"{short(of.suspicion)} times that of {self.defense(best)}, although no bad row was "
            "added. Either some rows are wrong, or they follow another rule than the others, or "
            "the errors have a long tail, as those of prices and incomes often have. Today's "
            "error above includes them."
        )

    def assumptions(self) -> list[str]:
        """Return who the attacker is assumed to be, and what the defender knows."""
        names = [name.split(" ")[0].partition("(")[0] for name in self.of.by_attack]
        lines = [
            "The attacker adds rows to the training set. The values of a bad row lie between the "
            "smallest and the largest of the training rows, and its categories occur in the file. "
            f"A rate of {percent(self.of.rate)} means {round(100 * self.of.rate, 3):g} bad rows "
            "for every 100 good ones.",
            *(f"{name}: {ATTACKS[name]}." for name in names if name in ATTACKS),
            "No defense is told which rows are bad"
            + (
                f"; {_and(self.defenses_told)} {'has' if len(self.defenses_told) == 1 else 'have'} "
                f"to assume a rate, here always {percent(self.assumed_rate)}."
                if self.defenses_told
                else "."
            ),
            f"Each split has {self.of.n_train:,} training rows, {self.of.n_validation:,} "
            f"validation rows, which an attacker who knows the training rows has too, and "
            f"{self.of.n_test:,} test rows. No attack and no defense uses the test rows, and "
            "neither does the recommendation; all errors are measured on them unless something "
            "else is said.",
        ]
        if self.of.ceiling is not None:
            median = " (median over splits)" if self.of.n_splits > 1 else ""
            lines.append(
                f"It is proved that without a defense, no {percent(self.of.rate)} bad rows of this "
                f"kind can raise the error above {self.amount(self.of.ceiling)}, even if the "
                f"attacker knew the test rows{median}."
            )
        return lines

    def choice(self) -> str:
        """Return how the defense was chosen."""
        how = (
            ""
            if self.trimmed is None
            else f" The error without bad rows is measured on the {1 - self.trimmed:.0%} of them "
            "that fit best, because the file may contain bad rows (--trusted says that it does "
            "not), and then on all."
        )
        return (
            "The recommended defense has the smallest error under the worst attack at any rate, "
            f"among the defenses whose mean squared error without bad rows is at most "
            f"{CLEAN_LIMIT:g} times that of the best. Both are measured on the validation rows. "
            f"The errors on test rows in the table were not used for it.{how}"
        )

    def not_tried(self) -> list[str]:
        """Return what was not tried."""
        return [
            "An attacker who knows the defense can do more damage to it than these attacks "
            "(the attack adaptive).",
            "Attacks that change or delete rows, and models other than linear regression.",
            *self.left_out,
        ]


def _held_up_to(one: Candidate, today: float) -> float | None:
    """Return the highest rate up to which a defense has held, or None."""
    held = None
    for reached in one.curve:
        if reached.median > HELD * today:
            break
        held = reached.rate
    return held


def short(value: float) -> str:
    """Return a number to three significant digits, and all digits of one above 1000."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def over(of: Conclusion, what: str) -> str:
    """Return over how many splits the errors of a conclusion are the median."""
    return f"one {what} only" if of.n_splits == 1 else f"median over {of.n_splits} {what}s"


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def wrapped(text: str, indent: str = "") -> str:
    """Return a paragraph with line breaks."""
    return textwrap.fill(text, WIDTH, initial_indent=indent, break_long_words=False,
                         subsequent_indent=" " * len(indent), break_on_hyphens=False)  # fmt: skip
