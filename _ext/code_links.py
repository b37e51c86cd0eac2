"""Leave pages alone on which no code leads to a documentation.

Once a page with a block of code is written, sphinx_codeautolink reads it again, whether
there is a name to link or not.  On most API pages there is none.
"""

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

AFTER_CODEAUTOLINK = 600  # which listens to the same event at the default 500


def forget_pages_without_links(app: Sphinx, env: BuildEnvironment) -> None:
    """Drop the blocks of pages on which no name has been found."""
    for blocks in env.sphinx_codeautolink_transforms.values():
        if not any(block.names for block in blocks):
            blocks.clear()


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("env-updated", forget_pages_without_links, priority=AFTER_CODEAUTOLINK)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
