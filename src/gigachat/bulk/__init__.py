"""Jobs over many rows: results in a file that is its own checkpoint, in an iterator, or as rows for another system.

`import gigachat` does not load it.
"""

from gigachat.bulk.budget import Budget
from gigachat.bulk.checkpoint import read_results
from gigachat.bulk.columns import embed_column
from gigachat.bulk.processes import map_rows
from gigachat.bulk.ray_data import ray
from gigachat.bulk.results import Report, Result, RowError
from gigachat.bulk.run import aiterate, arun, iterate, run

__all__ = [
    "Budget",
    "Report",
    "Result",
    "RowError",
    "aiterate",
    "arun",
    "embed_column",
    "iterate",
    "map_rows",
    "ray",
    "read_results",
    "run",
]
