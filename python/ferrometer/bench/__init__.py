"""What measuring a request costs on this machine: ``pytest --pyargs ferrometer.bench --benchmark-only``.

The extra ``ferrometer[bench]`` brings pytest-benchmark. ``ferrometer bench module:app`` asks the same of an
application of yours.
"""
