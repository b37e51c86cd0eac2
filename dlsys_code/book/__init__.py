"""What the notebooks show, and how they are kept true.

`source` displays code of the package on a page.  `notebooks` runs the chapters, reports
what differs from the stored run, and finds the chapters whose code has changed since.
"""

from dlsys_code.book.listing import source

__all__ = ["source"]
