"""Distributed training from send and receive up, one folder for each chapter.

The folders follow the table of contents: `world` starts ranks that can talk,
`introduction`, `architecture`, `communication`, `primitive` and `system` are the five
chapters, `book` is what the notebooks show.  A module imports from its own folder and
from earlier ones only, so reading front to back meets no name before its explanation.

Importing this package imports nothing else.
"""
