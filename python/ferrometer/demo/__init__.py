"""The demo: a small GPU gateway, real traffic against it, and what Ferrometer saw of it.

`model` is the GPU that only takes time, `ledger` the gateway's database, `service` the gateway around both,
`traffic` the client process, `overhead` the price of measuring, `report` the words and tables, `progress`
the line that moves, `runner` the evening's programme.
"""
