"""The data files keep to `schema.json`, which refuses what would prove less than it seems to."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

VECTORS = Path(__file__).parents[2] / "vectors"


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def schema() -> Draft202012Validator:
    text = read(VECTORS / "schema.json")
    assert text["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    Draft202012Validator.check_schema(text)
    return Draft202012Validator(text)


def mutated(document: Any, mutation: dict[str, Any]) -> Any:
    """The document with a change, each place by its JSON Pointer."""
    document = copy.deepcopy(document)

    def parent(place: str) -> tuple[Any, str]:
        *way, field = place.split("/")[1:]
        at = document
        for step in way:
            at = at[int(step)] if isinstance(at, list) else at[step]
        return at, field

    for place in mutation.get("remove", []):
        at, field = parent(place)
        del at[field]
    for place, value in mutation.get("set", {}).items():
        at, field = parent(place)
        at[field] = value
    return document


def test_every_file_keeps_to_the_schema(schema: Draft202012Validator) -> None:
    files = sorted((VECTORS / "data").iterdir())
    assert len(files) > 10
    for file in files:
        errors = [f"{error.json_path} {error.message}" for error in schema.iter_errors(read(file))]
        assert not errors, f"{file.name}: {errors}"


def test_the_schema_refuses_what_it_can_tell(schema: Draft202012Validator) -> None:
    document = read(VECTORS / "data" / "idtech_enhanced.json")
    mutations = read(VECTORS / "tests" / "mutations.json")
    for mutation in mutations["both_refuse"]:
        assert not schema.is_valid(mutated(document, mutation)), f"it takes {mutation['what']}"
    for mutation in mutations["loader_refuses"]:
        assert schema.is_valid(mutated(document, mutation)), mutation["what"]
