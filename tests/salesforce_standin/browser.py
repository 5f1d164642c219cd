"""A person at a browser without script: follows redirects up to the app's callback, fills in and submits forms."""

import base64
import hashlib
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

import requests

from tests.salesforce_standin.running import CLIENT_ID, CLIENT_SECRET

CALLBACK = "https://app.gptweb.example/callback"
VERIFIER = "a-verifier-of-at-least-forty-three-characters-0123456789"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
ADMIN, PASSWORD = "admin@gptweb.example", "pass-word"


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self.labels: set[str] = set()
        self.inputs: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.action = found["action"]
        if tag == "input":
            self.fields[found["name"]] = found.get("value", "")
            if found.get("type") != "hidden":
                self.inputs.add(found["id"])
        if tag == "label":
            self.labels.add(found["for"])


@dataclass
class Browser:
    """Where a person is, and what they see."""

    base: str
    http: requests.Session = field(default_factory=requests.Session)
    address: str = ""
    status: int = 0
    text: str = ""
    callback: dict[str, str] = field(default_factory=dict)

    def go(self, address: str, method: str = "GET", data: dict[str, str] | None = None) -> "Browser":
        """Open an address and follow it, but not off to the app."""
        self.callback = {}
        while True:
            reply = self.http.request(method, address, data=data, allow_redirects=False, timeout=10)
            self.address, self.status, self.text = address, reply.status_code, reply.text
            if reply.status_code != 302:
                return self
            method, data, address = "GET", None, urljoin(address, reply.headers["Location"])
            if not address.startswith(self.base):
                self.address, self.callback = address, dict(parse_qsl(urlsplit(address).query))
                return self

    def authorize(self, **changes: str) -> "Browser":
        """Start a connection as an app does."""
        parameters = {
            "response_type": "code", "client_id": CLIENT_ID, "redirect_uri": CALLBACK, "scope": "api refresh_token",
            "state": "st&te", "code_challenge": CHALLENGE, "code_challenge_method": "S256",
        }  # fmt: skip
        asked = {name: value for name, value in {**parameters, **changes}.items() if value}
        return self.go(f"{self.base}/services/oauth2/authorize?{urlencode(asked)}")

    @property
    def page(self) -> _Page:
        return _Page(self.text)

    def submit(self, **values: str) -> "Browser":
        page = self.page
        return self.go(urljoin(self.address, page.action), "POST", {**page.fields, **values})

    def log_in(self, username: str = ADMIN, password: str = PASSWORD) -> "Browser":
        return self.submit(username=username, pw=password)


def register(admin: Any, **changes: Any) -> None:
    """Give the first app our callback, and other settings."""
    reply = admin.patch(f"/standin/apps/{CLIENT_ID}", {"redirect_uris": [CALLBACK], **changes})
    assert reply.status_code == 200, reply.text


def code_of(browser: Browser, **changes: str) -> str:
    """Click through to a code."""
    browser.authorize(**changes)
    if "/login" in browser.address:
        browser.log_in()
    if not browser.callback:
        browser.submit(decision="approve")
    return browser.callback["code"]


def exchange(base: str, issued: str, **changes: str) -> requests.Response:
    form = {
        "grant_type": "authorization_code", "code": issued, "redirect_uri": CALLBACK, "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET, "code_verifier": VERIFIER,
    }  # fmt: skip
    return ask(base, **{**form, **changes})


def refresh(base: str, token: str, **changes: str) -> requests.Response:
    form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": CLIENT_ID}
    return ask(base, **{**form, **changes})


def ask(base: str, **form: str) -> requests.Response:
    sent = {name: value for name, value in form.items() if value}
    return requests.post(f"{base}/services/oauth2/token", data=sent, timeout=10)


def refusal(reply: requests.Response) -> tuple[str, str]:
    """What the token endpoint says it refuses."""
    assert reply.status_code == 400
    body = reply.json()
    return body["error"], body["error_description"]


def soap_login(base: str, username: str) -> requests.Response:
    envelope = (
        '<env:Envelope xmlns:env="http://schemas.xmlsoap.org/soap/envelope/"><env:Body>'
        f'<n1:login xmlns:n1="urn:partner.soap.sforce.com"><n1:username>{username}</n1:username>'
        f"<n1:password>{PASSWORD}</n1:password></n1:login></env:Body></env:Envelope>"
    )
    headers = {"Content-Type": "text/xml", "SOAPAction": "login"}
    return requests.post(f"{base}/services/Soap/u/59.0", data=envelope, headers=headers, timeout=5)
