"""Activation functions: for each, what becomes of a run of numbers, and what becomes of their gradient.

A function has two kernels of one form each, which a program or a product calls through their addresses: adding a
function adds two kernels, and no caller changes.

``function(x, y, n, number)``
    y = f(x) for ``n`` elements from the addresses ``x`` and ``y`` on, which are the same or do not overlap. (One loop
    for both would not be vectorised where they are the same.)
``function_back(d, at, n, number)``
    The gradient with respect to y, at address ``d``, becomes that with respect to x, in place. At ``at`` stands y for
    relu, leaky_relu, sigmoid, tanh, elu, selu and softplus, and x for gelu, gelu_tanh, silu and mish. For leaky_relu of
    a slope below 0 it is x too, for y has not the sign of x then.

``number`` is leaky_relu's slope and elu's alpha of at least 0, and names the element type, float32 or float64. NaN
stays NaN. Nothing is checked.
"""

from ._jit import kernel
from .elementary import exp_nonpositive, expm1_nonpositive, log1p, logistic, logistic_and_rest
from .elementary import tanh as tanh_of
from .memory import like, view
from .normal import normal
from .simd import interleave

# Klambauer et al. 2017: the fixed point of mean 0 and variance 1.
SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946
# Hendrycks & Gimpel 2016: GELU by tanh.
ROOT_2_OVER_PI = 0.7978845608028653559
CUBE = 0.044715


@kernel(inline=True)
def _relu(x, number):
    zero = like(0.0, x)
    return zero if x <= zero else x


@kernel
def relu(x, y, n, number):
    """``y = 0 where x <= 0, else x``."""
    given, out = view(x, n, number), view(y, n, number)
    if x == y:
        for i in range(out.size):
            out[i] = _relu(out[i], number)
    else:
        for i in range(out.size):
            out[i] = _relu(given[i], number)


@kernel
def relu_back(d, at, n, number):
    """``d = 0 where y <= 0``, even if it is not finite there."""
    d, y, zero = view(d, n, number), view(at, n, number), like(0.0, number)
    for i in range(d.size):
        given = d[i]  # read in any case: without masked loads, a loop that may not read is not vectorised
        d[i] = zero if y[i] <= zero else given


@kernel(inline=True)
def _leaky_relu(x, number):
    return number * x if x <= like(0.0, x) else x


@kernel
def leaky_relu(x, y, n, number):
    """``y = slope x where x <= 0, else x``."""
    given, out = view(x, n, number), view(y, n, number)
    if x == y:
        for i in range(out.size):
            out[i] = _leaky_relu(out[i], number)
    else:
        for i in range(out.size):
            out[i] = _leaky_relu(given[i], number)


@kernel
def leaky_relu_back(d, at, n, number):
    """``d = slope d where y <= 0``."""
    d, y, zero = view(d, n, number), view(at, n, number), like(0.0, number)
    for i in range(d.size):
        d[i] = number * d[i] if y[i] <= zero else d[i]


@kernel(inline=True)
def _sigmoid(x, number):
    return logistic(x)


@kernel
def sigmoid(x, y, n, number):
    """``y = 1 / (1 + exp(-x))``."""
    given, out = view(x, n, number), view(y, n, number)
    if x == y:
        for i in range(out.size):
            out[i] = _sigmoid(out[i], number)
    else:
        for i in range(out.size):
            out[i] = _sigmoid(given[i], number)
    interleave()


@kernel
def sigmoid_back(d, at, n, number):
    """``d *= (1 - y) y``."""
    d, y, one = view(d, n, number), view(at, n, number), like(1.0, number)
    for i in range(d.size):
        d[i] = d[i] * (one - y[i]) * y[i]


@kernel(inline=True)
def _tanh(x, number):
    return tanh_of(x)


@kernel
def tanh(x, y, n, number):
    """``y = tanh(x)``."""
    given, out = view(x, n, number), view(y, n, number)
    if x == y:
        for i in range(out.size):
            out[i] = _tanh(out[i], number)
    else:
        for i in range(out.size):
            out[i] = _tanh(given[i], number)
    interleave()


@kernel
def tanh_back(d, at, n, number):
    """``d *= 1 - y y``."""
    d, y, one = view(d, n, number), view(at, n, number), like(1.0, number)
    for i in range(d.size):
        d[i] = d[i] * (one - y[i] * y[i])


@kernel(inline=True)
def _gelu(x, number):
    below, _ = normal(x)
    return x * below


@kernel
def gelu(x, y, n, number):
    """``y = x P(x)`` with P the normal distribution function (Hendrycks & Gimpel 2016)."""
    given, out = view(x, n, number), view(y, n, number)
    if x == y:
        for i in range(out.size):
            out[i] = _gelu(out[i], number)
    else:
        for i in range(out.size):
            out[i] = _gelu(given[i], number)
    interleave()


@kernel
def gelu_back(d, at, n, number):
    """``d *= P(x) + x p(x)`` with p the normal density."""
    d, x = view(d, n, number), view(at, n, number)
    for i in range(d.size):
        below, density = normal(x[i])
        d[i] = d[i] * (below + x[i] * density)
    interleave()


@kernel(inline=True)
def _doubled_cubic(x):
    """The even factor q of GELU's cubic, ``2 sqrt(2 / pi) (x + 0.044715 x^3) = x q``, and its 0.044715 x^2.

    From the bound on, the logistic function of x q is 0 or 1.
    """
    bound = like(1e4, x)
    square = x * x
    cube = like(CUBE, x) * (bound if square > bound else square)
    return like(2.0 * ROOT_2_OVER_PI, x) * (like(1.0, x) + cube), cube


@kernel(inline=True)
def _gelu_tanh(x, number):
    factor, _ = _doubled_cubic(x)
    return x * logistic(x * factor)


@kernel
def gelu_tanh(x, y, n, number):
    """``y = x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2``, by 1 + tanh(u) = 2 / (1 + exp(-2 u))."""
    given, out = view(x, n, number), view(y, n, number)
    if x == y:
        for i in range(out.size):
            out[i] = _gelu_tanh(out[i], number)
    else:
        for i in range(out.size):
            out[i] = _gelu_tanh(given[i], number)
    interleave()


@kernel
def gelu_tanh_back(d, at, n, number):
    """``d *= s + x s (1 - s) 2 sqrt(2 / pi) (1 + 3 * 0.044715 x^2)`` with s the logistic function in y."""
    d, x, one = view(d, n, number), view(at, n, number), like(1.0, number)
    for i in range(d.size):
        factor, cube = _doubled_cubic(x[i])
        s, rest = logistic_and_rest(x[i] * factor)
        slope = like(2.0 * ROOT_2_OVER_PI, x[i]) * (one + like(3.0, x[i]) * cube)
        d[i] = d[i] * (s + x[i] * s * rest * slope)
    interleave()


@kernel(inline=True)
def _silu(x, number):
    return x * logistic(x)


@kernel
def silu(x, y, n, number):
    """``y = x / (1 + exp(-x))``."""
    given, out = view(x, n, number), view(y, n, number)
    if x == y:
        for i in range(out.size):
            out[i] = _silu(out[i], number)
    else:
        for i in range(out.size):
            out[i] = _silu(given[i], number)
    interleave()


@kernel
def silu_back(d, at, n, number):
    """``d *= s (1 + x (1 - s))`` with s = 1 / (1 + exp(-x))."""
    d, x, one = view(d, n, number), view(at, n, number), like(1.0, number)
    for i in range(d.size):
        s, rest = logistic_and_rest(x[i])
        d[i] = d[i] * (s * (one + x[i] * rest))
    interleave()


@kernel(inline=True)
def _elu(x, number):
    zero = like(0.0, x)
    low = number * expm1_nonpositive(zero if x > zero else x)
    return low if x <= zero else x


@kernel
def elu(x, y, n, number):
    """``y = alpha (exp(x) - 1) where x <= 0, else x`` (Clevert et al. 2016)."""
    given, out = view(x, n, number), view(y, n, number)
    if x == y:
        for i in range(out.size):
            out[i] = _elu(out[i], number)
    else:
        for i in range(out.size):
            out[i] = _elu(given[i], number)
    interleave()


@kernel
def elu_back(d, at, n, number):
    """``d *= y + alpha where y <= 0``."""
    d, y, zero, one = view(d, n, number), view(at, n, number), like(0.0, number), like(1.0, number)
    for i in range(d.size):
        d[i] = d[i] * (y[i] + number if y[i] <= zero else one)


@kernel(inline=True)
def _selu(x, number):
    zero = like(0.0, x)
    low = like(SELU_SCALE * SELU_ALPHA, x) * expm1_nonpositive(zero if x > zero else x)
    return low if x <= zero else like(SELU_SCALE, x) * x


@kernel
def selu(x, y, n, number):
    """``y = scale alpha (exp(x) - 1) where x <= 0, else scale x`` (Klambauer et al. 2017)."""
    given, out = view(x, n, number), view(y, n, number)
    if x == y:
        for i in range(out.size):
            out[i] = _selu(out[i], number)
    else:
        for i in range(out.size):
            out[i] = _selu(given[i], number)
    interleave()


@kernel
def selu_back(d, at, n, number):
    """``d *= y + scale alpha where y <= 0, else scale``."""
    d, y, zero = view(d, n, number), view(at, n, number), like(0.0, number)
    scale, low_scale = like(SELU_SCALE, number), like(SELU_SCALE * SELU_ALPHA, number)
    for i in range(d.size):
        d[i] = d[i] * (y[i] + low_scale if y[i] <= zero else scale)


@kernel(inline=True)
def _mish_parts(x):
    """``w = tanh(log(1 + exp(x)))`` and ``1 - w``, each to its last places, by e = exp(-|x|).

    With n = exp(x) (exp(x) + 2), w = n / (n + 2); for x > 0 both are divided by exp(2 x).
    """
    one, two = like(1.0, x), like(2.0, x)
    e = exp_nonpositive(-abs(x))
    negative = x < like(0.0, x)
    top = e * (e + two) if negative else one + two * e
    rest = two if negative else two * e * e
    total = top + rest
    return top / total, rest / total


@kernel(inline=True)
def _mish(x, number):
    w, _ = _mish_parts(x)
    return x * w


@kernel
def mish(x, y, n, number):
    """``y = x tanh(log(1 + exp(x)))`` (Misra 2020)."""
    given, out = view(x, n, number), view(y, n, number)
    if x == y:
        for i in range(out.size):
            out[i] = _mish(out[i], number)
    else:
        for i in range(out.size):
            out[i] = _mish(given[i], number)
    interleave()


@kernel
def mish_back(d, at, n, number):
    """``d *= w + x (1 - w^2) / (1 + exp(-x))`` with w = tanh(log(1 + exp(x)))."""
    d, x, one = view(d, n, number), view(at, n, number), like(1.0, number)
    for i in range(d.size):
        w, rest = _mish_parts(x[i])
        d[i] = d[i] * (w + x[i] * rest * (one + w) * logistic(x[i]))


@kernel(inline=True)
def _softplus(x, number):
    zero = like(0.0, x)
    return (zero if x < zero else x) + log1p(exp_nonpositive(-abs(x)))


@kernel
def softplus(x, y, n, number):
    """``y = log(1 + exp(x))``, as max(x, 0) + log(1 + exp(-|x|))."""
    given, out = view(x, n, number), view(y, n, number)
    if x == y:
        for i in range(out.size):
            out[i] = _softplus(out[i], number)
    else:
        for i in range(out.size):
            out[i] = _softplus(given[i], number)
    interleave()


@kernel
def softplus_back(d, at, n, number):
    """``d *= 1 - exp(-y)``."""
    d, y = view(d, n, number), view(at, n, number)
    for i in range(d.size):
        d[i] = d[i] * -expm1_nonpositive(-y[i])
    interleave()
