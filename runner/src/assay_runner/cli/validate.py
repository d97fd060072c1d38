"""`assay validate`: every document of a file, by the rules of the API server."""

from __future__ import annotations

import argparse

from assay_api.names import ExitCode
from assay_runner.cli.documents import read_documents


def command(arguments: argparse.Namespace) -> int:
    """Print `name: ok` or one line per problem; 64 where there is any."""
    documents = read_documents(arguments.filename)
    for document in documents:
        for problem in document.problems:
            print(f"{document.label}: {problem}")
        if not document.problems:
            print(f"{document.label}: ok")
    return ExitCode.INVALID_INPUT if any(d.problems for d in documents) else ExitCode.PASSED
