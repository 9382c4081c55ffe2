"""The model file that several commands take."""

import argparse


def add_model_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a file that fastbp train --save or net.save has written")
