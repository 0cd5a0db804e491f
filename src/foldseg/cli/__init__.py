"""The command `foldseg`: one function a verb. It parses, opens what is named, calls one function and prints.

Modules here import torch and its kin inside of the verbs, so that `--help` and wrong words are answered at once.
"""
