"""Optimizers against torch.optim and the formulas in NumPy; their settings."""

import math
import pickle

import numpy as np
import pytest
from optimizer_runs import ALL, TOLERANCE, all_optimizers, dtypes, gradients, normal, reference, trained

from fastbp.kernels.team import CHUNK
from fastbp.optimizers import SGD, AdaGrad, Adam, AdamW, Momentum, Nesterov, RMSprop, get_optimizer
from fastbp.schedules import cosine, step_decay

with_and_without_decay = pytest.mark.parametrize("weight_decay", [0.0, 0.1])


def torch_optimizer(torch, ours, tensors):
    """torch's optimizer with the settings of ours."""
    rest = {"lr": ours.lr, "weight_decay": ours.weight_decay}
    betas = {"betas": (getattr(ours, "beta1", None), getattr(ours, "beta2", None)), "eps": getattr(ours, "eps", None)}
    return {
        SGD: lambda: torch.optim.SGD(tensors, **rest),
        Momentum: lambda: torch.optim.SGD(tensors, momentum=ours.momentum, **rest),
        Nesterov: lambda: torch.optim.SGD(tensors, momentum=ours.momentum, nesterov=True, **rest),
        AdaGrad: lambda: torch.optim.Adagrad(tensors, eps=ours.eps, **rest),
        RMSprop: lambda: torch.optim.RMSprop(tensors, alpha=ours.decay_rate, eps=ours.eps, **rest),
        Adam: lambda: torch.optim.Adam(tensors, **betas, **rest),
        AdamW: lambda: torch.optim.AdamW(tensors, **betas, **rest),
    }[type(ours)]()


@with_and_without_decay
@dtypes
@all_optimizers
def test_fifty_steps_are_those_of_torch(kind, dtype, weight_decay):
    torch = pytest.importorskip("torch")
    p, grads = normal(1000, dtype), gradients(1000, dtype)
    ours = kind(weight_decay=weight_decay)
    tensor = torch.tensor(p, requires_grad=True)
    theirs = torch_optimizer(torch, ours, [tensor])
    for g in grads:
        tensor.grad = torch.tensor(g)
        theirs.step()
    tolerance = TOLERANCE[dtype]
    np.testing.assert_allclose(trained(ours, p, grads), tensor.detach().numpy(), rtol=tolerance, atol=tolerance)


@all_optimizers
def test_a_changing_rate_means_what_it_means_in_torch(kind):
    torch = pytest.importorskip("torch")
    p, grads = normal(100), gradients(100, np.float64)
    ours = kind(lr=lambda step, epoch: 0.01 / (1 + step))
    tensor = torch.tensor(p, requires_grad=True)
    theirs = torch_optimizer(torch, kind(lr=0.01), [tensor])
    for step, g in enumerate(grads):
        theirs.param_groups[0]["lr"] = 0.01 / (1 + step)
        tensor.grad = torch.tensor(g)
        theirs.step()
    np.testing.assert_allclose(trained(ours, p, grads), tensor.detach().numpy(), rtol=1e-12, atol=1e-12)


@with_and_without_decay
@dtypes
@all_optimizers
def test_fifty_steps_are_those_of_the_formula(kind, dtype, weight_decay):
    p, grads = normal(1000, dtype), gradients(1000, dtype)
    optimizer = kind(weight_decay=weight_decay)
    # p times 1 - lr weight_decay is rounded at each of the 50 steps, half an eps at most.
    tolerance = 3e-6 if (kind, dtype) == (AdamW, np.float32) else TOLERANCE[dtype]
    np.testing.assert_allclose(
        trained(optimizer, p, grads), reference(optimizer, p, grads).astype(dtype), rtol=tolerance, atol=tolerance
    )


@pytest.mark.parametrize("n", [0, 1, 7, 33, CHUNK - 1, CHUNK + 1])
@dtypes
@all_optimizers
def test_any_length_up_to_past_one_part(kind, dtype, n):
    p, grads = normal(n, dtype), [normal(n, dtype, seed) for seed in (1, 2)]
    got = trained(kind(weight_decay=0.1), p, grads)
    np.testing.assert_allclose(got, reference(kind(weight_decay=0.1), p, grads).astype(dtype), rtol=1e-5, atol=1e-6)


@all_optimizers
def test_nan_gradients_show(kind):
    p = np.ones(40, np.float32)
    got = trained(kind(), p, [np.where(np.arange(40) == 17, np.nan, 1).astype(np.float32)])
    np.testing.assert_array_equal(np.isnan(got), np.arange(40) == 17)


@all_optimizers
def test_what_has_no_gradient_stays(kind):
    p = normal(50, np.float32)
    np.testing.assert_array_equal(trained(kind(weight_decay=0), p, [np.zeros_like(p)] * 3), p)


def test_bias_correction_is_not_rounded_to_float32():
    """The first step of Adam is lr, whatever the betas: 1 - beta in float32 would be off by 5e-5 and more."""
    p = trained(Adam(lr=1, beta1=0.999, beta2=0.99999, eps=0), np.zeros(40, np.float32), [np.full(40, 3, np.float32)])
    np.testing.assert_allclose(p, -1, rtol=4e-7)


# Settings.


@pytest.mark.parametrize(
    ("optimizer", "text", "n_states"),
    [
        (SGD(), "SGD(lr=0.01, weight_decay=0.0)", 0),
        (Momentum(0.1, 0.5), "Momentum(lr=0.1, momentum=0.5, weight_decay=0.0)", 1),
        (Nesterov(), "Nesterov(lr=0.01, momentum=0.9, weight_decay=0.0)", 1),
        (AdaGrad(), "AdaGrad(lr=0.01, eps=1e-10, weight_decay=0.0)", 1),
        (RMSprop(), "RMSprop(lr=0.01, decay_rate=0.99, eps=1e-08, weight_decay=0.0)", 1),
        (Adam(1), "Adam(lr=1.0, beta1=0.9, beta2=0.999, eps=1e-08, weight_decay=0.0)", 2),
        (AdamW(), "AdamW(lr=0.001, beta1=0.9, beta2=0.999, eps=1e-08, weight_decay=0.01)", 2),
    ],
)
def test_repr_equality_and_pickle(optimizer, text, n_states):
    assert repr(optimizer) == text
    assert optimizer.n_states == n_states
    assert optimizer == eval(text) == pickle.loads(pickle.dumps(optimizer))
    assert hash(optimizer) == hash(eval(text))
    assert all(optimizer != kind() for kind in ALL if kind is not type(optimizer))
    assert optimizer != type(optimizer)(lr=0.123)
    with pytest.raises(AttributeError):
        optimizer.lr = 0.5


def test_hyper():
    np.testing.assert_array_equal(Adam(0.1, 0.2, 0.3, 0.4, 0.5).hyper(), [0.2, 0.3, 0.4, 0.5])
    np.testing.assert_array_equal(SGD(0.1, 0.5).hyper(), [0, 0, 0, 0.5])
    np.testing.assert_array_equal(Nesterov(0.1, 0.2, 0.5).hyper(), [0.2, 0, 0, 0.5])
    np.testing.assert_array_equal(RMSprop(0.1, 0.2, 0.3, 0.5).hyper(), [0.2, 0, 0.3, 0.5])
    assert Adam().hyper().dtype == np.float64


def test_lr_at():
    assert SGD(lr=np.float32(0.5)).lr_at(7, 3) == 0.5
    assert SGD(lr=step_decay(0.4, 1, 0.5)).lr_at(7, 1) == 0.2
    assert SGD(lr=cosine(0.4, 10)).lr_at(10, 0) == 0
    assert type(SGD(lr=lambda step, epoch: np.float32(0.5)).lr_at(0, 0)) is float


@pytest.mark.parametrize("value", [math.nan, math.inf, -1])
def test_lr_at_refuses_what_a_schedule_may_not_return(value):
    params = {"W": np.ones(2)}
    optimizer = Momentum(lr=lambda step, epoch: value)
    with pytest.raises(ValueError, match=rf"lr at step 3, epoch 1 must be a finite number of at least 0, got {value}"):
        optimizer.lr_at(3, 1)
    with pytest.raises(ValueError, match="lr at step 0, epoch 0"):
        optimizer.update(params, {"W": np.ones(2)})
    np.testing.assert_array_equal(params["W"], 1)
    with pytest.raises(TypeError, match="lr at step 0, epoch 0 must be a finite number of at least 0, got None"):
        Momentum(lr=lambda step, epoch: None).lr_at(0, 0)


NUMBERS = {
    "lr": (ALL, "a finite number above 0", [0, -0.1]),
    "weight_decay": (ALL, "a finite number of at least 0", [-0.1]),
    "eps": ([AdaGrad, RMSprop, Adam, AdamW], "a finite number of at least 0", [-1e-8]),
    "momentum": ([Momentum, Nesterov], "a finite number of at least 0 below 1", [-0.1, 1, 1.5]),
    "decay_rate": ([RMSprop], "a finite number of at least 0 below 1", [-0.1, 1, 1.5]),
    "beta1": ([Adam, AdamW], "a finite number of at least 0 below 1", [-0.1, 1, 1.5]),
    "beta2": ([Adam, AdamW], "a finite number of at least 0 below 1", [-0.1, 1, 1.5]),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_bad_settings(name):
    kinds, expected, values = NUMBERS[name]
    for kind in kinds:
        for value in [*values, math.nan, math.inf, -math.inf]:
            with pytest.raises(ValueError) as caught:
                kind(**{name: value})
            assert str(caught.value) == f"{name} must be {expected}, got {value!r}"
        for value in [True, "0.1", None, 1j, [0.1], np.ones(1)]:
            with pytest.raises(TypeError) as caught:
                kind(**{name: value})
            assert str(caught.value) == f"{name} must be {expected}, got {value!r}"
        assert getattr(kind(**{name: 0.5}), name) == 0.5


def test_get_optimizer():
    names = ["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"]
    assert [get_optimizer(name) for name in names] == [kind() for kind in ALL]
    assert get_optimizer("Adam", lr=0.5) == Adam(lr=0.5)
    optimizer = SGD()
    assert get_optimizer(optimizer) is optimizer


def test_get_optimizer_refuses():
    with pytest.raises(ValueError, match=r"optimizer must be one of sgd, momentum, .*adamw, got 'lion'$"):
        get_optimizer("lion")
    with pytest.raises(TypeError, match="optimizer must be a name or an optimizer, got None"):
        get_optimizer(None)
    with pytest.raises(TypeError, match=r"settings go with the name of an optimizer, got SGD\(.*\) and lr"):
        get_optimizer(SGD(), lr=0.1)
    with pytest.raises(ValueError, match="got 'adma'; did you mean 'adam'"):
        get_optimizer("adma")
    with pytest.raises(TypeError, match="SGD has the settings lr, weight_decay, got 'momentum'"):
        get_optimizer("sgd", momentum=0.9)
