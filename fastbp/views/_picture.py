"""The figures that fastbp draws; imported only where matplotlib is installed."""

import io

from matplotlib.figure import Figure


class Picture(Figure):
    """A Figure that a notebook shows as the last expression of a cell, also where pyplot is not imported."""

    def _repr_png_(self) -> bytes:
        """What IPython asks an object for."""
        image = io.BytesIO()
        self.savefig(image, format="png")
        return image.getvalue()
