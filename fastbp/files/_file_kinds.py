"""What a file is that is no model, told by how it begins, and what can be done with it."""

KINDS = {  # how a file begins to what it is
    b"PK\x03\x04": "a zip archive, as NumPy's .npz and torch.save's files are (fastbp.from_torch takes a state dict)",
    b"\x93NUMPY": "an array of NumPy, .npy, for --data or numpy.load",
    b"PAR1": "a table, .parquet, for --data",
    b"\x89HDF": "an HDF5 file, as Keras writes",
    b"\x1f\x8b": "compressed with gzip: unpack it first",
    b"\x80": "a pickle, which is never loaded (fastbp.from_torch takes a state dict)",
    b"\x08": "perhaps an ONNX graph, for which there is no way back",
}


def kind_of(beginning: bytes) -> str | None:
    """What a file is that begins with these bytes; None where that cannot be told."""
    if not beginning:
        return "empty"
    for magic, kind in KINDS.items():
        if beginning.startswith(magic):
            return kind
    text = beginning.decode(errors="ignore")  # a character may be cut at the end
    if len(text.encode()) < len(beginning) - 3 or not all(c.isprintable() or c in "\t\r\n" for c in text):
        return None
    if text.lstrip().startswith(("{", "[")):
        return "text, perhaps JSON"
    if text.startswith(("/*", '"""', "import ", "#include")):
        return "source code, as net.to_c and net.to_numpy write, for which there is no way back"
    if any(mark in text.partition("\n")[0] for mark in ",;\t"):
        return "a table of text, such as .csv, for --data"
    return "text" if text else None
