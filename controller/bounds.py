"""Every bound on what comes from outside, and why it is what it is; at the end, what one process may hold at most.

A bound is the largest size that is believed, in bytes and in elements: what exceeds it is refused by name, skipped by
name, or asked for in smaller pieces. Bounds that are decisions of a rule (how often something is tried, how many
instances one pod may have) stand with the rule. All layers may import this module, and it imports nothing.
"""

from __future__ import annotations

KIB, MIB = 1024, 1024 * 1024

# The Kubernetes API server: it is trusted to be one, but whoever may create pods fills its answers.
MAX_OBJECT_BYTES = 16 * MIB
"""Of one object as JSON, and so of one watch event. etcd refuses more than 1.5 MiB; written as JSON each byte of it may
become six (``<`` is written ``\\u003c``), so every pod that a cluster with etcd's own limit can hold is read."""
MAX_PAGE_BYTES = 8 * MIB
"""Of one page of a list: 500 usual pods have 6 MB. A larger page is asked for again with half as many. It is split into
its items at one go, which takes 15 ms."""
MAX_POST_ANSWER_BYTES = 2 * MIB
"""Of the object that was sent, with what the server has added."""
MAX_HOOK_BYTES = 4 * KIB
"""Of the JSON of the hooks of one pod together; nobody writes more by hand."""
MAX_HOOK_WORDS = 64
"""Of one hook's command: each word is an object of its own, however short it is."""
MAX_CONTAINERS = 100
"""Of one pod, native sidecars among them, whose hooks, ports and ends are looked at. More may be there."""
MAX_PORTS = 64
"""Of one container, and of one pod: what fits the wire."""
MAX_OWNERS_READ = 16
"""Owner references of a pod; one of them is its controller."""
MAX_CONDITIONS = 64
"""Of a pod's status: Kubernetes itself knows ten."""
MAX_ADDRESSES = 8
"""Of a pod, and of its node: what fits the wire."""
MAX_VALUE_LENGTH = 1_024
"""Characters of one annotation that are kept; a longer value is cut, and then refused."""
MAX_ANNOTATED_REGIONS = 16
"""That one pod may ask for: each of them is a command of its own."""
MAX_REFERENCE_LENGTH = 253
"""Characters of a name in Kubernetes. The API server admits any length for some of those that are read."""
MAX_UNSELECTED = 1_000
"""Pods of one feed that have lost the labels that are watched, and are looked at by name."""
MAX_TOO_LARGE = 1_000
"""Pods of one feed that are kept in mind since they were too large to be read."""

# Eureka nodes, and whatever stands in their place.
MAX_ANSWER_BYTES = 1 * MIB
"""Of every answer but a list of instances, unpacked: a server's settings may have some hundred kB."""
MAX_INSTANCE_BYTES = 128 * KIB
"""Of one registration; real ones have 1 to 3 kB. A larger one is left out of the list that it stands in."""
MAX_REGISTRY_BYTES = 512 * MIB
"""Of a list of instances, unpacked. It is read piece by piece and never held: this only bounds the work."""
MAX_INSTANCES = 300_000
"""In one list, read or passed over: three times the largest region of docs/scale.md."""
MAX_SKELETON_BYTES = 8 * MIB
"""Of such a list without its instances: 45 bytes an app."""
MAX_REGISTRY_DEPTH = 16
"""Brackets within brackets, outside of instances; a real list has six."""
PIECE_BYTES = 16 * KIB
"""That are unpacked and decoded before other work has its turn: a few milliseconds, whatever stands in them."""
MAX_TEXT_LENGTH = 512
"""Characters of an id, an app, a host name. One more is kept, as a mark: what is longer cannot be addressed."""
INSTANCE_COST = 5_000
"""Bytes that a usual instance takes while its region's index is made anew: in the index that is in use, in each of two
nodes' answers, and in the next index. Measured: docs/scale.md."""
EXTRA_TEXT_COST = 80
"""Bytes for each character of an unusually long registration: each third may begin a name that it is found by."""
USUAL_TEXT_LENGTH = 256
"""Characters of an instance's texts together that its cost includes."""
MAX_CANDIDATES = 500
"""Registrations at one address, under one name, or under one id that are looked at: far more than are believed."""
MAX_STATUS_PAGE_LENGTH = 64 * KIB
"""Characters; a real one has 2 kB."""
MAX_POD_UID_LENGTH = 128
"""Characters of a pod's uid in a registration's metadata; a real one has 36."""

# The broker.
MAX_BODY_BYTES = 256 * KIB
"""Of a message. A command with 64 instances and 64 living pods stays below it."""
MAX_GROUPED = 50
"""Entries of the event log in one message: so many share its cost. Readers refuse more, so it never shrinks."""
MAX_GROUP_BYTES = 32 * KIB
"""Of these together, unless one alone has more."""
MAX_READ_AHEAD = 48
"""Messages of a stream that are on their way to a reader at a time."""
MAX_HELD_BYTES = 16 * MIB
"""Of the messages of one region that a worker holds at a time: 8,000 usual ones, or 64 of the largest; the others go
back until there is room. Decoded, they take some times as much."""
MAX_WAITING = 4_000
"""Messages of one region that a worker holds for their next look, beside those that it works on."""
MAX_WAITING_BYTES = 4 * MIB
"""Of these together: 2,000 usual ones. The others wait in the delay queues. Read, they take four times as much."""
MAX_HEADER_LENGTH = 1_000
"""Characters of a message's header; only those that we read are kept."""
MAX_DEAD_MESSAGES = 10_000
"""Dead letters of a region that are held in memory."""
MAX_DEAD_BYTES = 8 * MIB
"""Of these together, for a command: 4,000 usual ones."""
MAX_DEAD_BATCH_BYTES = 512 * KIB
"""Of those that are fetched before they are looked at, and of all that the page shows: 250 usual ones."""
MAX_UNROUTED = 10_000
"""Messages that wait for a region that nobody has declared; the oldest go."""
MAX_UNROUTED_BYTES = 64 * MIB
"""Of these together, in the broker."""
MAX_UNROUTED_SECONDS = 86_400
"""For so long they wait: a region's first worker may come a day after its pods."""

# What comes to the HTTP port.
MAX_PORT_BYTES = 16 * MIB
"""Of all connections together, requests and answers: the connection that holds most is cut first."""

# Files that are mounted.
MAX_FILE_BYTES = 1 * MIB
"""Of the settings, of a secret, of certificates: a system's whole bundle of authorities has about 200,000."""


# What one process may keep, as a share of the memory that it was given: in a larger container more is kept.
USUAL_MEMORY = 512 * MIB
"""The limit of the containers in manifests/, and what is taken where nobody set a limit."""
USUAL_OPS_MEMORY = 640 * MIB
"""Of ``ops``, which holds the living pods besides, while a plan is made."""
INDEX_SHARE = 0.24
"""Of the memory, for the indexes of all regions that a process works in: 122 MiB of 512, some 25,000 instances."""
INDEX_ROOM = int(INDEX_SHARE * USUAL_MEMORY)
LEDGER_SHARE = 0.08
"""Of the memory, for what the event log says of drains: 17,000 that hold an instance, of 2.4 kB each."""
LEDGER_ENTRY_BYTES = 2_400
MAX_GOING_PODS = 20_000
"""Pods on their way out, as they were seen last: their verdict needs it."""
MAX_GOING_BYTES = 24 * MIB
"""Of these together: 10,000 usual ones, or 1,500 with as many hooks as are read. The oldest are forgotten, and get a
verdict without its reason."""
USUAL_PODS = 30_000
"""That a watch of the usual memory is planned for, of 0.9 kB each. There is no bound: a pod that is not kept would not
be drained. ``eureka_drain_watched_pods`` shows how many there are."""


def index_room(memory: int) -> int:
    """Return how many bytes the indexes of a process with so much memory may take."""
    return int(INDEX_SHARE * memory)


def ledger_entries(memory: int) -> int:
    """Return how many drains a ledger in a process with so much memory keeps."""
    return int(LEDGER_SHARE * memory / LEDGER_ENTRY_BYTES)


# The sums: what each role holds at most, in a container of the usual memory.
MAX_SHARE = 0.6
"""Of the memory, for the sum: the rest is the allocator's, the interpreter's, and what nobody has thought of."""

_PROCESS = {
    "the program itself": 70 * MIB,
    "a message, and the lines of the log": 1 * MIB,
    "requests and answers of the HTTP port": MAX_PORT_BYTES,
}
_EVENTS = {
    "events that wait for the event log: 20,000 of 1 kB": 20 * MIB,
    "what comes of the event log: 48 messages of 32 kB": MAX_READ_AHEAD * MAX_GROUP_BYTES,
}
_LEDGER = {"what the event log says of drains": int(LEDGER_SHARE * USUAL_MEMORY)}
_INDEX = {"the indexes of all regions, while they are made anew": INDEX_ROOM}
_OPS_INDEX = dict.fromkeys(_INDEX, int(INDEX_SHARE * USUAL_OPS_MEMORY))
_WATCH = {
    "a page or an event, and its copy while it is decoded": 2 * MAX_OBJECT_BYTES,
    "pods: 30,000 of 0.9 kB": USUAL_PODS * 900,
    "pods on their way out": MAX_GOING_BYTES,
    "ends that wait for the broker: 20,000 of 1 kB": 20 * MIB,
    "commands that no worker has answered: 20,000 of 1 kB": 20 * MIB,
    "drains whose Kubernetes Event is still to come: 5,000 of 3 kB": 15 * MIB,
    "hooks of 1,024 templates, and what they say": 2 * 1_024 * 2 * MAX_HOOK_BYTES,
}
_WORK = {
    "commands that are worked on: 1,000 of 16 kB": MAX_HELD_BYTES,
    "commands that wait, read: 2,000 of 8 kB": 4 * MAX_WAITING_BYTES,
}
_OPS = {
    "drains with their timelines: 10,000 of 6 kB": 60 * MIB,
    "plans of replays": 16 * MIB,
    "living pods, while a plan is made or somebody drains by hand: 30,000 of 0.9 kB": USUAL_PODS * 900,
    "dead letters, and the next": 2 * MAX_DEAD_BATCH_BYTES,
}

HELD: dict[str, dict[str, int]] = {
    "watch": {**_PROCESS, **_EVENTS, **_LEDGER, **_WATCH},
    "work": {**_PROCESS, **_EVENTS, **_LEDGER, **_INDEX, **_WORK},
    "ops": {**_PROCESS, **_EVENTS, **_OPS_INDEX, **_OPS},
    "run": {**_PROCESS, **_EVENTS, **_LEDGER, **_LEDGER, **_INDEX, **_WATCH, **_WORK, **_OPS},
}
"""Bytes by role and by what it is."""
