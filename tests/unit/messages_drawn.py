"""Commands as hypothesis draws them, within the bounds of the wire."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import strategies as st

from controller.domain.causes import Cause
from controller.domain.commands import DrainCommand, Progress, Stage, Target
from controller.domain.pods import LivingPod, Owner, Pod
from controller.domain.reason import Reason, ReasonCode
from tests.unit.building import at

characters = st.characters(codec="utf-8")
words = st.text(characters, max_size=20)
uids = st.text(characters, min_size=1, max_size=20)
times = st.integers(0, 4_000_000_000_000).map(lambda micros: at(micros / 1_000_000))
ports = st.lists(st.integers(0, 65_535), max_size=4).map(tuple)
reasons = st.builds(Reason, code=st.sampled_from(ReasonCode), detail=words)
owners = st.builds(Owner, api_version=words, kind=words, name=words, uid=words)
addresses = st.lists(words, max_size=8).map(tuple)
pods = st.builds(
    Pod,
    namespace=words,
    name=words,
    uid=uids,
    ip=words,
    ips=addresses,
    host_ips=addresses,
    hostname=words,
    subdomain=words,
    node=words,
    host_network=st.booleans(),
    mirror=st.booleans(),
    ports=ports,
    host_ports=ports,
    declares_ports=st.booleans(),
    phase=words,
    app_label=words,
    created_at=st.none() | times,
    deletion_at=st.none() | times,
    grace_seconds=st.integers(0, 10**6),
    finished_at=st.none() | times,
    ended_at=st.none() | times,
    unready_at=st.none() | times,
    started=st.booleans(),
    disruption=words,
    annotations=st.dictionaries(words, words, max_size=4),
    owner=st.none() | owners,
)
living = st.builds(
    LivingPod,
    namespace=words,
    name=words,
    uid=uids,
    ip=words,
    ips=addresses,
    host_names=st.lists(words, max_size=3).map(tuple),
    host_network=st.booleans(),
    ports=ports,
    created_at=st.none() | times,
)
targets = st.builds(
    Target,
    app=words,
    id=words,
    ip=words,
    host_name=words,
    port=st.integers(0, 65_535),
    stage=st.sampled_from(Stage),
    due_at=times,
    renewal_interval=st.integers(1, 86_399).map(lambda seconds: timedelta(seconds=seconds)),
    renewals=st.dictionaries(words, times, max_size=3),
    silent_since=st.none() | times,
    renewals_after_end=st.dictionaries(words, times, max_size=3),
    written_at=st.none() | times,
    dirty_at=st.none() | times,
    last_dirty_at=st.none() | times,
    shared_id=st.booleans(),
    was_out=st.booleans(),
    may_have_override=st.booleans(),
    attempt=st.integers(1, 10**6),
    trouble=st.none() | reasons,
    trouble_since=st.none() | times,
)
progresses = st.builds(
    Progress,
    first_at=times,
    due_at=times,
    step=st.integers(0, 10**6),
    chain=words,
    attempt=st.integers(1, 10**6),
    trouble=st.none() | reasons,
    trouble_since=st.none() | times,
    first_look_at=st.none() | times,
    found=st.lists(st.tuples(words, words), max_size=3).map(tuple),
    found_ports=ports,
    doubted=st.lists(st.tuples(words, words), max_size=3).map(tuple),
    found_all=st.booleans(),
    targets=st.lists(targets, max_size=3).map(tuple),
)
commands = st.builds(
    DrainCommand,
    drain_id=uids,
    cluster=words,
    region=uids,
    cause=st.sampled_from(Cause),
    pod=pods,
    observed_at=times,
    since_at=times,
    end_at=times,
    gone_at=st.none() | times,
    end_proved=st.booleans(),
    living=st.lists(living, max_size=3).map(tuple),
    requested_by=words,
    requested_at=st.none() | times,
    requested_why=words,
    progress=st.none() | progresses,
)
