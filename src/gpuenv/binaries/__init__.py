"""What native files hold: sections of ELF and PE files, and the GPU code in them. Nothing here opens a file."""
