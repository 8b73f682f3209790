"""Commands beside the pipeline: taking in what others published, evaluating foreign weights, keeping results. They may import the
stages; no stage imports them.
"""
