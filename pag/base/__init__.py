"""What every room may use: the one exception for bad input, files that appear whole, random streams, and the vocabulary of norms,
gradients, precisions and methods. Imports nothing of `pag`.
"""
