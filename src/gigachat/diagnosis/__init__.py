"""The diagnosis of a client: each step from its settings to its balance, with what was seen and what to do.

`examination` runs the steps in causal order. `network` has those up to the clock, `certificate` reads what servers
show, `account` has those that send API requests. `texts` has every text, by code and language. Only named fields are
put into texts, and none of them is a secret.
"""

from __future__ import annotations

from gigachat.diagnosis.codes import Code, Language, Step, Verdict
from gigachat.diagnosis.examination import diagnose
from gigachat.diagnosis.report import Finding, Report

__all__ = ["Code", "Finding", "Language", "Report", "Step", "Verdict", "diagnose"]
