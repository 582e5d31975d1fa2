"""The portal's side of a hub's REST API, with the narrow token that meters."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Self

import httpx
from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from provisioning.gateways.base import GatewayError

PAGED = "application/jupyterhub-pagination+json"
PAGE_SIZE = 100
_LISTINGS = 3


class HubUnreachableError(GatewayError):
    """The hub did not answer, or not now; a later call may find it."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"the hub at {url} does not answer: {reason}", permanent=False)


class HubRefusedError(GatewayError):
    """The hub answered and said no: repeating will not help."""

    def __init__(self, url: str, status: int, said: str) -> None:
        super().__init__(f"the hub refused {url} with status {status}: {said or 'no reason given'}", permanent=True)


class UnexpectedAnswerError(GatewayError):
    """The hub's answer is not of the shape its version promises."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"the hub's answer from {url} is not understood: {reason}", permanent=True)


@dataclass(frozen=True, kw_only=True)
class RunningServer:
    """A server that the hub lists as active, ready or still starting."""

    user_name: str
    server_name: str
    started: datetime
    ready: bool
    last_activity: datetime | None


class _Server(BaseModel):
    name: str
    started: AwareDatetime | None = None
    ready: bool = False
    last_activity: AwareDatetime | None = None


class _User(BaseModel):
    name: str
    servers: dict[str, _Server]


class _Next(BaseModel):
    offset: int


class _Pagination(BaseModel):
    total: int
    next: _Next | None = None


class _Page(BaseModel):
    items: list[_User]
    pagination: _Pagination = Field(alias="_pagination")


class _Version(BaseModel):
    version: str


class HubClient:
    """Speaks to one hub; `base_url` is where people find it. Close it, or use it with `with`."""

    def __init__(self, base_url: str, token: str, *, timeout_seconds: float = 10.0, page_size: int = PAGE_SIZE) -> None:
        self._page_size = page_size
        self._http = httpx.Client(
            base_url=base_url.rstrip("/"),
            headers={"Authorization": f"token {token}"},
            timeout=timeout_seconds,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of its connections."""
        self._http.close()

    def version(self) -> str:
        """JupyterHub's version, from the part of the API that needs the token: it proves the token too."""
        return self._parsed(_Version, self._get("/hub/api/info")).version

    def is_answering(self) -> bool:
        """The cheap probe of each minute; true says little about whether people can work."""
        try:
            return self._get("/hub/health").is_success
        except GatewayError:
            return False

    def active_servers(self) -> list[RunningServer]:
        """Every active server once, over all pages.

        Pages are cut by position, so a server that ends between two of them can hide another: a listing whose total
        changed on the way is read again.
        """
        found: dict[tuple[str, str], RunningServer] = {}
        for _ in range(_LISTINGS):
            pages = list(self._pages())
            found = {(s.user_name, s.server_name): s for page in pages for s in _servers(page)}
            if len({page.pagination.total for page in pages}) == 1:
                break
        return list(found.values())

    def _pages(self) -> Iterator[_Page]:
        offset: int | None = 0
        while offset is not None:
            answer = self._get("/hub/api/users", state="active", offset=str(offset), limit=str(self._page_size))
            page = self._parsed(_Page, answer)
            yield page
            offset = page.pagination.next.offset if page.pagination.next else None

    def _get(self, path: str, **query: str) -> httpx.Response:
        try:
            answer = self._http.get(path, params=query, headers={"Accept": PAGED})
        except httpx.HTTPError as error:
            raise HubUnreachableError(f"{self._http.base_url}{path}", str(error) or type(error).__name__) from error
        return checked(answer)

    @staticmethod
    def _parsed[M: BaseModel](kind: type[M], answer: httpx.Response) -> M:
        try:
            return kind.model_validate_json(answer.content)
        except ValidationError as error:
            first = error.errors()[0]
            # Keys of the answer may be names of people and their servers: only field names of ours are repeated.
            known = {"_pagination", *(name for model in (_Page, _User, _Server) for name in model.model_fields)}
            parts = (str(part) if isinstance(part, int) or part in known else "*" for part in first["loc"])
            where = ".".join(parts) or "the whole"
            raise UnexpectedAnswerError(str(answer.url), f"{where}: {first['msg']}") from error


def checked(answer: httpx.Response) -> httpx.Response:
    """The answer, if the hub did what was asked.

    Raises:
        HubUnreachableError: it could not now (5xx, 429, or a proxy that does not lead to it).
        HubRefusedError: it will not.
    """
    url = str(answer.url.copy_with(query=None))
    if answer.status_code == 404 and "x-jupyterhub-version" not in answer.headers:
        raise HubUnreachableError(url, "its proxy does not lead to it yet")
    if answer.status_code >= 500 or answer.status_code == 429:
        raise HubUnreachableError(url, f"status {answer.status_code}")
    if answer.status_code >= 400:
        raise HubRefusedError(url, answer.status_code, _reason(answer))
    return answer


def _reason(answer: httpx.Response) -> str:
    try:
        said = answer.json()
    except ValueError:
        return answer.reason_phrase
    return str(said.get("message", ""))[:200] if isinstance(said, dict) else ""


def _servers(page: _Page) -> Iterator[RunningServer]:
    for user in page.items:
        for server in user.servers.values():
            if server.started is not None:
                yield RunningServer(
                    user_name=user.name,
                    server_name=server.name,
                    started=server.started,
                    ready=server.ready,
                    last_activity=server.last_activity,
                )
