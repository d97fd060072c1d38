"""Statements of provenance, held to the schemas of in-toto and SLSA by in-toto's own bindings."""

from __future__ import annotations

import json
import re
from typing import Any

from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement

DIGESTS = {"sha256": 64, "gitCommit": 40}
Raw = dict[str, Any]


def held(told: Raw) -> Raw:
    """The predicate of a statement that is as in-toto's Statement v1 and SLSA's Provenance v1 have it.

    Raises:
        AssertionError, ValueError, google.protobuf.json_format.ParseError: it is not.
    """
    parsed = json_format.Parse(json.dumps(told), statement_pb2.Statement())
    Statement.copy_from_pb(parsed).validate()
    assert told["predicateType"] == "https://slsa.dev/provenance/v1"
    predicate: Raw = told["predicate"]
    # Fields that it does not have are refused.
    found = json_format.Parse(json.dumps(predicate), provenance_pb2.Provenance())
    definition, run = found.build_definition, found.run_details
    assert all(re.fullmatch(r"[a-z]+:\S+", uri) for uri in (definition.build_type, run.builder.id))
    assert definition.external_parameters.fields, "what whoever started it could choose"
    assert run.metadata.started_on.ToDatetime() <= run.metadata.finished_on.ToDatetime()
    for each in (*definition.resolved_dependencies, *run.byproducts, *parsed.subject):
        ResourceDescriptor.copy_from_pb(each).validate()
        assert all(re.fullmatch(f"[0-9a-f]{{{DIGESTS[kind]}}}", value) for kind, value in each.digest.items()), each
    # What nobody has assessed nobody claims.
    assert "level" not in json.dumps(predicate).lower()
    return predicate
