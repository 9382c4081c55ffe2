"""The modules of "Deep Learning from Scratch", ``common`` and ``dataset``, by their names and with its signatures.

``from common.layers import *`` becomes ``from fastbp.book.layers import *``, and so on; with the same
``np.random.seed`` a script gets the numbers that it gets in NumPy. Layers here are those of ``fastbp``, or differ in
what their constructor takes and in where random numbers come from; the arithmetic is that of the same kernels.
"""
