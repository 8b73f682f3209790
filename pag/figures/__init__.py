"""Figures and the page: numbers and images come in, PNGs, HTML and Markdown come out. Imports `base`."""
