"""`source` shows what the file says, in the forms that the readers' tools take."""

import dataclasses
import inspect
import subprocess
import sys
import textwrap

import pytest
from IPython.core.formatters import DisplayFormatter
from markdown_it import MarkdownIt

from dlsys_code.book import listing, source


def fences(markdown: str) -> list:
    tokens = MarkdownIt("commonmark").parse(markdown)
    return [token for token in tokens if token.type == "fence"]


def load(tmp_path, monkeypatch, text: str, name: str = "sample_module"):
    """Import `text` as a module."""
    (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
    monkeypatch.syspath_prepend(tmp_path)
    return __import__(name)


def test_a_function_is_shown_as_its_file_has_it():
    shown = source(listing.source)
    file = inspect.getsource(listing)
    assert shown.code in file and shown.code.startswith("def source(")
    assert shown.caption == "dlsys_code/book/listing.py"


def test_a_module_is_shown_whole_and_a_package_names_its_init():
    import dlsys_code.book as package

    assert source(listing).code == inspect.getsource(listing).strip("\n")
    assert source(package).caption == "dlsys_code/book/__init__.py"


def test_jupyter_offers_one_highlighted_listing_and_a_plain_one():
    data, _ = DisplayFormatter().format(source(listing.Listing))
    assert set(data) == {"text/plain", "text/markdown"}
    (fence,) = fences(data["text/markdown"])
    assert fence.info == "python"
    assert fence.content.strip("\n") == source(listing.Listing).code
    assert "dlsys_code/book/listing.py" in data["text/markdown"].split("```")[0]
    assert source(listing.Listing).code in data["text/plain"]


def test_code_that_holds_a_fence_stays_one_listing():
    (fence,) = fences(source(listing.Listing)._repr_markdown_())
    assert '"```"' in fence.content


def test_decorators_are_shown_and_wrappers_looked_through(tmp_path, monkeypatch):
    module = load(
        tmp_path,
        monkeypatch,
        """
        import functools

        @functools.lru_cache
        def f(x):
            return x

        class C:
            @staticmethod
            def g():
                return 1
        """,
    )
    assert source(module.f).code == "@functools.lru_cache\ndef f(x):\n    return x"
    assert source(module.C.g).code == "@staticmethod\ndef g():\n    return 1"
    assert source(module.f).caption == "sample_module.py"


def test_without_docstrings_the_code_is_the_same(tmp_path, monkeypatch):
    module = load(
        tmp_path,
        monkeypatch,
        '''
        """The module's.

        Of several lines.
        """

        class C:
            """The class's."""

            def f(self):
                """The method's."""
                # a reason
                return """not a docstring"""

            def only_documented(self):
                """Stays: without it there would be no body."""
        ''',
        name="sample_documented",
    )
    assert source(module, docstring=False).code == textwrap.dedent(
        '''\
        class C:
            def f(self):
                # a reason
                return """not a docstring"""

            def only_documented(self):
                """Stays: without it there would be no body."""'''
    )
    assert '"""The method' in source(module).code


@pytest.mark.parametrize("thing", [len, 3, "text", None, dataclasses.MISSING])
def test_a_thing_without_source_is_named(thing):
    with pytest.raises(TypeError, match="no Python source for"):
        source(thing)


def test_a_function_of_the_notebook_is_named_without_a_path():
    program = (
        "from IPython.core.interactiveshell import InteractiveShell as Shell\n"
        "shell = Shell.instance()\n"
        "shell.run_cell('def mine():\\n    return 1')\n"
        "shell.run_cell('from dlsys_code.book import source; print(source(mine))')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "# mine\ndef mine():\n    return 1\n"
