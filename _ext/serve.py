"""Serve the built book on this machine only: `make serve`."""

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SITE = Path(__file__).parent.parent / "_build/html"


class QuietHandler(SimpleHTTPRequestHandler):
    """Serve files without a line on the terminal for each of them."""

    def log_message(self, format: str, *args: object) -> None:
        pass


def open_server(site: Path, preferred_port: int) -> ThreadingHTTPServer:
    """Return a server of a folder, on a free port where the preferred one is taken."""
    handler = partial(QuietHandler, directory=str(site))
    try:
        return ThreadingHTTPServer(("127.0.0.1", preferred_port), handler)
    except OSError:
        return ThreadingHTTPServer(("127.0.0.1", 0), handler)


def main() -> None:
    if not (SITE / "index.html").exists():
        raise SystemExit("还没有网页：先运行 make html")
    with open_server(SITE, preferred_port=8000) as server:
        address = f"http://127.0.0.1:{server.server_port}/"
        print(f"打开 {address} ，按 Ctrl+C 结束", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    main()
