"""The demo: a small GPU gateway, real traffic against it, and what Ferrometer saw of it.

`model` is the GPU that only takes time, `ledger` the gateway's database, `shelf` its cache, `service` the
gateway around them; `programs` knows where PostgreSQL and Valkey are, `servers` is the process that runs
them, `stores` that process as the demo sees it; `traffic` is the client process, `overhead` the price of
measuring, `report` the words and tables, `progress` the line that moves, `runner` the evening's programme.
"""
