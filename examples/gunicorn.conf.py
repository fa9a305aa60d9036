"""Workers that share one account: gunicorn --config gunicorn.conf.py sse_endpoint:app."""

import os

PERMITTED = 10  # requests in progress that the account permits
COUNTED_TOGETHER = "GIGACHAT_LIMITS" in os.environ  # otherwise each worker counts for itself and needs a slot

bind = "127.0.0.1:8000"
workers = 8 if COUNTED_TOGETHER else min(8, PERMITTED)
worker_class = "asgi"
preload_app = True  # imports the program once, before the fork
graceful_timeout = 120  # seconds that answers in progress may take after a signal to stop

raw_env = [f"GIGACHAT_MAX_CONCURRENCY={PERMITTED if COUNTED_TOGETHER else PERMITTED // workers}"]
