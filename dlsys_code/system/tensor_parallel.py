"""Tensor parallelism: every rank has all tokens and a share of every matrix.

Two matrices follow each other in both branches of a block.  Cut the first by columns
and the second by rows, and a share of one needs only the same share of the other::

    first    A = [A_0 | A_1 | ...]           H_r = act(X A_r)     whole heads or units
    second   B = [B_0 / B_1 / ...]           Y   = sum of H_r B_r over the ranks

So the ranks meet twice in a branch, at its ends: leaving it they add up Y, and on the
way back, where they entered, the gradient of X.  Everything else, norms included, each
of them does on all tokens.  Every rank ends with the same loss, which counts once.

For b sequences of T tokens of width h, a block all-reduces b T h elements twice forward
and twice backward, the embedding once forward and the head once backward; the loss 3 b
T elements.  Forward, no product can begin before the all-reduce in front of it ends;
backward, a weight's gradient could, but waits here too.  Weights, their gradients and
the optimizer's states fall by p, but for the norms'; while it is cut, a rank has the
whole model twice.

Source: M. Shoeybi et al., "Megatron-LM: training multi-billion parameter language
models using model parallelism", arXiv:1909.08053 (2019), section 3.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn
from torch.distributed import ProcessGroup

from dlsys_code.introduction import gpt, serial
from dlsys_code.introduction.average_gradients import torch_sum
from dlsys_code.primitive.adjoint import Collective, identity, with_adjoint
from dlsys_code.system.tensor_parallel_copies import sum_copies
from dlsys_code.system.tensor_parallel_shares import cut
from dlsys_code.system.tensor_parallel_vocabulary import cross_entropy, own_rows
from dlsys_code.world import compute


@dataclass(frozen=True, kw_only=True)
class Ends:
    """What stands at the two ends of a branch, each with its adjoint.

    enter: from what the ranks hold between branches to all tokens.  leave: adds up the
    ranks' parts, and goes back.
    """

    enter: Callable[[Tensor], Tensor]
    leave: Callable[[Tensor], Tensor]


MakeEnds = Callable[[ProcessGroup], Ends]


def replicated(tp: ProcessGroup, *, all_reduce: Collective = torch_sum) -> Ends:
    """Return the ends of Megatron-LM, its f and g: between branches all hold all."""
    copy_in = with_adjoint(identity, all_reduce)  # loss replicated, counted once
    sum_out = with_adjoint(all_reduce, identity)
    return Ends(enter=partial(copy_in, group=tp), leave=partial(sum_out, group=tp))


class Block(nn.Module):
    """One layer of the transformer; of its heads and hidden units this rank's share.

    share: a block of a model that was `cut`.
    """

    def __init__(self, share: gpt.Block, ends: Ends):
        super().__init__()
        self.norm_1, self.attention = share.norm_1, share.attention
        self.norm_2, self.feed_forward = share.norm_2, share.feed_forward
        self.enter, self.leave = ends.enter, ends.leave

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        """Return the stream after this layer.  x: (b, T, h)."""
        y = self.enter(self.norm_1(x))
        x = x + self.leave(self.attention(y, cosine, sine))
        y = self.enter(self.norm_2(x))
        return x + self.leave(self.feed_forward(y))


class TensorParallelGPT(nn.Module):
    """This rank's share of a GPT.  Parameters have the names they have in the whole.

    ends: `replicated`, or those of `sequence_parallel`.
    Errors: ValueError when the ranks cannot share the sizes of the model.
    """

    def __init__(
        self,
        whole: gpt.GPT,
        tp: ProcessGroup,
        *,
        ends: MakeEnds = replicated,
    ):
        super().__init__()
        share = cut(whole, tp)
        self.config, self.tp, self.ends = whole.config, tp, ends(tp)
        self.embed = share.embed
        self.blocks = nn.ModuleList(Block(b, self.ends) for b in share.blocks)
        self.norm, self.head = share.norm, share.head

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the logits of this rank's words, (b, T, V / p).  tokens: (b, T)."""
        x = self.ends.leave(own_rows(self.embed.weight, tokens, self.tp))  # (b, T, h)
        cosine, sine = gpt.rotations(tokens.size(1), self.config, x)
        for block in self.blocks:
            x = block(x, cosine, sine)
        return self.head(self.ends.enter(self.norm(x)))  # (b, T, V / p)


def mean_loss(model: TensorParallelGPT, inputs: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy per token [nat], the same on every rank.

    inputs, targets: (b, T), alike on every rank.
    """
    return cross_entropy(model(inputs), targets, model.tp)


def train(
    recipe: serial.Recipe,
    text: Tensor,
    tp: ProcessGroup,
    *,
    steps: int,
    ends: MakeEnds = replicated,
    complete: Callable[[nn.Module, ProcessGroup], None] = sum_copies,
) -> Iterator[float]:
    """Yield the loss of each step, the same on every rank and in `serial.train`.

    complete: what gradients still need after the backward pass.
    """
    model = TensorParallelGPT(serial.fresh_model(recipe), tp, ends=ends)
    optimizer = serial.adamw(model, recipe)
    for step in range(steps):
        inputs, targets = serial.batch(recipe, text, step, range(recipe.batch))
        with compute("forward"):
            loss = mean_loss(model, inputs, targets)
        value = serial.finite(loss, step)
        with compute("backward"):
            loss.backward()
        complete(model, tp)
        with compute("optimizer"):
            optimizer.step()
            optimizer.zero_grad()
        yield value
