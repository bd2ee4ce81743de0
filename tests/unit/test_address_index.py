"""Who is at an address: the index of one uid or many, against a plain one of sets."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from controller.domain.address_index import AddressIndex

NAMES, UIDS = ("10.1.0.7", "10.1.0.8", "orders-0"), ("a", "b", "c")
changes = st.lists(st.tuples(st.booleans(), st.sampled_from(UIDS), st.sets(st.sampled_from(NAMES))), max_size=30)


@given(changes)
def test_it_holds_what_sets_would_hold(steps: list[tuple[bool, str, set[str]]]) -> None:
    index, plain = AddressIndex(), defaultdict[str, set[str]](set)
    for comes, uid, names in steps:
        if comes:
            index.add(uid, names)
        else:
            index.discard(uid, names)
        for name in names:
            (plain[name].add if comes else plain[name].discard)(uid)
    assert {name: index.at(name) for name in NAMES} == {name: plain[name] for name in NAMES}
    assert index.at(*NAMES) == set().union(*plain.values())
    assert len(index) == sum(bool(uids) for uids in plain.values())


def test_what_it_returns_is_not_its_own() -> None:
    index = AddressIndex()
    for uid in ("a", "b"):
        index.add(uid, ["10.1.0.7"])
    index.at("10.1.0.7").clear()
    assert index.at("10.1.0.7") == {"a", "b"}
