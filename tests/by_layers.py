"""A network's loss and gradient layer by layer, with the masks that training draws."""

import fastbp
from fastbp.layers._layer import Numbering


def loss_while_training(net, x, t, weights=None, seed=0, step=0):
    """The loss layer by layer, with the masks that ``fit`` draws under ``seed`` at ``step``."""
    out = x
    for place, layer in enumerate(net.layers.values(), 1):
        if isinstance(layer, fastbp.Dropout):
            layer.seed, layer.stream, layer.step = seed, place, step
        out = layer.forward(out)
    return net.loss_layer.forward(out, t, weights)


def gradient_while_training(net, *batch, **draw):
    """The loss, the gradients by the parameters' names, and that with respect to the samples."""
    loss = loss_while_training(net, *batch, **draw)
    dout = net.loss_layer.backward()
    for layer in reversed(net.layers.values()):
        dout = layer.backward(dout)
    numbering, named = Numbering(), {}
    for layer in net.layers.values():
        own = numbering(layer)
        named |= {own[name]: getattr(layer, f"d{name}") for name in layer.parameters}
    return loss, {name: g for name, g in named.items() if g is not None}, dout
