"""The pages that a person sees: log-in, consent, and why neither goes on. Plain forms, no script."""

from __future__ import annotations

from html import escape

from salesforce_standin.http_call import Reply

_HTML = "text/html;charset=UTF-8"
_STYLE = (
    "body{font:16px/1.5 sans-serif;background:#f3f3f3;margin:0}main{max-width:24rem;margin:4rem auto;padding:2rem;"
    "background:#fff;border:1px solid #ccc;border-radius:4px}h1{font-size:1.25rem}label{display:block;margin-top:1rem}"
    "input[type=text],input[type=email],input[type=password]{box-sizing:border-box;width:100%;font:inherit;"
    "padding:.5rem}button{font:inherit;padding:.5rem 1rem;margin:1.5rem .5rem 0 0}[role=alert]{color:#b00020}"
)
_SCOPES = {
    "refresh_token": "Perform requests at any time",
    "full": "Full access",
    "api": "Manage user data via APIs",
    "web": "Manage user data via web browsers",
    "id": "Access the identity URL service",
    "openid": "Access unique user identifiers",
    "profile": "Access the profile",
    "email": "Access the email address",
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}


def page(title: str, body: str, status: int = 200) -> Reply:
    """Return a page; ``body`` is HTML."""
    text = (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)} | Salesforce</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body><main><h1>{escape(title)}</h1>{body}</main></body></html>\n"
    )
    return Reply(status, text.encode(), dict(_HEADERS), content_type=_HTML)


def login(start: str, username: str, problem: str = "") -> Reply:
    """Return the log-in form, which leads on to ``start``."""
    alert = f'<p role="alert" id="error">{escape(problem)}</p>' if problem else ""
    return page(
        "Log in",
        f'{alert}<form method="post" action="/login" id="login_form">'
        f'<input type="hidden" name="startURL" value="{escape(start)}">'
        '<label for="username">Username</label>'
        f'<input type="text" id="username" name="username" autocomplete="username" autocapitalize="none" required value="{escape(username)}">'
        '<label for="password">Password</label>'
        '<input type="password" id="password" name="pw" autocomplete="current-password" required>'
        '<button type="submit" id="Login" name="Login">Log In</button></form>',
    )


def consent(app: str, username: str, scopes: list[str], action: str, proof: str) -> Reply:
    """Return the question whether an app may act for a user."""
    items = "".join(f"<li>{escape(_SCOPES.get(scope, scope))} ({escape(scope)})</li>" for scope in scopes)
    return page(
        "Allow Access?",
        f"<p>{escape(app)} is asking to:</p><ul>{items}</ul>"
        f'<p>You are logged in as {escape(username)}. <a href="/secur/logout.jsp">Not you?</a></p>'
        f'<form method="post" action="{escape(action)}">'
        f'<input type="hidden" name="proof" value="{escape(proof)}">'
        '<button type="submit" id="oaapprove" name="decision" value="approve">Allow</button>'
        '<button type="submit" id="oadeny" name="decision" value="deny">Deny</button></form>',
    )


def stopped(code: str, description: str) -> Reply:
    """Return the page of a request that can't be answered to its callback address."""
    body = f'<p role="alert">error={escape(code)}&amp;error_description={escape(description)}</p>'
    return page("We can't authorize you because of an OAuth error", body, 400)


def redirect(address: str) -> Reply:
    """Send the browser elsewhere."""
    return Reply(302, headers={"Location": address, "Referrer-Policy": "no-referrer"})
