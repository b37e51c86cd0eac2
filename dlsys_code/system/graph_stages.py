"""Run a cut graph, and train it: one stage on each rank, one step at a time.

Every rank walks the whole graph.  What is its own it runs; what another makes and it
needs, it receives.  A rank keeps the weights of its own stage and their states.  A
weight that two stages use, as a tied embedding at both ends of a GPT, has a part of its
gradient on each: the parts are added up before the update, or the copies drift apart::

    gradient of embed = part of the lookup (first rank) + part of the head (last rank)

Cost: n bytes of tied weights are all-reduced once per step, besides what crosses.

Source: O. Press and L. Wolf, "Using the output embedding to improve language models",
EACL 2017, for the tied weight.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.distributed import ProcessGroup
from torch.fx import Interpreter, Node

from dlsys_code.introduction import serial
from dlsys_code.introduction.average_gradients import AllReduce, torch_sum
from dlsys_code.system.graph_cut import Plan, cut
from dlsys_code.world import compute, receive, send

Users = dict[str, int]  # a name of a weight -> the stage that uses it by this name
Complete = Callable[[Plan, Sequence[Users], ProcessGroup], None]


class Stage(Interpreter):
    """One rank's way through the graph: it runs what is its own, and meets the others.

    Errors: ValueError unless there is a stage for each rank.
    """

    def __init__(self, plan: Plan, group: ProcessGroup):
        if plan.stages != group.size():
            raise ValueError(f"{group.size()} ranks cannot run {plan.stages} stages")
        super().__init__(plan.module, garbage_collect_values=False)
        self.plan, self.group, self.rank = plan, group, group.rank()
        self.device = plan.device

    def run_node(self, node: Node) -> object:
        """Return the value of a node where it is made or needed, None elsewhere."""
        if node.op == "placeholder":
            return super().run_node(node)
        own = self.plan.stage[node.name] == self.rank
        value = None
        if own:
            with compute("forward"):
                value = super().run_node(node)
        for edge in self.plan.edges:
            if edge.value == node.name and own:
                send(value.detach(), self.group, to=edge.destination)
            elif edge.value == node.name and edge.destination == self.rank:
                like = torch.empty(edge.shape, dtype=edge.dtype, device=self.device)
                value = receive(like, self.group, source=edge.source)
                value.requires_grad_(edge.learns)
        return value

    def backward(self, loss: Tensor | None) -> None:
        """Run the graph the other way: gradients cross in the reverse order.

        loss: on the last rank.
        """
        values = {node.name: value for node, value in self.env.items()}
        crossed = [edge for edge in reversed(self.plan.edges) if edge.learns]
        outputs, gradients = ([], []) if loss is None else ([loss], [None])
        for edge in crossed:
            if edge.source == self.rank:
                value = values[edge.value]
                outputs.append(value)
                gradients.append(receive(value, self.group, source=edge.destination))
        with compute("backward"):
            torch.autograd.backward(outputs, gradients)
        for edge in crossed:
            if edge.destination == self.rank:
                send(values[edge.value].grad, self.group, to=edge.source)


def shared(plan: Plan) -> list[Users]:
    """Return the weights that learn and that several stages use."""
    users: dict[int, Users] = defaultdict(dict)
    for name, module, stage in plan.modules():
        for inner, weight in module.named_parameters(remove_duplicate=False):
            if weight.requires_grad:
                users[id(weight)][f"{name}.{inner}"] = stage
    return [names for names in users.values() if len(set(names.values())) > 1]


def keep_own(plan: Plan, rank: int) -> nn.ModuleList:
    """Return what a rank runs; give up the memory of all other weights."""
    own = nn.ModuleList(module for _, module, stage in plan.modules() if stage == rank)
    for _, module, stage in plan.modules():
        if stage != rank:
            module.to("meta")
    return own


@torch.no_grad()
def sum_shared(
    plan: Plan,
    weights: Sequence[Users],
    group: ProcessGroup,
    *,
    all_reduce: AllReduce = torch_sum,
) -> None:
    """Add up the parts of the gradients of weights that several stages use."""
    for users in weights:
        names = [name for name, stage in users.items() if stage == group.rank()]
        like = plan.module.get_parameter(next(iter(users)))  # maybe without memory
        part = plan.module.get_parameter(names[0]).grad if names else None
        if part is None:
            part = torch.zeros(like.shape, dtype=like.dtype, device=plan.device)
        total = all_reduce(part, group)
        for name in names:
            plan.module.get_parameter(name).grad = total


def train(
    recipe: serial.Recipe,
    text: Tensor,
    group: ProcessGroup,
    *,
    steps: int,
    before: Sequence[str],
    complete: Complete = sum_shared,
) -> Iterator[float | None]:
    """Yield the loss of each step on the last rank, None on the others.

    before: where a stage begins, as in `cut`.  complete: what gradients still need
    after the way back.
    """
    rank, last = group.rank(), group.size() - 1
    model = serial.fresh_model(recipe)
    tokens = torch.empty(recipe.batch, recipe.sequence, dtype=torch.long)
    plan = cut(model, tokens, before=before)
    stage, tied = Stage(plan, group), shared(plan)
    optimizer = serial.adamw(keep_own(plan, rank), recipe)
    for step in range(steps):
        inputs, targets = serial.batch(recipe, text, step, range(recipe.batch))
        if rank == last:
            loss = serial.mean_loss(stage.run, inputs, targets)
        else:
            loss = stage.run(inputs)  # None
        value = None if loss is None else serial.finite(loss, step)
        stage.backward(loss)
        complete(plan, tied, group)
        with compute("optimizer"):
            optimizer.step()
            optimizer.zero_grad()
        yield value
