"""NVIDIA's data with source and date: toolkits and drivers, compute capabilities, GPU models. Pure look-ups."""
