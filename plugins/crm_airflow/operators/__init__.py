"""Operators of the sync, one class per file: each is one stage, usable in a DAG of your own."""
