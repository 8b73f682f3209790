"""A classifier's gradients with respect to its input, their cosine with target gradients (eqs. 4 and 5), and what makes a loss of
them cheap to differentiate. Imports `base` and `machine`.
"""
