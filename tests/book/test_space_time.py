"""Diagrams of messages and of clocks show every message and every span of a run."""

import xml.etree.ElementTree as ElementTree

import torch
import torch.distributed as dist

from dlsys_code.book import space_time
from dlsys_code.primitive import exchange, tree
from dlsys_code.world import compute

ALT = "八个 rank 的消息，箭头从发送者指向接收者"
SVG = "{http://www.w3.org/2000/svg}"


def busy_then_sum() -> None:
    with compute("work"):
        torch.ones(8) @ torch.ones(8)
    dist.all_reduce(torch.ones(1))


def arrows(svg: str) -> int:
    """How many of matplotlib's arrows an SVG holds: a shaft and a head for each."""
    root = ElementTree.fromstring(svg)
    patches = [g for g in root.iter(f"{SVG}g") if g.get("id", "").startswith("patch_")]
    return sum(len(list(patch.iter(f"{SVG}path"))) == 2 for patch in patches)


def test_every_message_is_an_arrow():
    plans = {
        "tree": tree.all_reduce_messages(8, 3, 4),
        "pairwise": exchange.pairwise_messages([[3] * 8] * 8, 4),
    }
    figure = space_time.rounds(plans, 8, alt=ALT)
    assert arrows(figure.svg) == sum(map(len, plans.values())) == 14 + 56
    assert figure.svg == space_time.rounds(plans, 8, alt=ALT).svg


def test_a_single_rank_has_an_empty_diagram():
    assert arrows(space_time.rounds({"tree": []}, 1, alt=ALT).svg) == 0


def test_a_panel_says_its_rounds_and_its_bytes():
    said = space_time.rounds_and_bytes("tree", tree.all_reduce_messages(8, 512, 4))
    assert said == "tree\n6 rounds, a rank sends up to 6,144 B"


def test_a_timeline_has_a_bar_for_every_span(world):
    trace = world(3).trace(busy_then_sum)
    spans = [event for event in trace.events if event.kind in ("compute", "collective")]
    figure = space_time.timeline(trace, alt=ALT)
    empty = space_time.timeline(world(3).trace(torch.ones, 1), alt=ALT)
    assert len(spans) == 6
    assert paths(figure.svg) - paths(empty.svg) >= len(spans)


def paths(svg: str) -> int:
    return len(list(ElementTree.fromstring(svg).iter(f"{SVG}path")))
