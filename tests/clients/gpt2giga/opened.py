"""gpt2giga with two doors open that its release keeps shut: the routes of batches, and query parameters that pass on.

It waits with the routes "until the installed GigaChat SDK exposes" batches, and its list of safe parameters is empty.
Its files stay as they are.
"""
# mypy: disable-error-code="import-not-found"
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from gpt2giga import run
from gpt2giga.api.openai.routes import router
from gpt2giga.common import client_params
from gpt2giga.routers.openai.batches import router as batches

router.include_router(batches)
client_params.filter_safe_query_items.__kwdefaults__["allowlist"] = frozenset({"tag", "part"})
run()
