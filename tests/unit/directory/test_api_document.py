"""The API is asked whatever its own document allows, and more (schemathesis): no request is an error of the server, and
each response is one that the document has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import CHECKS

from tests.support.directory_http import Client, Site
from voip.directory.endpoints import ENDPOINTS, Endpoint, document

EXAMPLES = 20
"""Of each path, of sense and of none."""
CHECKED = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance")
quick = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda each: each.name)
@pytest.mark.parametrize("sense", [True, False], ids=["sense", "nonsense"])
def test_every_response_is_one_that_the_document_has(site: Site, endpoint: Endpoint, sense: bool) -> None:
    schema = schemathesis.openapi.from_dict(document("1.0"))
    schema.config.update(base_url=site.url)
    operation = schema[endpoint.path][endpoint.method]
    modes: Any = schemathesis.GenerationMode.POSITIVE if sense else schemathesis.GenerationMode.NEGATIVE
    checks = [CHECKS.get_one(name) for name in CHECKED]

    @quick
    @given(case=operation.as_strategy(generation_mode=modes))
    def ask(case: Any) -> None:  # noqa: ANN401
        case.call_and_validate(checks=checks)

    ask()
    assert site.failures.count == 0


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize("compat", ["", "?compat=1"])
def test_fields_of_any_kind_are_no_error_of_the_server(site: Site, compat: str) -> None:
    """Ids that exist are among them, so that requests come further than to the first check."""
    client = Client(site.port)
    users = [client.register(name) for name in ("anna", "berta")]
    call_id = client.signal("initiate", users[0], target_user_id=users[1]).body["call_id"]
    known = st.sampled_from([*users, call_id, "anna"])
    names = sorted({field.name for endpoint in ENDPOINTS for field in endpoint.fields})
    body = st.dictionaries(st.sampled_from(names), known | values, max_size=6)
    posted = st.sampled_from([endpoint for endpoint in ENDPOINTS if endpoint.method == "POST"])

    @settings(quick, max_examples=400)
    @given(endpoint=posted, fields=body)
    def ask(endpoint: Endpoint, fields: dict[str, object]) -> None:
        required = {field.name: users[0] for field in endpoint.fields if field.required}
        response = client.ask("POST", endpoint.path + compat, {**required, **fields})
        assert response.status < 500

    ask()
    client.close()
    assert site.failures.count == 0
