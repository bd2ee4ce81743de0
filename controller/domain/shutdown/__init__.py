"""How long pods must stay, and how long they do: from what was asked of the API server to verdicts and their mends.

In the order of the story: ``window`` (how long callers go on), ``pods`` (what is known of a pod), ``hooks`` (what a
preStop hook does, with ``shell``, ``programs`` and ``course``), ``serving`` (when the serving container ends),
``workloads`` (whose pods they are), ``mend`` (what to change), ``findings`` (one verdict a workload).
"""
