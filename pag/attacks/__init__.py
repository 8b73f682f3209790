"""Adversarial attacks and the threat models that they respect. Every attack sees pixels in [0, 1]."""
