"""What `visualize` and `report` say: gathered results, findings, tables, and the paper's numbers as data. Imports `stages.params`,
`stages.paths` and `pag`.
"""
