"""The typed sections of `params.yaml`, one module for each kind; `stages/params.py` puts them together."""
