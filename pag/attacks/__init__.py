"""Adversarial attacks on one block of examples, and the threat models that they respect: pixels in [0, 1] and labels come in,
checked outcomes come out. Imports `base`.
"""
