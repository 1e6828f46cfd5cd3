"""Tests of the installed wheel: `python -m unittest discover -t . -s tests`, from `apps/python`."""
