"""The fuzzer of everything that is read from strangers: `make fuzz`, and a few thousand files in the tests.

`seeds` makes small sound files of every kind, `mutate` breaks them, `targets` opens them as commands do. `worker` does so
in a process of its own that is watched, `campaign` counts. One mutation is a function of a source of choices, so that a
number (`make fuzz`), Hypothesis (which shrinks) and atheris (which follows coverage) can all steer it.
"""
