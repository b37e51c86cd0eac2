"""How Sphinx renders the book.  `make html` installs requirements-docs.txt first."""

import sys
from pathlib import Path

import mathjax

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))
from api_pages import prepare  # noqa: E402

# Links from code come from static analysis.  None makes a name impossible to import,
# so they are the same with and without torch installed.
sys.modules["dlsys_code"] = sys.modules["torch"] = None

project = "分布式集群"
language = "zh_CN"
extensions = [
    "myst_nb",
    "autoapi.extension",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinxcontrib.bibtex",
    "sphinx_codeautolink",
    "sphinx_copybutton",
    "alt_text",
    "api_pages",
    "exact_types",
    "chinese_search",
    "citations",
    "claims_page",
    "code_links",
    "code_pages",
    "cross_references",
    "final_templates",
    "glossary_links",
    "parts",
    "short_traceback",
    "slides.in_page",
    "video_on_click",
]
include_patterns = ["index.rst", "04_AICluster/**", "api/**", "appendix/**"]
exclude_patterns = ["**/.ipynb_checkpoints", "**/.jupyter_cache", "**/_build"]
templates_path = ["_templates"]
nitpicky = True
# AutoAPI overlooks names that are assigned together (KB, MB = ...) and then warns of
# their imports.  An import of what is not there fails in the tests.
suppress_warnings = ["autoapi.python_import_resolution"]
default_role = "code"  # docstrings name arguments in single backquotes

# Notebooks show their stored outputs, which `make test` compares with a fresh run.
nb_execution_mode = "off"
nb_merge_streams = True
nb_render_error_lexer = "none"  # a message is not Python
codeautolink_concat_default = True  # a cell knows the imports of the cells above it
myst_enable_extensions = ["amsmath", "dollarmath"]

# API pages come from static analysis too.
autoapi_dirs = ["dlsys_code"]
autoapi_root = "api"
autoapi_keep_files = True
autoapi_add_toctree_entry = False  # index.rst lists api/dlsys_code/index itself
autoapi_options = [
    "members",
    "undoc-members",
    "imported-members",  # where __all__ names them
    "show-inheritance",
]
autoapi_template_dir = "_templates/autoapi"
autoapi_prepare_jinja_env = prepare
add_module_names = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88

bibtex_bibfiles = ["appendix/references.bib"]
bibtex_default_style = "author_year"  # of _ext/citations.py
bibtex_cite_id = "{key}"
bibtex_tooltips = False

# References to other libraries resolve from the small tables in _ext/inventories,
# which _ext/write_inventories.py writes, so that building needs no network.
intersphinx_mapping = {
    library: (url, str(HERE / f"_ext/inventories/{library}.inv"))
    for library, url in {
        "matplotlib": "https://matplotlib.org/stable/",
        "networkx": "https://networkx.org/documentation/stable/",
        "nbformat": "https://nbformat.readthedocs.io/en/latest/",
        "numpy": "https://numpy.org/doc/stable/",
        "python": "https://docs.python.org/3/",
        "torch": "https://docs.pytorch.org/docs/stable/",
    }.items()
}

# Formulas: one file with every TeX extension in it, served by the site itself.
MATHJAX = Path(mathjax.__file__).parent / "static/mathjax/es5/tex-svg-full.js"
mathjax_path = MATHJAX.name
mathjax3_config = {"options": {"enableMenu": False}}  # the menu would load more files

html_theme = "sphinx_book_theme"
html_title = project
html_favicon = "_static/ring.svg"
html_static_path = ["_static", str(MATHJAX)]
html_css_files = ["book.css"]
html_js_files = ["slides.js", "video_on_click.js"]
html_domain_indices = False
html_show_copyright = False
html_show_sphinx = False
html_context = {"default_mode": "auto"}  # light or dark as the reader's system is
html_theme_options = {
    "logo": {
        "text": project,
        "alt_text": "回到首页",
        "image_light": html_favicon,
        "image_dark": html_favicon,
    },
    "toc_title": "本页目录",
    "search_bar_text": "搜索全书",
    "show_navbar_depth": 1,
    # Only the branch of the page itself: all branches on all pages took half the build.
    "collapse_navbar": True,
    "navbar_persistent": [],  # one search box, in the side bar
    "footer_content_items": ["extra-footer"],
    "extra_footer": "正文 CC BY-SA 4.0，代码 Apache-2.0",
}
