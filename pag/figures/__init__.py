"""Figures: numbers and images come in, drawn figures, PNGs and SVGs come out. Imports `base`."""
