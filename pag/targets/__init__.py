"""Sources of target gradients g(x, y): class representatives (section 4.1) and score-based gradients (section 4.2)."""
