"""The schema of `params.yaml` and of the data sets' files in `params/`, and their reading. Imports `pag.base` alone."""
