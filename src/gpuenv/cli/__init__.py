"""The command line: argument grammar, one file per verb, text, exit codes. It uses the public verbs only."""
