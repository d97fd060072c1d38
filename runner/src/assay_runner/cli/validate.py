"""`assay validate`: every document of a file, by the rules of the API server."""

from __future__ import annotations

import argparse

from assay_api.names import ExitCode
from assay_runner.cli.documents import read_documents, refuse_mistakes


def command(arguments: argparse.Namespace) -> int:
    """Print `name: ok` or one line per problem; 64 where there is any.

    Raises:
        InvalidInput: the text of the file is wrong, not only what it says.
    """
    documents = read_documents(arguments.filename)
    for document in documents:
        for problem in document.problems:
            print(f"{document.label}: {problem}")
        if not document.problems:
            print(f"{document.label}: ok")
    refuse_mistakes(arguments.filename, documents)
    return ExitCode.INVALID_INPUT if any(d.problems for d in documents) else ExitCode.PASSED
