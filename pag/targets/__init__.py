"""Target gradients g(x, y): their sources (class representatives, section 4.1; scores, section 4.2; kernel densities; a teacher;
what others published), and the Zarr stores that they are kept in, behind one reader. Imports `diffusion`, `alignment`, `data`,
`machine` and `base`.
"""
