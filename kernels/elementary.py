"""exp, log, tanh and the logistic function of one number, as straight code that a loop can be vectorised around.

numba calls the C library once an element, which takes ten times as long. The polynomials are minimax in the relative
error (Remez), computed for these reductions in 50 digits. There is one source for both types: the branch on the size
of the number is decided at compile time.

Largest error over every float32, in units in the last place: exp 1.03, log 0.83, logistic 2.44,
tanh 2.89 (``bench/ulp_exhaustive.py``).
The tests hold samples of both types to 2 for exp and log, to 4 for logistic and tanh.
"""

from llvmlite import ir
from numba.extending import intrinsic

from ._jit import kernel
from .memory import INFINITY, like, size_of

NAN = float("nan")
LOG2_E = 1.4426950408889634
MAGIC32, MAGIC64 = (
    1.5 * 2.0**23,
    1.5 * 2.0**52,
)  # added to a small number, leaves its nearest integer in the low bits
BIAS32 = 127  # of a float32's exponent


def _layout(number):
    """Integer type, mantissa bits and exponent bias of a floating-point type of numba's."""
    return (ir.IntType(32), 23, 127) if number.bitwidth == 32 else (ir.IntType(64), 52, 1023)


@intrinsic
def _times_power_of_two(typingctx, x, shifted):
    """``x 2^n`` for n + magic = ``shifted``, rounded once, also where 2^n alone would overflow or be subnormal."""

    def codegen(context, builder, signature, arguments):
        integer, mantissa, bias = _layout(x)
        value, shifted = arguments
        low_bits = builder.bitcast(shifted, integer)
        magic = (bias + mantissa) << mantissa | 1 << (mantissa - 1)
        n = builder.sub(low_bits, ir.Constant(integer, magic))
        half = builder.ashr(n, ir.Constant(integer, 1))
        for exponent in (half, builder.sub(n, half)):
            bits = builder.shl(builder.add(exponent, ir.Constant(integer, bias)), ir.Constant(integer, mantissa))
            value = builder.fmul(value, builder.bitcast(bits, value.type))
        return value

    return x(x, x), codegen


@intrinsic
def _times_small_power_of_two(typingctx, x, shifted):
    """As ``_times_power_of_two`` in fewer steps, for x about 1 and n <= 0: first times 2^(n + e), then times 2^-e."""

    def codegen(context, builder, signature, arguments):
        integer, mantissa, bias = _layout(x)
        value, shifted = arguments
        up = bias // 2 + 1
        # The shift pushes the bits of the magic number out and leaves n where an exponent stands.
        n = builder.shl(builder.bitcast(shifted, integer), ir.Constant(integer, mantissa))
        power = builder.bitcast(builder.add(n, ir.Constant(integer, (bias + up) << mantissa)), value.type)
        return builder.fmul(builder.fmul(value, power), ir.Constant(value.type, 2.0**-up))

    return x(x, x), codegen


@intrinsic
def _power_of_two(typingctx, shifted):
    """2^n for n + magic = ``shifted``, where it is neither subnormal nor infinite."""

    def codegen(context, builder, signature, arguments):
        integer, mantissa, bias = _layout(shifted)
        n = builder.shl(builder.bitcast(arguments[0], integer), ir.Constant(integer, mantissa))
        return builder.bitcast(builder.add(n, ir.Constant(integer, bias << mantissa)), arguments[0].type)

    return shifted(shifted), codegen


@intrinsic
def _as_exponent(typingctx, shifted):
    """2^n for n + magic + bias = ``shifted``, where it is neither subnormal nor infinite: a shift."""

    def codegen(context, builder, signature, arguments):
        integer, mantissa, _ = _layout(shifted)
        bits = builder.shl(builder.bitcast(arguments[0], integer), ir.Constant(integer, mantissa))
        return builder.bitcast(bits, arguments[0].type)

    return shifted(shifted), codegen


@intrinsic
def _with_sign_of(typingctx, x, sign):
    """The absolute value of x with the sign of ``sign``, that of a zero or a NaN included."""

    def codegen(context, builder, signature, arguments):
        kind = arguments[0].type
        signature = ir.FunctionType(kind, [kind, kind])
        function = builder.module.declare_intrinsic("llvm.copysign", [kind], signature)
        return builder.call(function, arguments)

    return x(x, x), codegen


@intrinsic
def _exponent(typingctx, x):
    """The n of ``x = m 2^n`` with 1/sqrt(2) <= m < sqrt(2), as a number of the type of x; x > 0 and normal."""

    def codegen(context, builder, signature, arguments):
        integer, mantissa, bias = _layout(x)
        bits = builder.bitcast(arguments[0], integer)
        root_half = 0x3504F3 if mantissa == 23 else 0x6A09E667F3BCD  # mantissa bits of sqrt(2)
        carried = builder.add(bits, ir.Constant(integer, (1 << mantissa) - root_half))
        n = builder.sub(builder.ashr(carried, ir.Constant(integer, mantissa)), ir.Constant(integer, bias))
        return builder.sitofp(n, arguments[0].type)

    return x(x), codegen


@kernel(inline=True)
def _exp_tail32(r):
    """(exp(r) - 1 - r) / r^2 for |r| <= ln(2) / 2, to 0.05 of a float32's last place of exp(r)."""
    p = like(0.001381459865, r)
    p = p * r + like(0.00836871688, r)
    p = p * r + like(0.04166838805, r)
    p = p * r + like(0.1666652063, r)
    return p * r + like(0.4999999345, r)


@kernel(inline=True)
def _exp_tail64(r):
    """(exp(r) - 1 - r) / r^2 for |r| <= ln(2) / 2, to 0.03 of a float64's last place of exp(r)."""
    p = like(2.50000616255312796e-8, r)
    p = p * r + like(2.76302483853230206e-7, r)
    p = p * r + like(2.7557586373785181e-6, r)
    p = p * r + like(2.48014930988873915e-5, r)
    p = p * r + like(0.000198412695065787239, r)
    p = p * r + like(0.00138888889436301342, r)
    p = p * r + like(0.00833333333349446166, r)
    p = p * r + like(0.0416666666665301585, r)
    p = p * r + like(0.166666666666664125, r)
    return p * r + like(0.500000000000001063, r)


@kernel(inline=True)
def _exp_parts(x):
    """``n + magic`` and ``exp(r) - 1``, for x = n ln 2 + r.

    ln 2 is in two pieces, the first short enough that n times it is exact.
    """
    if size_of(x) == 4:
        magic = like(MAGIC32, x)
        ln2_head, ln2_tail = like(0.693359375, x), like(-2.12194440054690583e-4, x)
    else:
        magic = like(MAGIC64, x)
        ln2_head, ln2_tail = like(0.693147180369123816490, x), like(1.90821492927058770002e-10, x)
    shifted = x * like(LOG2_E, x) + magic
    n = shifted - magic
    r = (x - n * ln2_head) - n * ln2_tail
    tail = _exp_tail32(r) if size_of(x) == 4 else _exp_tail64(r)
    return shifted, tail * r * r + r


@kernel(inline=True)
def exp(x):
    """exp(x) for float32 or float64, subnormal results included; exact at 0, infinities and NaN."""
    low, high = like(-104.0 if size_of(x) == 4 else -746.0, x), like(89.0 if size_of(x) == 4 else 710.0, x)
    at = low if x < low else x  # NaN stays NaN in both lines
    at = high if at > high else at
    shifted, rest = _exp_parts(at)
    return _times_power_of_two(rest + like(1.0, x), shifted)


@kernel(inline=True)
def exp_nonpositive(x):
    """exp(x) for x <= 0 or NaN, in fewer steps: what softmax and the logistic function need."""
    low = like(-104.0 if size_of(x) == 4 else -746.0, x)
    shifted, rest = _exp_parts(low if x < low else x)
    return _times_small_power_of_two(rest + like(1.0, x), shifted)


@kernel(inline=True)
def _log_tail32(z):
    """(log((1 + s) / (1 - s)) - 2 s) / s^3 for z = s^2 <= 0.0295."""
    p = like(0.235822932458122552, z)
    p = p * z + like(0.285373015125262156, z)
    p = p * z + like(0.400003352938200555, z)
    return p * z + like(0.666666656450396574, z)


@kernel(inline=True)
def _log_tail64(z):
    """As ``_log_tail32``, to 0.01 of a float64's last place."""
    p = like(0.147961055559574759, z)
    p = p * z + like(0.153140358143240832, z)
    p = p * z + like(0.181835648679547552, z)
    p = p * z + like(0.222221985634492917, z)
    p = p * z + like(0.285714287424753832, z)
    p = p * z + like(0.399999999994143178, z)
    return p * z + like(0.666666666666673446, z)


@kernel(inline=True)
def _log_of(f, n):
    """``n ln 2 + log(1 + f)`` for 1/sqrt(2) <= 1 + f < sqrt(2).

    With s = f / (2 + f): log(1 + f) = f - (f^2 / 2 - s (f^2 / 2 + s^2 tail)), so that the largest term is exact (the
    form of fdlibm's ``e_log.c``, Sun Microsystems 1993).
    """
    if size_of(f) == 4:
        ln2_head, ln2_tail = like(0.693359375, f), like(-2.12194440054690583e-4, f)
    else:
        ln2_head, ln2_tail = like(0.693147180369123816490, f), like(1.90821492927058770002e-10, f)
    s = f / (like(2.0, f) + f)
    z = s * s
    tail = _log_tail32(z) if size_of(f) == 4 else _log_tail64(z)
    square = like(0.5, f) * f * f
    return n * ln2_head - ((square - (s * (square + z * tail) + n * ln2_tail)) - f)


@kernel(inline=True)
def _log_parts(x):
    """``f`` and ``n`` of x = 2^n (1 + f), for ``_log_of``; x > 0 and normal."""
    n = _exponent(x)
    magic = like(MAGIC32 if size_of(x) == 4 else MAGIC64, x)
    return _times_power_of_two(x, magic - n) - like(1.0, x), n


@kernel(inline=True)
def _log_ends(x, result):
    """``result``, and what log(x) is where x is not a positive number."""
    result = x if x == like(INFINITY, x) else result
    result = like(-INFINITY, x) if x == like(0.0, x) else result
    return result if x >= like(0.0, x) else like(NAN, x)


@kernel(inline=True)
def log(x):
    """Natural logarithm for float32 or float64: -inf at 0, NaN below."""
    if size_of(x) == 4:
        least, up, places = like(2.0**-126, x), like(2.0**24, x), like(24.0, x)
    else:
        least, up, places = like(2.0**-1022, x), like(2.0**53, x), like(53.0, x)
    f, n = _log_parts(x * up if x < least else x)
    n = n - places if x < least else n
    return _log_ends(x, _log_of(f, n))


@kernel(inline=True)
def log1p(x):
    """log(1 + x), with full relative accuracy also where x is tiny: -inf at -1, NaN below."""
    y = like(1.0, x) + x
    f, n = _log_parts(y)
    near = (x > like(-0.29, x)) & (x < like(0.41, x))  # there 1 + x needs no rounding: it is never formed
    f, n = x if near else f, like(0.0, x) if near else n
    return _log_ends(y, _log_of(f, n))


# exp(2 r) = (q + r) / (q - r) with q = r / tanh(r), an even function whose series is short. Where a quotient is what is
# wanted, as in the next functions, that takes fewer steps than exp, and they wait less for one another.


@kernel(inline=True)
def _odds32(x):
    """As ``_odds``. q is right to 0.04 of a float32's last place."""
    one, up = like(1.0, x), 64  # so many binary places up nothing is subnormal
    size, most = abs(x), like(104.0, x)
    size = most if size > most else size
    magic = like(MAGIC32 + BIAS32 + up, x)
    shifted = size * like(-LOG2_E, x) + magic
    n = shifted - magic
    # Half of ln 2 in two pieces, as in _exp_parts.
    r = (size * like(0.5, x) + n * like(0.3466796875, x)) + n * like(-1.060972200453e-4, x)
    square = r * r
    q = (like(-0.02213402350657695, x) * square + like(0.3333325151877034, x)) * square + one
    return (q - r) * _as_exponent(shifted) * like(2.0**-up, x), q + r


@kernel(inline=True)
def _odds(x):
    """Two numbers whose quotient is exp(-|x|), the second about 1."""
    if size_of(x) == 4:
        return _odds32(x)
    return exp_nonpositive(-abs(x)), like(1.0, x)


@kernel(inline=True)
def logistic(x):
    """1 / (1 + exp(-x)), with full relative accuracy also where it is tiny."""
    low, high = _odds(x)
    return (low if x < like(0.0, x) else high) / (high + low)


@kernel(inline=True)
def logistic_and_rest(x):
    """``logistic(x)`` and what it lacks to 1, ``logistic(-x)``, each with full relative accuracy."""
    low, high = _odds(x)
    share = like(1.0, x) / (high + low)
    negative = x < like(0.0, x)
    return (low if negative else high) * share, (high if negative else low) * share


@kernel(inline=True)
def expm1_nonpositive(x):
    """exp(x) - 1 for x <= 0 or NaN, to its last places however small it is.

    2^n (exp(r) - 1) + (2^n - 1): near 0, where n is 0, that is exp(r) - 1, and where n is -1 or less the two terms
    cannot cancel.
    """
    one, low = like(1.0, x), like(-80.0, x)  # from -38 on it is -1 in either type
    shifted, rest = _exp_parts(low if x < low else x)
    power = _power_of_two(shifted)
    return power * rest + (power - one)


@kernel(inline=True)
def _tanh32(x):
    """With -2 |x| = (n + r) ln 2 and p = 2^n: ((1 - p) q - (1 + p) r) / ((1 + p) q - (1 - p) r).

    q = r / tanh(r ln(2) / 2), to 0.03 of a float32's last place. Its first number is that by which x is multiplied, in
    float32 too: what both are rounded by falls out where x is small.
    """
    one, least = like(1.0, x), like(-30.0, x)  # from -26 on the result is 1
    at = abs(x) * like(-2.0 * LOG2_E, x)
    at = least if at < least else at
    magic = like(MAGIC32 + BIAS32, x)
    shifted = at + magic
    r = at - (shifted - magic)
    square = r * r
    q = (like(-0.0009211178018042956, x) * square + like(0.1155241607430358, x)) * square + like(2.0 * LOG2_E, x)
    power = _as_exponent(shifted)
    less, more = one - power, one + power
    return _with_sign_of((q * less - r * more) / (q * more - r * less), x)


@kernel(inline=True)
def tanh(x):
    """The hyperbolic tangent: one path for every size of x."""
    if size_of(x) == 4:
        return _tanh32(x)
    two = like(2.0, x)
    m = expm1_nonpositive(-two * abs(x))
    return _with_sign_of(m / (two + m), x)
