"""The command `gigachat`: a module for each subcommand, and what they share.

`program` has the table of the subcommands and loads the module of the chosen one only. A module of a subcommand has
`add_arguments(parser)` and `run(options)`, which returns the exit status.
"""
