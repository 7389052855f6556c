"""A run, from names to outcomes.

    selection -> plan -> session -> runner -> workers, kinds -> records

`identity` says what is still good of an earlier run; `closure` and `interactive` which source that rests on.
"""
