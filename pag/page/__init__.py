"""The page: a report comes in as a value of sections, tables and figures, HTML and Markdown go out. Imports nothing of `pag`."""
