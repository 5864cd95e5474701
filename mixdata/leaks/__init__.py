"""Leaks: songs, artists and recordings that are in two splits, by name, by what is known, and by the sound."""
