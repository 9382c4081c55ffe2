"""Gradients of random networks, layer by layer and compiled, against central differences in float64."""

from zlib import crc32

import numpy as np
import pytest
from amounts import amounts
from by_layers import gradient_while_training, loss_while_training
from random_networks import LAYERS, LOSSES, random_problem

import fastbp

# The first errs by its square and by eps / step. Across a kink a difference means nothing, at the others few are.
STEPS = (1e-5, 1e-8, 1e-10)
ATOL, RTOL, USUAL, USUALLY = 1e-5, 1e-3, 1e-6, 0.99


def differences(problem, array, step):
    """The central difference of the loss by each element of ``array``, one of the network's or the samples."""
    result, batch = np.empty(array.size), problem.batch
    for i, flat in enumerate(array.reshape(-1, 1)):  # views of one element
        kept, losses = flat[0], []
        for place in (kept + step, kept - step):
            flat[0] = place
            losses.append(float(loss_while_training(problem.net, *batch)))
        flat[0] = kept
        result[i] = (losses[0] - losses[1]) / (2 * step)
    return result.reshape(array.shape)


def wrong(gradient, difference):
    return np.abs(gradient - difference) > ATOL + RTOL * np.abs(difference)


def compare(problem, name, array, gradient):
    """Whether each element is within ``USUAL`` of its difference; all have to be within ``ATOL`` and ``RTOL``."""
    difference = differences(problem, array, STEPS[0])
    # What a difference of losses cannot tell: the rounding of either.
    unseen = 8 * np.finfo(float).eps * max(1, abs(problem.net.loss_layer.loss)) / STEPS[0]
    near = np.abs(gradient - difference) <= USUAL * np.abs(difference) + unseen
    off = wrong(gradient, difference)
    for step in STEPS[1:]:
        if not off.any():
            break
        off &= wrong(gradient, differences(problem, array, step))
    assert not off.any(), f"d{name} of {problem.net!r}: {gradient[off]} and not {difference[off]}"
    return near


def compiled_gradient(problem):
    """What a compiled step of gradient descent takes from each parameter."""
    net, (x, t, weights) = problem.net, problem.batch
    before = {name: p.copy() for name, p in net.params.items()}
    net.fit(
        x,
        t,
        sample_weight=weights,
        batch_size=len(x),
        optimizer=fastbp.optimizers.SGD(lr=1.0),
        shuffle=False,
        seed=0,
        progress=False,
    )
    return {name: before[name] - p for name, p in net.params.items()}


@amounts("networks", 6, 1000)
@pytest.mark.parametrize("subject", [*LAYERS, *LOSSES])
def test_gradients_are_central_differences(subject, networks):
    near = []
    for seed in range(networks):
        problem = random_problem(np.random.default_rng([seed, crc32(subject.encode())]), subject)
        _, gradients, dx = gradient_while_training(problem.net, *problem.batch)
        near.append(compare(problem, "x", problem.x, dx).ravel())
        for name, p in problem.net.params.items():
            near.append(compare(problem, name, p, gradients[name]).ravel())
        for name, step in compiled_gradient(problem).items():
            np.testing.assert_allclose(step, gradients[name], rtol=1e-9, atol=1e-13, err_msg=repr(problem.net))
    share = np.concatenate(near).mean()
    print(f"{subject}: {share:.4%} of {np.concatenate(near).size} derivatives within {USUAL}")
    assert share >= USUALLY, f"{share:.3%}"
