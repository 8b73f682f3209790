"""Our form of improved-diffusion (Nichol and Dhariwal, 2021), compatible with its public checkpoints."""
