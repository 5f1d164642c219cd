"""How people come in: the tab in Airflow, the log-in, the frame that lets nothing out, and strangers."""

from __future__ import annotations

SANDBOX = (
    "allow-scripts allow-same-origin allow-forms allow-downloads"  # as Airflow 3.3 frames pages of plugins
)


def test_the_tab_in_airflow_opens_our_page_in_the_whole_window(admin):
    admin.page.goto(admin.running.airflow)
    admin.page.get_by_role("link", name="CRM Sync").click()
    admin.page.wait_for_url(admin.running.home)
    assert admin.page.evaluate("window.top === window")
    assert admin.page.get_by_role("heading", name="Connections").is_visible()


def test_a_frame_like_airflows_says_what_does_not_work_and_its_link_does(admin):
    page = admin.page
    page.goto(admin.running.airflow)
    page.evaluate(
        "([source, sandbox]) => { const frame = document.createElement('iframe'); frame.setAttribute('sandbox', sandbox);"
        " frame.src = source; document.body.replaceChildren(frame); }",
        [admin.running.home, SANDBOX],
    )
    frame = page.frame_locator("iframe")
    link = frame.get_by_role("link", name="CRM Sync in its own window")
    with page.context.expect_page() as opened:
        link.click(modifiers=["Control"])
    opened.value.wait_for_load_state()
    assert opened.value.url == admin.running.home
    assert opened.value.evaluate("window.top === window")
    assert not opened.value.get_by_text("inside a frame").is_visible()
    assert page.evaluate("document.querySelector('iframe').getAttribute('sandbox')") == SANDBOX


def test_a_stranger_sees_airflows_log_in_and_nothing_of_ours(stranger, running):
    stranger.goto(running.home + "connections/salesforce_main")
    stranger.wait_for_url("**/auth/login**")
    assert "salesforce_main" not in stranger.content().replace("connections%2Fsalesforce_main", "")
    for path in ("api/v1/connections", "api/v1/openapi.json"):
        assert stranger.request.get(running.home + path).status == 401
    assert "login" in stranger.request.get(running.home + "static/app.js").url
