"""Packages of every kind, here or at an address: what is in them, and what that asks of a machine."""
