"""Do not look, at every use of a template, whether its file has changed."""

from typing import Any

from sphinx.application import Sphinx


def finalize(environment: Any) -> None:
    """Keep templates as they were first read."""
    environment.auto_reload = False


def finalize_own(app: Sphinx) -> None:
    """Do so with Sphinx's own templates; conf.py does it with AutoAPI's."""
    if app.builder.format == "html":
        finalize(app.builder.templates.environment)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", finalize_own)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
