"""How any network is trained: optimisers, one loop with exact resumption, ranks that share a batch, curves. Imports `base` and
`machine`.
"""
