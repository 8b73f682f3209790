"""Classifiers: architectures behind their normalisation, the folder that a trained one is kept in, and weights from anywhere.
Imports `base`.
"""
