"""The class-conditional diffusion model of C + 1 labels (section 4.2): images come in, a trained model and its folder come out.
Imports `improved_diffusion`, `networks` (for weights in files), `optimization`, `machine` and `base`.
"""
