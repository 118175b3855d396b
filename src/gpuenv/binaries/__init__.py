"""What native files hold and ask for: GPU code, libraries, symbols, names. Nothing here opens a file.

`binary.read_binary` reads a file at hand of any kind, `stream.read_stream` one that passes by; the other modules are
their parts, one format or idea each.
"""
