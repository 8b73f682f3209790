"""Accuracy over a test set, clean and under attack, in blocks over ranks and processes, with confidence intervals: a classifier and
images come in, numbers come out. Imports `attacks`, `machine` and `base`.
"""
