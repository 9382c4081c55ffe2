"""A picture of a search by successive halving: 27 candidates, digits, five folds.

``python -m fastbp.bench.search_picture PICTURE`` searches and draws it.
"""

import sys
import warnings
from typing import Any

import numpy as np

GRID: dict[str, list[Any]] = {
    "learning_rate_init": [1e-4, 1e-3, 1e-2],
    "alpha": [1e-4, 1e-2, 1.0],
    "hidden_layer_sizes": [(20,), (50,), (50, 50)],
}
SETTINGS: dict[str, Any] = {"random_state": 0, "max_iter": 54}
COLOURS = "#D55E00", "#0072B2", "#009E73"  # one for each learning rate


def search() -> dict[str, Any]:
    """The results of the search, a line for each candidate of each round."""
    from sklearn.datasets import load_digits

    from fastbp.sklearn import MLPClassifier, MLPSearchCV

    x, y = load_digits(return_X_y=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 54 epochs are not enough to converge
        return MLPSearchCV(MLPClassifier(**SETTINGS), GRID, halving=3, refit=False).fit(x, y).cv_results_


def draw(path: str, results: dict[str, Any]) -> None:
    """Draw each candidate's mean accuracy over the epochs that it was trained for."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    rounds = np.unique(results["n_resources"])
    for candidate in results["params"][: int(np.sum(results["iter"] == 0))]:
        rows = [k for k, params in enumerate(results["params"]) if params == candidate]
        colour = COLOURS[GRID["learning_rate_init"].index(candidate["learning_rate_init"])]
        epochs, scores = results["n_resources"][rows], results["mean_test_score"][rows]
        axes.plot(epochs, scores, color=colour, alpha=0.8, marker="o", markersize=3.5, linewidth=1.2)
    axes.set_xscale("log")
    names = [f"{n}\n{np.sum(results['n_resources'] == n)} candidates" for n in rounds[:-1]]
    axes.set_xticks(rounds, [*names, f"{rounds[-1]}\nthe best"])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("epochs")
    axes.set_ylabel("accuracy, mean of five folds")
    for rate, colour in zip(GRID["learning_rate_init"], COLOURS, strict=True):
        axes.plot([], [], color=colour, marker="o", markersize=3.5, label=f"learning_rate_init={rate}")
    axes.legend(frameon=False, loc="lower right")
    axes.grid(color="#dddddd", linewidth=0.6)
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "search"}):
        figure.savefig(path, metadata={"Date": None})


def main() -> int:
    """Search, and draw what was found."""
    (path,) = sys.argv[1:]
    draw(path, search())
    return 0


if __name__ == "__main__":
    sys.exit(main())
