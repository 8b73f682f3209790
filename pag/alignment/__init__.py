"""A classifier's gradients with respect to its input, their cosine with target gradients (eqs. 4 and 5), and the form of them that
a loss can be taken of. Imports `base` and `machine`.
"""
