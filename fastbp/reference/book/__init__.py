"""``fastbp.book`` in plain NumPy, module by module: what a script of the book computes with the book's own."""
