"""Files of benchmark runs, made up."""

from fastbp.bench import results

LIMITS = {
    "gflops": {"float32": 100.0, "float64": 50.0},
    "gb_per_second": {"L1": {"copy": 200.0}, "L2": {"copy": 100.0}, "memory": {"copy": 20.0}},
    "holds_bytes": {"L1": 1000.0, "L2": 100_000.0},
}


def made_run(seconds, absent=(), versions=None, more=None):
    """The content of a run's file: ``seconds`` by row ("job name") and provider, one number a turn.

    ``absent`` are (row, provider, reason, failed); ``more`` what a row's entries say besides, by row.
    """
    benchmarks = [
        {
            "group": label,
            "stats": {"data": data},
            "extra_info": {
                "job": label.rpartition(" ")[0] or label,
                "row": label.rpartition(" ")[2],
                "provider": provider,
                "dtype": "float32",
                "threads": 1,
                "flops": 0.0,
                "bytes": 0.0,
                "compile_seconds": 0.25,
                "max_error": 1e-7,
                "facts": {},
                **(more or {}).get(label, {}),
            },
        }
        for label, row in seconds.items()
        for provider, data in row.items()
    ]
    machine = {
        "cores": 2,
        "commit": None,
        "versions": versions or {"fastbp": "0", "numpy": "2"},
        "limits": {"1": LIMITS},
    }
    return {
        "benchmarks": benchmarks,
        "absent": [dict(zip(("group", "provider", "reason", "failed"), one, strict=True)) for one in absent],
        "machine_info": {"cpu": {"brand_raw": "Some CPU"}, "python_version": "3.11", "fastbp": machine},
    }


def run_of(*arguments, **options):
    return results.parse(made_run(*arguments, **options))
