"""The frames of previews: what their headers allow."""

import pytest

pytestmark = pytest.mark.django_db(transaction=True)


def policy_of(response):
    rules = (rule.split(" ") for rule in response["Content-Security-Policy"].split("; "))
    return {name: values for name, *values in rules}


@pytest.mark.parametrize("kind", ["page", "diagram"])
async def test_a_frame_has_an_origin_of_its_own_and_no_network(async_client, kind):
    response = await async_client.get(f"/preview/{kind}")
    policy = policy_of(response)
    assert policy["sandbox"] == ["allow-scripts"]
    assert policy["default-src"] == policy["form-action"] == policy["base-uri"] == ["'none'"]
    assert policy["frame-ancestors"] == ["'self'"] and response["X-Frame-Options"] == "SAMEORIGIN"
    assert not {"connect-src", "frame-src", "child-src", "worker-src"} & policy.keys()
    scripts = [source for source in policy["script-src"] if source != "'unsafe-inline'"]
    assert scripts and all(source.startswith("http://testserver/static/") for source in scripts)
    assert response.cookies == {}


async def test_a_diagram_may_run_no_script_but_ours(async_client):
    page, diagram = [policy_of(await async_client.get(f"/preview/{kind}")) for kind in KINDS]
    assert (
        "'unsafe-inline'" in page["script-src"] and "'unsafe-inline'" not in diagram["script-src"]
    )


async def test_there_are_no_other_frames(async_client):
    assert (await async_client.get("/preview/other")).status_code == 404


KINDS = "page", "diagram"
