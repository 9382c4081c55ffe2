"""What a command made of its data, before it trains on them: for people, and for programs."""

from typing import Any

import numpy as np

from fastbp.basics._arguments import few
from fastbp.tables._features import TableFeatures
from fastbp.tables._model import Model
from fastbp.tables._prepare import Prepared
from fastbp.tables._samples import Samples
from fastbp.tables._targets import Classes


def describe(model: Model, samples: Samples, data: Prepared) -> dict[str, Any]:
    """The samples, how their columns and the target are taken, and the split."""
    return {
        "rows": len(samples),
        "without_target": samples.left_out,
        "training": len(data.x),
        "validation": 0 if data.held is None else len(data.held[0]),
        "inputs": model.features.n_inputs,
        "features": _features(model, samples),
        "target": _target(model, samples),
    }


def _features(model: Model, samples: Samples) -> dict[str, Any]:
    features = model.features
    if not isinstance(features, TableFeatures):
        how = "standardised" if features.mean else f"times {features.scale:.6g}"
        return {"kind": "arrays", "shape": list(samples.x.shape[1:]), "taken": how}
    columns = features.columns
    taken = {column["name"] for column in columns}
    return {
        "kind": "table",
        "numbers": [c["name"] for c in columns if "mean" in c and "part" not in c],
        "dates": list(dict.fromkeys(c["name"] for c in columns if "part" in c)),
        "categories": {c["name"]: len(c["categories"]) for c in columns if "categories" in c},
        "left_out": [name for name in samples.x.names if name not in taken and name != samples.target],
    }


def _target(model: Model, samples: Samples) -> dict[str, Any]:
    targets, t = model.targets, samples.targets
    told: dict[str, Any] = {"name": samples.target, "whole": t.dtype.kind == "i"}
    if isinstance(targets, Classes):
        counts = np.bincount(targets.encode(t), minlength=len(targets.values)).tolist()
        return told | {"kind": "classes", "classes": {str(v): n for v, n in zip(targets.values, counts, strict=True)}}
    t = t.astype(np.float64) if t.dtype.kind == "O" else t
    different = len(np.unique(t)) if t.ndim == 1 else None
    return told | {"kind": "numbers", "least": float(t.min()), "most": float(t.max()), "different": different}


def lines(data: str, told: dict[str, Any], asked: bool) -> list[str]:
    """What was understood of the file ``data``, for people; ``asked`` says whether --loss says what the target is."""
    without = f", {told['without_target']} without a target left out" if told["without_target"] else ""
    features, validation = told["features"], told["validation"]
    split = f"{told['training']} to train on, " + (f"{validation} for validation" if validation else "no validation")
    stratified = ", of each class its share" if validation and told["target"]["kind"] == "classes" else ""
    left_out = [f"left out  {few(features['left_out'])}"] if features.get("left_out") else []
    return [
        f"rows      {told['rows']} of {data}{without}",
        *_input_lines(told["inputs"], features),
        *left_out,
        f"target    {_target_line(told['target'], asked)}",
        f"split     {split}{stratified}",
    ]


def _input_lines(n_inputs: int, features: dict[str, Any]) -> list[str]:
    if features["kind"] == "arrays":
        return [f"inputs    {n_inputs} numbers a sample, of shape {tuple(features['shape'])}, {features['taken']}"]
    kinds = []
    if features["numbers"]:
        kinds.append(f"numbers     {few(features['numbers'])}")
    if features["dates"]:
        kinds.append(f"dates       {few(features['dates'])}: year, month, day of week")
    if features["categories"]:
        kinds.append(f"categories  {few(f'{name} ({n})' for name, n in features['categories'].items())}")
    return [f"inputs    {n_inputs}, from", *("  " + kind for kind in kinds)]


def _target_line(target: dict[str, Any], asked: bool) -> str:
    if target["kind"] == "classes":
        classes = target["classes"]
        hint = "; --loss mse takes them as numbers" if target["whole"] and not asked else ""
        return f"{target['name']}, {len(classes)} classes: {few(f'{c} ({n})' for c, n in classes.items())}{hint}"
    what = f"{target['name']}, numbers from {target['least']:g} to {target['most']:g}"
    if target["whole"] and target["different"] and not asked:
        what += f", {target['different']} of them different; --loss softmax takes them as classes"
    return what
