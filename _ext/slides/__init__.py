"""The slides of a lesson: one Markdown source, an editable .pptx, a PDF, a page."""
