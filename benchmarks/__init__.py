"""What the client costs: ours, the bare HTTP library and the published 0.2.3 side by side; `python -m benchmarks`.

Numbers are CPU time, which other programs on the machine disturb least. No test rests on them: the tables mark a target
that was missed.
"""
