"""Pages and assets: everything a screen needs comes from here, nothing from the internet.

Pages are never cached (they name the hashed assets of one build), hashed assets for ever. Files that lie beside as `.gz` are
sent as they are to those who take them.
"""

from __future__ import annotations

import mimetypes
from pathlib import Path

import segno
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from command_center.api.auth import session_of
from command_center.api.deps import ApiDeps
from command_center.api.problems import problem_response

PAGES = ("wall", "desk", "field", "vendor", "registers", "duty", "quality", "town", "grid", "admin")
MEDIA_TYPES = {
    ".mjs": "text/javascript",
    ".geojson": "application/geo+json",
    ".webmanifest": "application/manifest+json",
}
IMMUTABLE = "public, max-age=31536000, immutable"


def page_routes(deps: ApiDeps) -> list[Route]:
    """Routes of pages, assets and the CA. The last one answers any other path with a file of the build, or 404."""

    async def home(request: Request) -> Response:
        return RedirectResponse("/wall", 302)

    async def page(request: Request) -> Response:
        name = request.url.path.strip("/")
        if session_of(request) is None:
            return RedirectResponse(f"/login?next=/{name}", 302)
        return _html(request, deps, name)

    async def login(request: Request) -> Response:
        return _html(request, deps, "login")

    async def ca(request: Request) -> Response:
        return _ca_page(request, deps)

    async def ca_pem(request: Request) -> Response:
        if deps.ca_pem is None or not deps.ca_pem.exists():
            return problem_response(404, "not-found", "this installation has no certificate authority: TLS is off")
        headers = {"Content-Disposition": 'attachment; filename="citybrain-ca.crt"'}
        return FileResponse(deps.ca_pem, media_type="application/x-x509-ca-cert", headers=headers)

    async def asset(request: Request) -> Response:
        return _asset(request, deps)

    routes = [Route("/", home), Route("/login", login), Route("/ca", ca), Route("/ca.pem", ca_pem)]
    routes += [Route(f"/{name}", page) for name in PAGES]
    routes.append(Route("/{path:path}", asset, methods=["GET", "HEAD"]))
    return routes


def _html(request: Request, deps: ApiDeps, name: str) -> Response:
    if deps.assets is None:
        return problem_response(503, "no-assets", "the pages are not built: run `make web`")
    path = deps.assets / f"{name}.html"
    if not path.exists():
        return problem_response(503, "no-assets", f"{path.name} is not built: run `make web`")
    return _file(request, path, "no-cache")


def _asset(request: Request, deps: ApiDeps) -> Response:
    """A file of the build, never one outside it and never a page."""
    relative = request.path_params["path"]
    missing = problem_response(404, "not-found", f"there is nothing at /{relative[:200]}")
    if deps.assets is None or "\x00" in relative:
        return missing
    root = deps.assets.resolve()
    path = (root / relative).resolve()
    hidden = any(part.startswith(".") for part in Path(relative).parts)
    if hidden or not path.is_relative_to(root) or not path.is_file() or path.suffix == ".html":
        return missing
    return _file(request, path, IMMUTABLE if relative.startswith("assets/") else "no-cache")


def _file(request: Request, path: Path, cache: str) -> Response:
    media_type = MEDIA_TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    headers = {"Cache-Control": cache}
    packed = path.with_name(path.name + ".gz")
    if packed.exists():
        headers["Vary"] = "Accept-Encoding"
        if "gzip" in request.headers.get("accept-encoding", ""):
            return FileResponse(packed, media_type=media_type, headers=headers | {"Content-Encoding": "gzip"})
    return FileResponse(path, media_type=media_type, headers=headers)


def _ca_page(request: Request, deps: ApiDeps) -> Response:
    """How to install our own CA: without it a phone gives no position to the page."""
    if deps.ca_pem is None or not deps.ca_pem.exists():
        return problem_response(404, "not-found", "this installation has no certificate authority: TLS is off")
    host = request.url.netloc
    link = f"{request.url.scheme}://{host}/ca.pem"
    code = segno.make(link, error="m").svg_inline(scale=6, border=2, omitsize=False)
    return HTMLResponse(
        "<!doctype html><html lang=zh-CN><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        "<title>安装证书 Install the certificate</title>"
        "<h1>安装本系统的根证书</h1><p>手机扫描二维码，下载证书，然后在“设置 - 安全 - 加密与凭据 - 安装证书 - CA 证书”中安装。</p>"
        "<h2>Install this system's root certificate</h2>"
        "<p>Scan the code with the phone, download the file, then install it under "
        "Settings - Security - Encryption and credentials - Install a certificate - CA certificate.</p>"
        f"<p>{code}</p><p><a href='/ca.pem'>ca.pem</a></p></html>",
        headers={"Cache-Control": "no-cache"},
    )
