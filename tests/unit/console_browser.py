"""A browser as far as pages without scripts need one: cookies, forms as they were shown, and where they lead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final, Self
from urllib.parse import urlencode, urljoin, urlsplit

import httpx

from tests.unit.http_shop import PASSWORD

REDIRECTS_MAX: Final = 5
_NOT_TYPED: Final = frozenset({"checkbox", "radio", "submit", "button"})
_VOID: Final = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"})

Texts = str | Sequence[str] | None


@dataclass(slots=True)
class Form:
    """A form as it was shown: where it goes, and the fields that would be sent as they are."""

    action: str
    method: str
    fields: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def filled(self, typed: Mapping[str, Texts]) -> list[tuple[str, str]]:
        """Return what is sent once these were typed or ticked; None takes a field away."""
        sent = [(name, text) for name, text in self.fields if name not in typed]
        for name, texts in typed.items():
            sent += [(name, text) for text in ([texts] if isinstance(texts, str) else texts or ())]
        return sent


class Page(HTMLParser):
    """A page, read: its forms, links, ids and words."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__()
        self.status = answer.status_code
        self.path = answer.request.url.raw_path.decode()
        self.html = answer.text
        self.headers = answer.headers
        self.forms: list[Form] = []
        self.links: list[str] = []
        self.heading = ""
        self.words = ""
        self._open: list[str] = []
        self._select: tuple[str, list[tuple[str, bool]]] | None = None
        self._area: tuple[str, list[str]] | None = None
        self.feed(self.html)
        self.close()
        assert not self._open, f"{self.path} leaves {self._open} open"
        self.words = " ".join(self.words.split())
        self.heading = " ".join(self.heading.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: text or "" for name, text in attrs}
        if tag not in _VOID:
            self._open.append(tag)
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "form":
            self.forms.append(Form(given.get("action", self.path), given.get("method", "get").lower()))
        elif tag == "input":
            self._input(given)
        elif tag == "select":
            self._select = (given["name"], [])
        elif tag == "option" and self._select is not None:
            self._select[1].append((given["value"], "selected" in given))
        elif tag == "textarea":
            self._area = (given["name"], [])

    def _input(self, given: Mapping[str, str]) -> None:
        kind = given.get("type", "text")
        if "name" in given and self._is_in_form() and (kind not in _NOT_TYPED or "checked" in given):
            self.forms[-1].fields.append((given["name"], given.get("value", "on" if kind == "checkbox" else "")))

    def _is_in_form(self) -> bool:
        return "form" in self._open

    def handle_endtag(self, tag: str) -> None:
        # What a browser closes by itself is written out here as well.
        assert self._open, f"{self.path} closes {tag}, which is not open"
        assert self._open[-1] == tag, f"{self.path} closes {tag} where {self._open[-1]} is open"
        self._open.pop()
        if tag == "select" and self._select is not None:
            name, options = self._select
            chosen = [value for value, is_chosen in options if is_chosen] or [options[0][0]]
            self.forms[-1].fields.append((name, chosen[-1]))
            self._select = None
        elif tag == "textarea" and self._area is not None:
            self.forms[-1].fields.append((self._area[0], "".join(self._area[1]).removeprefix("\n")))
            self._area = None

    def handle_data(self, data: str) -> None:
        if self._area is not None:
            self._area[1].append(data)
        if "h1" in self._open:
            self.heading += data
        if "head" not in self._open:
            self.words += f" {data}"

    def form(self, path: str) -> Form:
        """Return the form that goes to this path."""
        found = [form for form in self.forms if urlsplit(form.action).path == path]
        assert found, f"{self.path} has no form that goes to {path}, but {[form.action for form in self.forms]}"
        return found[0]


class Browser:
    """Somebody's browser: the cookies that it was given, and the page that it is on."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._cookies = httpx.Cookies()
        self._page: Page | None = None

    @property
    def page(self) -> Page:
        """The page that it is on."""
        assert self._page is not None, "no page was loaded"
        return self._page

    @property
    def cookie(self) -> str:
        """What it sends along: the header's text."""
        return "; ".join(f"{name}={text}" for name, text in self._cookies.items())

    async def sign_in(self, email: str, password: str = PASSWORD) -> Self:
        """Sign in through the form."""
        await self.get("/console/sign-in")
        page = await self.submit("/console/sign-in", {"email": email, "password": password})
        assert page.status == 200, page.words
        assert page.path == "/console", page.words
        return self

    async def get(self, path: str, *, headers: Mapping[str, str] | None = None) -> Page:
        """Load a page, following where it leads."""
        return await self._load("GET", path, headers=headers)

    async def submit(self, path: str, typed: Mapping[str, Texts] | None = None, *, times: int = 1) -> Page:
        """Send the form of this page that goes to `path`, as often as said; return the page that the last led to."""
        form = self.page.form(path)
        sent = urlencode(form.filled(typed or {}))
        for _ in range(times):
            if form.method == "get":
                await self._load("GET", f"{path}?{sent}")
            else:
                await self._load("POST", path, sent)
        return self.page

    async def send(self, path: str, fields: Sequence[tuple[str, str]]) -> Page:
        """Send a form that need not be on any page, made up with these fields."""
        return await self._load("POST", path, urlencode(fields))

    async def _load(
        self, method: str, path: str, body: str | None = None, *, headers: Mapping[str, str] | None = None
    ) -> Page:
        for _ in range(REDIRECTS_MAX):
            answer = await self._ask(method, path, body, headers or {})
            if answer.status_code != 303:
                self._page = Page(answer)
                return self._page
            method, body, path = "GET", None, urljoin(path, answer.headers["location"])
        raise AssertionError(f"{path} leads on and on")

    async def _ask(self, method: str, path: str, body: str | None, headers: Mapping[str, str]) -> httpx.Response:
        own = dict(headers)
        if self._cookies:
            own["cookie"] = self.cookie
        if body is not None:
            own |= {"content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin"}
        answer = await self._client.request(method, path, content=body, headers=own)
        self._cookies.update(answer.cookies)
        # They are this browser's alone: the client is everybody's.
        self._client.cookies.clear()
        return answer
