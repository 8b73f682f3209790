"""`python -m stages …` is `pag …` with the code of the folder that it is run in: what dvc.yaml calls."""

from stages.cli import main

main()
