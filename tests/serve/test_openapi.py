"""The description of the routes is true: what schemathesis makes of it is answered as it says, and never by a 5xx."""

import json
from itertools import count

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from puna.serve.library import Documents
from puna.serve.limits import Limits
from tests.serve.servers import serving

# What is well-formed may still be refused: an empty text, a model that is not there, more than there is room for.
CHECKS = (
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
)


@pytest.fixture(scope="module")
def described(reader, tmp_path_factory):
    """With a library, of which cases delete a document now and then."""
    documents = Documents(tmp_path_factory.mktemp("described") / "library", create=True)
    for number in range(100):
        documents.put(f"{number}.txt", f"Ann led walk {number}.".encode())
    limits = Limits(memory=8 << 20, shelf=8 << 20, tokens=4000, seconds=20.0)
    with serving(reader, limits, documents=documents) as running:
        schema = running.send("GET", "/openapi.json").body
        yield running, schemathesis.openapi.from_dict(schema)


def test_every_route_as_described(described) -> None:
    running, schema = described
    counts: dict[str, int] = {}
    statuses: dict[str, set[int]] = {}
    for result in schema.get_all_operations():
        cases(result.ok(), running, counts, statuses)()
    assert len(counts) == 17
    for label in ("GET /v1/documents", "GET /v1/documents/{document}", "DELETE /v1/documents/{document}"):
        assert 200 in statuses[label]  # not errors alone were compared
    assert running.complete(prompt="x", max_tokens=1)["choices"]


def cases(operation, running, counts: dict[str, int], statuses: dict[str, set[int]]):
    """A run of cases for an operation, with a model's name or a document that is there as often as not."""
    made = operation.as_strategy()
    ids = count(1)

    def named(case):
        if isinstance(case.body, dict) and "model" in case.body:
            case.body["model"] = running.model
        if "document" in (case.path_parameters or {}):
            case.path_parameters["document"] = str(next(ids))
        return case

    @settings(
        max_examples=8, deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=True
    )
    @given(case=st.one_of(made, made.map(named)))
    def asked(case) -> None:
        counts[operation.label] = counts.get(operation.label, 0) + 1
        answer = case.call_and_validate(base_url=running.url, checks=list(CHECKS))
        statuses.setdefault(operation.label, set()).add(answer.status_code)

    return asked


def test_the_document_names_keys_and_errors(described) -> None:
    running, _ = described
    schema = running.send("GET", "/openapi.json").body
    assert schema["openapi"].startswith("3.")
    for path, item in schema["paths"].items():
        for operation in item.values():
            if path != "/health":
                assert operation["security"] == [{"HTTPBearer": []}]
                assert {"400", "401", "429", "503"} <= operation["responses"].keys()
                assert "422" not in operation["responses"]
    assert "Faulty" in json.dumps(schema)
