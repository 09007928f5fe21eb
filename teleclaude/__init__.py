"""Terminals, commands and Python sessions that stay alive, driven from anywhere."""

__version__ = "0.1.0"
