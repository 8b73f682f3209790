"""Target gradients g(x, y): their sources (class representatives, section 4.1; scores, section 4.2; what others published), and the
Zarr stores that they are kept in, behind one reader. Imports `diffusion`, `data`, `machine` and `base`.
"""
