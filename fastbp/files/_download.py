"""Fetching the files of MNIST and Fashion-MNIST once, checked, into the user's cache folder."""

from pathlib import Path

from fastbp.basics._extra import import_extra
from fastbp.files.idx import DatasetError

# Each data set's place, and the SHA-256 of its files as their authors published them.
SOURCES = {
    "mnist": "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "fashion-mnist": "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
}
SHA256 = {
    "mnist": {
        "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    },
    "fashion-mnist": {
        "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    },
}


def fetch(name: str) -> Path:
    """Return the folder with the files of the data set ``name``; what it lacks is downloaded.

    Raises DatasetError where there is no network or a file is not the published one, ImportError where pooch is not
    installed.
    """
    pooch = import_extra("pooch", "data")
    folder = Path(pooch.os_cache("fastbp")) / name
    hashes = {file: f"sha256:{digest}" for file, digest in SHA256[name].items()}
    store = pooch.create(folder, SOURCES[name], registry=hashes)
    for file in hashes:
        try:
            store.fetch(file)
        except (OSError, ValueError) as error:  # no network, no room; a file with another checksum
            reason = " ".join(str(error).split())
            raise DatasetError(
                f"{name} is downloaded from {SOURCES[name]}, which failed: {reason} "
                f"(with the files at hand: --data-dir, data_dir= or FASTBP_DATA_DIR)"
            ) from None
    return folder
