"""The two-dimensional experiment (section 5.1): its points, its networks, their training. Imports `training`,
`optimization` and `base`.
"""
