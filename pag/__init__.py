"""Perceptually aligned gradients (PAG): target gradients, alignment training and robustness evaluation.

Ganz, Kawar and Elad, "Do Perceptually Aligned Gradients Imply Robustness?", ICML 2023; docstrings cite its sections.
The library takes plain values: it knows nothing of DVC, `params.yaml` or the command line (those are in `stages`).
"""
