"""Search: the choice of strategies with the least time, without trying all of them.

With s strategies each, n operators have s^n choices.  But what is still to come only
depends on the layouts of outputs that it will use.  So walk through the operators in
order, and of all choices that leave the open outputs in the same layouts keep the
cheapest::

    open after     embed    norm           ...   add
                   embed    embed, norm          add
    choices kept   l        l x l                l          for l layouts

In a chain one output is open at a time and the search takes n s l steps; a branch keeps
the stream open beside it, n s l^2.

Sources: R. Bellman, "Dynamic programming", Princeton University Press (1957); Z. Cai et
al., "TensorOpt: exploring the tradeoffs in distributed DNN training with
auto-parallelism", IEEE Trans. Parallel and Distributed Systems 33 (2022) 1967-1981.
"""

from collections.abc import Callable, Sequence
from itertools import product
from math import inf

from dlsys_code.system.operator_graph import Operator
from dlsys_code.system.strategies import Choice, Options

Added = Callable[[Operator, Choice], float]  # time of an operator and its edges [s]
ROUNDED = 1 - 1e-12  # of equal times the first one stays, whatever rounding does


def search(
    graph: Sequence[Operator], options: Options, added: Added
) -> tuple[float, Choice]:
    """Return the least time [s] and a choice that has it.

    graph: operators after those whose outputs they take.
    """
    best = {(): (0.0, {})}  # layouts of open outputs -> time so far, choice so far
    for i, operator in enumerate(graph):
        used_later = {name for after in graph[i + 1 :] for name in after.inputs}
        longer = {}
        for spent, chosen in best.values():
            for strategy in options[operator.name]:
                choice = chosen | {operator.name: strategy}
                open_now = tuple(choice[n].out for n in choice if n in used_later)
                total = spent + added(operator, choice)
                if total < ROUNDED * longer.get(open_now, (inf,))[0]:
                    longer[open_now] = (total, choice)
        best = longer
    return min(best.values(), key=lambda found: found[0])


def brute_force(
    graph: Sequence[Operator], options: Options, added: Added
) -> tuple[float, Choice]:
    """Return the same as `search`, by trying everything."""
    best = (inf, {})
    for strategies in product(*(options[operator.name] for operator in graph)):
        choice = {op.name: s for op, s in zip(graph, strategies, strict=True)}
        total = sum(added(operator, choice) for operator in graph)
        best = min(best, (total, choice), key=lambda found: found[0])
    return best
