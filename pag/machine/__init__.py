"""The machine that work runs on: ranks and processes, locks, progress, precision, the order of weights in memory, room on disk and
in memory. Plain values come in; nothing here knows images or networks. Imports `base`.
"""
