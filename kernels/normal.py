"""The normal distribution, for GELU: its density and its upper tail, as straight code around one exponential."""

from ._jit import kernel
from .elementary import exp_nonpositive
from .memory import like, size_of

DENSITY_AT_0 = 0.3989422804014326779  # 1 / sqrt(2 pi)


@kernel(inline=True)
def _scaled_tail32(u):
    """``exp(u^2 / 2) Q(u)`` for 0 <= u <= 14.5, within 5e-9 of itself; Q is the upper tail."""
    s = like(1.0, u) / (like(1.0, u) + like(0.3, u) * u)
    z = like(2.4597701149425287, u) * s - like(1.4597701149425287, u)
    p = like(-6.357087739e-6, u) * z + like(1.737691058e-6, u)
    p = p * z + like(8.118428893e-5, u)
    p = p * z + like(-4.329982731e-5, u)
    p = p * z + like(-0.001007516783, u)
    p = p * z + like(-0.0002962605573, u)
    p = p * z + like(0.01516380295, u)
    p = p * z + like(0.06765072818, u)
    p = p * z + like(0.1625160831, u)
    p = p * z + like(0.2559398961, u)
    return p * s


@kernel(inline=True)
def _scaled_tail64(u):
    """As ``_scaled_tail32`` for 0 <= u <= 39, within 2e-17 of itself."""
    s = like(1.0, u) / (like(1.0, u) + like(0.2, u) * u)
    z = like(2.2564102564102564, u) * s - like(1.2564102564102564, u)
    p = like(-2.234980489704985305e-12, u) * z + like(-3.41441253096533297e-11, u)
    p = p * z + like(5.38596862208933865e-11, u)
    p = p * z + like(4.369695884786909165e-10, u)
    p = p * z + like(-6.989277905610258433e-10, u)
    p = p * z + like(-3.746242666048573701e-9, u)
    p = p * z + like(6.964534505223477906e-9, u)
    p = p * z + like(3.206210814907954635e-8, u)
    p = p * z + like(-5.902496730460374084e-8, u)
    p = p * z + like(-3.16852039207619171e-7, u)
    p = p * z + like(3.712960308126764288e-7, u)
    p = p * z + like(3.561970180814234511e-6, u)
    p = p * z + like(8.942226209247295109e-7, u)
    p = p * z + like(-0.00003864551313818672265, u)
    p = p * z + like(-0.0001048702942073317327, u)
    p = p * z + like(0.000172549724006995065, u)
    p = p * z + like(0.002213075598044590914, u)
    p = p * z + like(0.009194586595106521485, u)
    p = p * z + like(0.0257340130270880171, u)
    p = p * z + like(0.05544369442075121553, u)
    p = p * z + like(0.09679797914995926025, u)
    p = p * z + like(0.1402452017328732281, u)
    p = p * z + like(0.170337928911767283, u)
    return p * s


@kernel(inline=True)
def normal(x):
    """The distribution function and the density at x, of float32 or float64.

    The polynomials interpolate ``exp(u^2 / 2) Q(u) (1 + c u)`` in 1 / (1 + c u), at the zeros of a Chebyshev polynomial
    and in 50 digits; the variable is an idea of Shepherd & Laframboise 1981, Math. Comp. 36. The error is a few
    units in the last place for |x| < 1, and grows with x^2 / 2 of them in the lower tail, where u^2 is rounded.
    """
    one, zero, most = like(1.0, x), like(0.0, x), like(14.5 if size_of(x) == 4 else 39.0, x)
    u = abs(x)
    u = most if u > most else u
    density = exp_nonpositive(like(-0.5, x) * u * u)
    tail = density * (_scaled_tail32(u) if size_of(x) == 4 else _scaled_tail64(u))
    return (tail if x < zero else one - tail), density * like(DENSITY_AT_0, x)
