"""Every page: accessible, at both widths, in light and dark, without a complaint of the browser."""

from __future__ import annotations

import pytest

NAME = "salesforce_main"
TABS = (
    "activity",
    "conflicts",
    "parked",
    "settings",
    "mapping",
    "scope",
    "alerts",
    "trail",
    "erase",
    "reconciliations",
)
PAGES = {
    "connections": "", "connection": f"connections/{NAME}", "nothing": "connections/nobody",
    **{tab: f"connections/{NAME}/{tab}" for tab in TABS},
    "scope-value": f"connections/{NAME}/scope?object=lead&side=ours&field=total_score&op=%3E%3D&value=30",
    "scope-operator": f"connections/{NAME}/scope?object=contact&side=theirs&field=Title",
}  # fmt: skip


@pytest.mark.parametrize("name", PAGES)
def test_a_page(admin, axe, name):
    admin.go(PAGES[name])
    admin.errors[:] = [error for error in admin.errors if "404" not in error]
    admin.look_at(name, axe)


def test_a_viewer_may_look_but_not_touch(viewer):
    page = viewer.go(f"connections/{NAME}")
    assert page.get_by_role("heading", name=NAME).is_visible()
    refused = page.request.post(
        page.url + "/pause", headers={"Sec-Fetch-Site": "same-origin"}, max_redirects=0
    )
    assert refused.status == 403
    assert viewer.running.rows("select active from crm_sync.connection where name = %s", NAME) == [(True,)]
