"""What a worker does in every step, whoever holds the weights::

    batch  ->  forward  ->  finite?  ->  backward

Where the weights come from and where the gradients go is the caller's; so this serves
the parameter server in step, its survivors, the clocks that run ahead and local SGD.

Cost: one forward and one backward pass over the samples.

Source: that of `introduction.serial`, whose step this is without the update.
"""

from torch import Tensor, nn

from dlsys_code.introduction import serial
from dlsys_code.world import compute


def loss_and_backward(
    model: nn.Module, recipe: serial.Recipe, text: Tensor, step: int, samples: range
) -> float:
    """Return the loss of some samples of a step, and leave its gradients.

    Errors: FloatingPointError when the loss is not finite, before there are gradients.
    """
    inputs, targets = serial.batch(recipe, text, step, samples)
    with compute("forward"):
        loss = serial.mean_loss(model, inputs, targets)
    value = serial.finite(loss, step)
    with compute("backward"):
        loss.backward()
    return value
