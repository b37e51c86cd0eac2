"""Whose turn it is: what a rank must have done before its next message may leave.

A turn is all that one rank sends and receives in one step of a plan.  Ranks are
one-port: the messages of a turn leave when the rank has finished its turns before::

    plan                turns of rank 0      of rank 1         of rank 2
    step 0   0 -> 1     sends                receives          -
    step 1   1 -> 2     -                    sends             receives
    step 2   2 -> 0     receives             -                 sends

A rank that takes no part in a step goes ahead, and a message does not wait for its
receiver.  All is held in arrays: a plan has as many as some million messages.
"""

import numpy as np
from numpy import ndarray

from dlsys_code.communication.routing import ranges


class Turns:
    """The turns of all ranks; `done` says which messages may leave next."""

    def __init__(self, step: ndarray, source: ndarray, destination: ndarray):
        steps = step - step.min(initial=0)
        size = steps.max(initial=0) + 1
        ends = np.concatenate([source * size + steps, destination * size + steps])
        turns, turn = np.unique(ends, return_inverse=True)
        self.sent_in, self.received_in = turn.reshape(2, -1)
        self.missing = np.bincount(turn, minlength=len(turns))
        rank = turns // size
        self.last = np.append(rank[:-1] != rank[1:], True)[: len(turns)]
        self.opened = np.insert(self.last[:-1], 0, True)[: len(turns)]
        self.by_turn = np.argsort(self.sent_in, kind="stable")
        sends = np.bincount(self.sent_in, minlength=len(turns))
        self.first = np.insert(np.cumsum(sends), 0, 0)  # of a turn, in by_turn

    def begin(self) -> ndarray:
        """Return the messages that may leave at once."""
        return self.sends_of(np.flatnonzero(self.opened))

    def done(self, messages: ndarray) -> ndarray:
        """Return the messages that may leave now that these have arrived."""
        ends = np.concatenate([self.sent_in[messages], self.received_in[messages]])
        np.subtract.at(self.missing, ends, 1)
        leaving, turns = [ends[:0]], np.unique(ends)
        while len(turns):
            over = self.opened[turns] & (self.missing[turns] == 0) & ~self.last[turns]
            turns = turns[over] + 1  # empty ones are over at once
            self.opened[turns] = True
            leaving.append(self.sends_of(turns))
        return np.concatenate(leaving)

    def sends_of(self, turns: ndarray) -> ndarray:
        """Return the messages that leave in these turns."""
        _, place = ranges(self.first[turns], self.first[turns + 1])
        return self.by_turn[place]
