"""Data sets: their original files come in, an image store with its validation split comes out. Imports `base` and `machine`."""
