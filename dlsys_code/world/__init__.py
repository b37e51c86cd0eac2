"""Processes that can talk to one another: the ground that every chapter stands on."""

from dlsys_code.world.failure import RankError
from dlsys_code.world.journal import compute, label
from dlsys_code.world.point_to_point import exchange, receive, send, shift
from dlsys_code.world.pool import World
from dlsys_code.world.trace import Message, Trace

__all__ = [
    "Message",
    "RankError",
    "Trace",
    "World",
    "compute",
    "exchange",
    "label",
    "receive",
    "send",
    "shift",
]
