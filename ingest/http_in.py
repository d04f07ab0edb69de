"""Platforms that push over HTTP: POST /push/{name}, and 200 only once the message is on the disk.

A body gets the topic that it would have had over the broker (`up/raw/{codec}` of the gateway that its source speaks as) and goes the
same way: pipeline, log, fsync, and only then the answer. So 200 means stored, dead-lettered or known already; on anything else the
platform has to send again, and what comes again is known by what it says (`PushSource.delivery`). What is not believed never becomes a
message: it is counted, and told in `refusal` records like what the broker refused.

Beside `command_center/api` this is the only place that knows HTTP (decision 0021).
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from http import HTTPStatus

import msgspec
import structlog
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from devices.clock import Clock
from devices.registry import Registry
from ingest import metrics
from ingest.doors import address_of
from ingest.message import Message
from ingest.push_signatures import SCHEMES, Asked, BadSignature, SeenOnce, Signed, greeting
from ingest.push_sources import PushSource
from stream import records
from stream.errors import LogError
from stream.records import EventBody, NewRecord

BODY_MAX = 256 * 1024  # what the broker lets through, too
BODY_S = 20.0  # machine seconds in which a body must have come
ANSWER_S = 12.0  # for the disk; IoTDA gives up after 15 s, and whoever comes again is known
WAITING_MAX = 2_000  # messages between the door and the log
WAITING_BYTES = 32 * 1024**2
BATCH_BYTES = 8 * 1024**2  # of one batch: several are decoded ahead of the disk
RETRY_AFTER_S = 5
REFUSALS_EVERY_S = 1.0

log = structlog.get_logger()


class _Refused(Exception):
    """A request that is answered with anything but 200."""

    def __init__(self, status: HTTPStatus, why: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.why, self.detail = status, why, detail


class HttpInput:
    """The application, and what waits between it and the log. Use `receive` and `acknowledge` as with the broker's input."""

    def __init__(
        self,
        *,
        tenant: str,
        sources: Sequence[PushSource],
        clock: Clock,
        registry: Registry,
        append: Callable[[list[NewRecord]], Awaitable[object]],
        waiting_max: int = WAITING_MAX,
        waiting_bytes: int = WAITING_BYTES,
        answer_s: float = ANSWER_S,
        body_s: float = BODY_S,
        refusals_every_s: float = REFUSALS_EVERY_S,
    ) -> None:
        """`append` is for the records of what was refused."""
        self._tenant, self._clock, self._registry, self._append = tenant, clock, registry, append
        self.sources = {source.name: source for source in sources}
        self._waiting_max, self._waiting_bytes = waiting_max, waiting_bytes
        self._answer_s, self._body_s, self._refusals_every_s = answer_s, body_s, refusals_every_s
        self._seen = SeenOnce()
        self._inbox: deque[Message] = deque()
        self._inbox_bytes = 0
        self._arrived = asyncio.Event()
        self._answers: dict[int, asyncio.Future[None]] = {}
        self._requests = 0
        self._refusals: Counter[tuple[str, str]] = Counter()  # by source ("": none of ours) and why
        self._details: dict[tuple[str, str], tuple[str, str]] = {}  # the last one's address and words
        self.app = Starlette(routes=[Route("/push/{name}", self._serve, methods=["GET", "POST"])])
        self.app.router.redirect_slashes = False

    async def receive(self, max_messages: int, linger_s: float) -> list[Message]:
        """Messages in the order of arrival: waits for the first, then at most `linger_s` for more."""
        await self._arrived.wait()
        if len(self._inbox) < max_messages:
            await asyncio.sleep(linger_s)
        taken: list[Message] = []
        size = 0
        while self._inbox and len(taken) < max_messages and size < BATCH_BYTES:
            taken.append(self._inbox.popleft())
            size += len(taken[-1].payload)
        self._inbox_bytes -= size
        if not self._inbox:
            self._arrived.clear()
        return taken

    def acknowledge(self, messages: Iterable[Message]) -> None:
        """What these came to is on disk: their requests are answered. Every batch of every input comes by: where nobody waits it costs nothing."""
        if not self._answers:
            return
        for message in messages:
            answer = self._answers.get(message.request)
            if answer is not None and not answer.done():
                answer.set_result(None)

    async def run(self) -> None:
        """Tell of what was refused, until cancelled."""
        while True:
            await asyncio.sleep(self._refusals_every_s)
            await self.tell_refusals()

    async def tell_refusals(self) -> None:
        """One `refusal` record for each source and reason since the last time; while the log refuses they are counted on."""
        counts, details = self._refusals, self._details
        if not counts:
            return
        self._refusals, self._details = Counter(), {}
        told = [self._refusal(*key, count, *details[key]) for key, count in counts.items()]
        for name, why in counts:
            log.warning("pushes_refused", source=name, why=why, count=counts[name, why], peer=details[name, why][0])
        try:
            await self._append(told)
        except LogError as error:
            log.warning("refusals_wait_for_the_log", records=len(told), why=str(error))
            self._refusals.update(counts)
            self._details = details | self._details

    def _refusal(self, name: str, why: str, count: int, peer: str, detail: str) -> NewRecord:
        source = self.sources.get(name)
        device = source.device if source is not None and source.device in self._registry.devices else ""
        data = {"reason": f"push_{why}", "count": count, "client_id": peer, "detail": detail, "source": name}
        return records.event(EventBody(type="refusal", device_id=device, receive_us=self._clock.city_us(), data=data))

    # -- one request

    async def _serve(self, request: Request) -> Response:
        name = request.path_params["name"]
        source = self.sources.get(name)
        try:
            answer = await self._answered(source, request)
        except _Refused as refused:
            return self._answer_refused(source, request, refused)
        except ClientDisconnect:
            metrics.PUSHED.labels(name, "gone").inc()
            return PlainTextResponse("", status_code=HTTPStatus.BAD_REQUEST)  # nobody is there to hear it
        metrics.PUSHED.labels(name, "taken" if request.method == "POST" else "greeted").inc()
        return answer

    async def _answered(self, source: PushSource | None, request: Request) -> Response:
        if source is None:
            raise _Refused(HTTPStatus.NOT_FOUND, "unknown_source", "there is no source of that name")
        self._let_in(source, request)
        return await (self._take(source, request) if request.method == "POST" else self._greet(source, request))

    def _answer_refused(self, source: PushSource | None, request: Request, refused: _Refused) -> Response:
        name = "" if source is None else source.name
        metrics.PUSHED.labels(name, refused.why).inc()
        headers = {}
        if refused.status is HTTPStatus.SERVICE_UNAVAILABLE:  # ours to mend: the source did nothing that is refused
            headers["Retry-After"] = str(RETRY_AFTER_S)
        else:
            self._refusals[name, refused.why] += 1
            peer = request.client.host if request.client else ""
            self._details[name, refused.why] = (peer, refused.detail)
        if refused.status is HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = "POST"
        if refused.status is HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = "Signature"
        problem = {
            "type": f"urn:citybrain:problem:push-{refused.why.replace('_', '-')}",
            "title": refused.status.phrase,
            "status": refused.status.value,
            "detail": refused.detail,
        }
        body = msgspec.json.encode(problem)
        return Response(body, refused.status, headers, media_type="application/problem+json")

    @staticmethod
    def _let_in(source: PushSource, request: Request) -> None:
        try:
            peer = address_of(request.client.host if request.client else "")
        except ValueError as error:
            raise _Refused(HTTPStatus.FORBIDDEN, "address", "expected an IP address as the caller's") from error
        if not source.admits(peer):
            raise _Refused(
                HTTPStatus.FORBIDDEN, "address", f"came from {peer}, expected an address that this source allows"
            )
        if not source.open:
            detail = f"the secret of this source is not set yet: citybrain push secret {source.name}"
            raise _Refused(HTTPStatus.SERVICE_UNAVAILABLE, "no_secret", detail)

    async def _greet(self, source: PushSource, request: Request) -> Response:
        """A platform that checks whether this address is its customer's."""
        if not source.form.greets:
            raise _Refused(HTTPStatus.METHOD_NOT_ALLOWED, "method", "expected POST")
        try:
            told = greeting(_asked(request), source.secret)
        except BadSignature as error:
            raise _Refused(HTTPStatus.UNAUTHORIZED, "signature", str(error)) from error
        return PlainTextResponse(told, headers={"X-Content-Type-Options": "nosniff"})

    async def _take(self, source: PushSource, request: Request) -> Response:
        """Believe it, put it behind what waits, and answer when it is on disk."""
        body = await self._body(request)
        asked = _asked(request, body)
        try:
            signed = SCHEMES[source.signature].check(asked, source.secret, self._clock.city_us())
            self._seen.check(source.name, signed, body)
        except BadSignature as error:
            raise _Refused(HTTPStatus.UNAUTHORIZED, "signature", str(error)) from error
        number = self._put(source, signed, body)
        try:
            async with asyncio.timeout(self._answer_s):
                await self._answers[number]
        except TimeoutError as error:
            raise _Refused(
                HTTPStatus.SERVICE_UNAVAILABLE, "not_stored_yet", "the log is slow: send it again"
            ) from error
        finally:
            del self._answers[number]
        return PlainTextResponse("ok")

    async def _body(self, request: Request) -> bytes:
        coding = request.headers.get("content-encoding", "identity").lower()
        if coding != "identity":
            raise _Refused(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "encoding", f"expected a body as it is, got {coding[:40]}"
            )
        too_large = _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", f"expected at most {BODY_MAX} bytes")
        announced = request.headers.get("content-length", "")
        if announced.isascii() and announced.isdigit() and (len(announced) > 12 or int(announced) > BODY_MAX):
            raise too_large
        body = bytearray()
        try:
            async with asyncio.timeout(self._body_s):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > BODY_MAX:
                        raise too_large
        except TimeoutError as error:
            detail = f"expected the whole body within {self._body_s:g} s"
            raise _Refused(HTTPStatus.REQUEST_TIMEOUT, "slow", detail) from error
        return bytes(body)

    def _put(self, source: PushSource, signed: Signed, body: bytes) -> int:
        """The number of the request, whose answer is in `_answers` from now on. No await: nothing falls between."""
        if len(self._inbox) >= self._waiting_max or self._inbox_bytes + len(body) > self._waiting_bytes:
            raise _Refused(HTTPStatus.SERVICE_UNAVAILABLE, "full", "more is waiting than the log takes: send it again")
        self._requests += 1
        delivery = source.delivery(signed, body)
        self._inbox.append(
            Message(
                topic=source.topic(self._tenant),
                payload=body,
                packet_id=0,
                receive_us=self._clock.city_us(),
                dup=delivery != 0,  # any may be one that came before: platforms do not say so
                delivery=delivery,
                request=self._requests,
            )
        )
        self._inbox_bytes += len(body)
        self._answers[self._requests] = asyncio.get_running_loop().create_future()
        self._arrived.set()
        return self._requests


def _asked(request: Request, body: bytes = b"") -> Asked:
    return Asked(query=request.query_params, headers=request.headers, body=body)
