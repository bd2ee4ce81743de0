"""One region's worker, put together from its ports."""

from __future__ import annotations

from controller.domain.guard_policy import RecentTakeOuts
from controller.domain.ledger import Ledger
from controller.flows.drain_log import DrainLog
from controller.flows.guard import Guard
from controller.flows.instance_access import InstanceAccess
from controller.flows.instance_finder import InstanceFinder
from controller.flows.lifecycle import DrainLifecycle
from controller.flows.lookout import Lookout
from controller.flows.looks import Looks
from controller.flows.ports import Clock, EventLog, Observer, Outbox, Registry
from controller.flows.priority import PriorityGate
from controller.flows.publisher import Publisher
from controller.flows.restorer import Restorer
from controller.flows.target_finder import TargetFinder
from controller.flows.worker import Worker
from controller.flows.worker_policy import WorkerPolicy


def build_worker(
    *,
    registry: Registry,
    outbox: Outbox,
    policy: WorkerPolicy,
    clock: Clock,
    observer: Observer,
    priority: PriorityGate,
    ledger: Ledger,
    log: EventLog,
    recent_take_outs: RecentTakeOuts,
) -> Worker:
    """Put a worker together. ``ledger`` and ``recent_take_outs`` are kept up to date by whoever follows the log."""
    publisher = Publisher(outbox=outbox, clock=clock, observer=observer, priority=priority)
    drain_log = DrainLog(ledger=ledger, follower=log, publisher=publisher, max_waiters=policy.max_waiters)
    access = InstanceAccess(
        registry=registry,
        guard=Guard(registry=registry, policy=policy.guard, recent_take_outs=recent_take_outs),
        priority=priority,
        concurrency=policy.concurrency,
        windows=policy.windows,
    )
    finder = InstanceFinder(registry=registry, instance_id_templates=policy.instance_id_templates)
    targets = TargetFinder(finder=finder, registry=registry, log=drain_log, policy=policy, clock=clock)
    lookout = Lookout(access=access, clock=clock)
    return Worker(
        lifecycle=DrainLifecycle(
            finder=targets,
            looks=Looks(access=access, lookout=lookout, log=drain_log, policy=policy, clock=clock),
            log=drain_log,
            policy=policy,
            clock=clock,
        ),
        restorer=Restorer(access=access, log=drain_log, policy=policy, clock=clock),
        lookout=lookout,
        log=drain_log,
        clock=clock,
    )
