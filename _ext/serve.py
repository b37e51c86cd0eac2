"""Serve the built book on this machine only: `make serve`."""

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SITE = Path(__file__).parent.parent / "_build/html"


def open_server(preferred_port: int = 8000) -> ThreadingHTTPServer:
    """Return a server of the site, on any free port where the preferred one is taken."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(SITE))
    try:
        return ThreadingHTTPServer(("127.0.0.1", preferred_port), handler)
    except OSError:
        return ThreadingHTTPServer(("127.0.0.1", 0), handler)


def main() -> None:
    if not (SITE / "index.html").exists():
        raise SystemExit("还没有可看的页面：请先运行 make html")
    with open_server() as server:
        print(f"http://127.0.0.1:{server.server_port}/  （Ctrl+C 结束）", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    main()
