"""Pages: single HTML files that work offline, with charts and pictures; what the pages of plugins are built from.

`page.html.j2` is the frame that a template extends, `parts.html.j2` has the macros. All text is escaped.
"""
