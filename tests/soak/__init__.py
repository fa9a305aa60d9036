"""The soak: minutes of random load and random faults, every answer checked; `python -m tests.soak`, `make soak`.

`faults` says what can be ordered for a request and what may then come of it. `server` is the local GigaChat in a
process of its own that obeys such orders, with a bad network in front of a second door. `work` is what clients do,
blocking and async. `watch` samples the process, hears what it says and notices who hangs. `__main__` runs it all and
prints the table. Nothing here is collected by pytest.
"""
