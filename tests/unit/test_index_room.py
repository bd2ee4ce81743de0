"""What the regions of a process keep of their registries: none takes what the others need."""

from __future__ import annotations

from controller.eureka.room import IndexRoom


def test_a_region_alone_has_all_of_it() -> None:
    room = IndexRoom(1_000)
    room.open("eu")
    room.take("eu", 900)
    assert room.left_for("eu") == 1_000


def test_however_much_one_takes_the_others_have_their_share() -> None:
    room = IndexRoom(1_000)
    for region in ("eu", "us", "ap"):
        room.open(region)
    taken = {}
    for region in ("eu", "us", "ap", "eu", "us"):
        taken[region] = room.left_for(region)
        room.take(region, taken[region])
    assert taken["eu"] > taken["us"] >= 166
    assert sum(taken.values()) <= 1_000


def test_what_is_let_go_is_anybodys_again() -> None:
    room = IndexRoom(1_000)
    for region in ("eu", "us"):
        room.open(region)
    room.take("eu", 750)
    assert room.left_for("us") == 250
    room.take("eu", 10)
    assert room.left_for("us") == 750
