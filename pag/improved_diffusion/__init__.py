"""Class-conditional denoising diffusion after Nichol & Dhariwal (2021): what section 4.2 of the paper takes its gradients from.

The networks compute the same functions as their public code, improved-diffusion, under the same state-dict names, so that its
checkpoints load; `tests/golden/` holds the numbers that show it. Imports `base`.
"""
