"""The metrics of every role, in one registry a process.

process_metrics    of every process, and the one hook for the others
drain_metrics      outcomes of drains, as watches and workers record them
watch_metrics      what a watch holds and has not sent yet
region_metrics     queues, dead letters and nodes, as ``ops`` sees them
shutdown_metrics   whether drained pods served long enough

A metric is there only where something sets it: a 0 that nobody has counted would be read as good news. So each part
is registered with the roles that feed it, what can be counted begins at 0 (a rate cannot see a counter's first step
otherwise), and what could not be found out this time is removed until it can be.

Every process counts what it does itself. Two watches publish each command twice, and workers share the rest between
them; so sums over processes are right for what workers count, and the largest value for what ``ops`` sees.
"""

from controller.ops.metrics.process_metrics import Metrics

__all__ = ["Metrics"]
