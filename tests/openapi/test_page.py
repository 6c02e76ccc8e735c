"""The page in a real browser: it lists the routes, tries one, and asks no other host for anything."""

import json
from pathlib import Path

import pytest

from tests.architecture.generated import DamageableWorkspace
from tests.openapi.browser import opened
from tests.workspace import booted

pytestmark = pytest.mark.slow

CREATE = "#operations-users-create_user"
ANSWER = f"{CREATE} .live-responses-table .response"


@pytest.mark.parametrize("width", [375, 1280])
def test_routes_are_listed_and_a_user_is_created(
    fleet: DamageableWorkspace, fleet_url: str, tmp_path: Path, width: int
) -> None:
    user = {"username": f"ada{width}", "email": f"ada{width}@example.com"}
    with booted(fleet, "user_service", fleet_url) as address, opened(tmp_path) as page:
        page.open(f"{address}/docs", width, 800)
        count = page.wait_for("document.querySelectorAll('.opblock').length")
        listed = page.evaluate("document.body.innerText")

        page.evaluate(f"document.querySelector('{CREATE} button').click()")
        page.wait_for(f"document.querySelector('{CREATE} textarea') !== null")
        page.evaluate(
            "Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, 'value').set"
            f".call(document.querySelector('{CREATE} textarea'), {json.dumps(json.dumps(user))});"
            f"document.querySelector('{CREATE} textarea')"
            ".dispatchEvent(new Event('input', {bubbles: true}))"
        )
        page.evaluate(f"document.querySelector('{CREATE} .execute').click()")
        answer = page.wait_for(f"document.querySelector('{ANSWER}')?.innerText")
        overflow = page.evaluate("document.documentElement.scrollWidth")

    assert count == 13
    assert "/api/v1/users/{record_id}/deactivate" in listed
    assert answer.startswith("201")
    assert user["username"] in answer
    assert overflow <= width
    assert page.complaints == []
    origin = address.removesuffix("/api/v1")
    assert f"{address}/users" in page.requested
    assert [one for one in page.requested if not one.startswith((f"{origin}/", "data:"))] == []
