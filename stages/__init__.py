"""The pipeline's stages: each reads its section of `params.yaml`, calls `pag` and writes its outputs."""
