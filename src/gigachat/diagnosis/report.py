"""What a diagnosis returns: findings, and the report that contains them."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, computed_field

from gigachat.diagnosis.codes import Code, Language, Step, Verdict
from gigachat.diagnosis.texts import STEPS, VERDICTS

if TYPE_CHECKING:
    from collections.abc import Callable

_MARGIN = 2
_NARROWEST = 30


class Finding(BaseModel):
    """What one step found.

    Attributes:
        step: The step.
        verdict: `ok`, `warning`, `failed` or `skipped`.
        code: What was found; programs compare it.
        seen: What was seen.
        meaning: What it means.
        advice: What to do next; empty if there is nothing to do.
    """

    model_config = ConfigDict(frozen=True)

    step: Step
    verdict: Verdict
    code: Code
    seen: str
    meaning: str
    advice: str


class Report(BaseModel):
    """The findings of a diagnosis, in causal order. `str(report)` is its text, `model_dump_json()` its JSON.

    Attributes:
        language: Language of the texts.
        findings: One or more for each step.
    """

    model_config = ConfigDict(frozen=True)

    language: Language
    findings: tuple[Finding, ...]

    @computed_field  # type: ignore[prop-decorator] # as pydantic's documentation writes it
    @property
    def ok(self) -> bool:
        """Whether no step failed. Warnings and skipped steps are not failures."""
        return all(finding.verdict != "failed" for finding in self.findings)

    def render(self, *, width: int | None = None, mark: Callable[[Verdict, str], str] | None = None) -> str:
        """Return the report as text.

        Args:
            width: Longest line in characters; None does not break lines.
            mark: Returns the word of a verdict as it is to be shown, such as in a colour.
        """
        steps, verdicts = STEPS[self.language], VERDICTS[self.language]
        first, second = (max(map(len, words.values())) + _MARGIN for words in (verdicts, steps))
        margin = " " * (first + second)
        lines = []
        for finding in self.findings:
            word = verdicts[finding.verdict]
            shown = word if mark is None else mark(finding.verdict, word)
            texts = [finding.seen, finding.meaning, finding.advice]
            if finding.verdict == "ok" or finding.code is Code.SKIPPED:
                texts = [finding.seen]
            wrapped = [line for text in texts if text for line in _wrapped(text, width and width - len(margin))]
            lines.append(shown + " " * (first - len(word)) + steps[finding.step].ljust(second) + wrapped[0])
            lines += [margin + line for line in wrapped[1:]]
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.render()


def _wrapped(text: str, width: int | None) -> list[str]:
    return [text] if width is None else textwrap.wrap(text, max(width, _NARROWEST), break_on_hyphens=False)
