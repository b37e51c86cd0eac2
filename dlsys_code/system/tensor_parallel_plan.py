"""torch's own tensor and sequence parallelism: a plan for our GPT, by DTensor.

torch leaves the model as it is.  A plan names, for every layer, how its weight is cut
and how its input and output lie; each weight becomes a DTensor, and hooks redistribute
what flows between layers.  Our model has the collectives written into its forward
pass::

    our share            torch's plan         what it says of the weight
    columns              ColwiseParallel      Shard(0)
    rows                 RowwiseParallel      Shard(1); of an embedding Shard(0)
    norms on T / p       SequenceParallel     Replicate; its gradient is Partial
    cross_entropy        loss_parallel        logits stay Shard(-1)

Both send the same bytes in the forward and backward pass; the loss takes DTensor three
calls, ours two.  A gain's gradient stays a part, and the optimizer adds it up each time
it reads it.  Where the head is not tied, the embedding's gradient is whole on every
rank.  Its other cost is Python in front of every operation.

Sources: PyTorch documentation, `torch.distributed.tensor.parallel`; W. Liang et al.,
"TorchTitan: one-stop PyTorch native solution for production ready LLM pre-training",
ICLR 2025, whose plan for Llama this is.
"""

from copy import deepcopy

from torch import Tensor, nn
from torch.distributed import ProcessGroup
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import Replicate, Shard
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    ParallelStyle,
    PrepareModuleInput,
    RowwiseParallel,
    SequenceParallel,
    loss_parallel,
    parallelize_module,
)

from dlsys_code.introduction import gpt, serial

Plan = dict[str, ParallelStyle]


def plan(*, tokens_shared: bool) -> Plan:
    """Return torch's plan for a `gpt.GPT`.

    tokens_shared: between branches, as under `sequence_parallel`.
    """
    between = Shard(1) if tokens_shared else Replicate()
    enter = {"input_layouts": between, "desired_input_layouts": Replicate()}
    enter_attention = {
        "input_layouts": (between, None, None),
        "desired_input_layouts": (Replicate(), None, None),
    }
    leave = RowwiseParallel(output_layouts=between)
    columns = ["attention.query", "attention.key", "attention.value"]
    columns += ["feed_forward.gate", "feed_forward.up"]
    layers = {
        "embed": RowwiseParallel(input_layouts=Replicate(), output_layouts=between),
        "blocks.*.attention": PrepareModuleInput(**enter_attention),
        "blocks.*.feed_forward": PrepareModuleInput(**enter),
        "blocks.*.attention.out": leave,
        "blocks.*.feed_forward.down": leave,
        "head": ColwiseParallel(input_layouts=between, use_local_output=False),
    }
    layers |= {f"blocks.*.{name}": ColwiseParallel() for name in columns}
    if tokens_shared:
        norms = ("blocks.*.norm_1", "blocks.*.norm_2", "norm")
        layers |= {name: SequenceParallel() for name in norms}
    return layers


def torchs_model(whole: gpt.GPT, tp: ProcessGroup, *, tokens_shared: bool) -> gpt.GPT:
    """Return a copy of a model whose weights are DTensors over the ranks.

    DTensor remembers the group of the first mesh with as many ranks, so another group
    needs a World of its own.
    """
    mesh = DeviceMesh.from_group(tp, whole.embed.weight.device.type)
    model = deepcopy(whole)
    parallelize_module(model, mesh, plan(tokens_shared=tokens_shared))
    if whole.config.tied:
        model.head.weight = model.embed.weight  # each of the two got a DTensor
    return model


def torchs_loss(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    """Return the mean loss after a backward pass through torch's model."""
    with loss_parallel():  # forward and backward
        loss = serial.mean_loss(model, inputs, targets)
        loss.backward()
    return loss.to_local().detach()
