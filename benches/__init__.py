"""What Ferrometer costs, beside the least it could cost (the floor) and beside its peers, in one run.

`python -m benches` prints the comparison; `pytest benches` runs the same rows and asserts their answers.
"""
