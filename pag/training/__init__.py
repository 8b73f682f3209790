"""Training of classifiers (sections 3 and 6): the objectives, and the training that images and target stores come into. Imports
`targets`, `alignment`, `attacks`, `networks`, `optimization`, `data`, `machine` and `base`.
"""
