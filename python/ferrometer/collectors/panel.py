"""What the collectors found, on the live page."""

from __future__ import annotations

from ferrometer._runtime.panel import Chart, Column, Line, Panel, Table, Tile

_GPU = Panel(
    name="gpu",
    title="GPU",
    when=r"gpu_utilization_percent|\w+_gpu_requests_total|gpu_requests_waiting",
    tiles=(
        Tile("Devices", "count(gpu_utilization_ratio)"),
        Tile("Busy", "avg(gpu_utilization_ratio)", "ratio", "on average"),
        Tile("Memory", "sum(gpu_memory_used_bytes) / sum(gpu_memory_total_bytes)", "ratio", "used of all"),
        Tile("Hottest", "max(gpu_temperature_celsius)", "°C"),
        Tile("Power", "sum(gpu_power_watts)", "W"),
        Tile("Instances", 'sum({__name__=~".+_gpu_instances_active"})', "", "active"),
        Tile("Requests", 'sum(rate({__name__=~".+_gpu_requests_total"}[$window]))', "/s"),
        Tile("Cost", 'sum({__name__=~".+_gpu_cost_total"})', "usd", "since the start"),
        Tile("Waiting", "sum(gpu_requests_waiting)", "", "without a slot"),
    ),
    charts=(
        Chart("Utilisation", "ratio", (Line("gpu_utilization_ratio", "GPU {gpu_id}"),), most=1.0),
        Chart("Memory used", "B", (Line("gpu_memory_used_bytes", "GPU {gpu_id}"),)),
        Chart("Temperature", "°C", (Line("gpu_temperature_celsius", "GPU {gpu_id}"),)),
        Chart("Power", "W", (Line("gpu_power_watts", "GPU {gpu_id}"),)),
        Chart(
            "Requests", "/s", (Line('sum(rate({__name__=~".+_gpu_requests_total"}[$window]))', "requests"),)
        ),
        Chart("Waiting for a slot", "", (Line("sum(gpu_requests_waiting)", "requests"),)),
    ),
)

_DATABASE = Panel(
    name="database",
    title="Database",
    when=r"db_queries_total|db_pool_connections|postgres_connections",
    tiles=(
        Tile("Queries", "sum(rate(db_queries_total[$window]))", "/s"),
        Tile(
            "Query, p95",
            "histogram_quantile(0.95, sum by (le) (rate(db_query_duration_seconds_bucket[$table])))",
            "s",
        ),
        Tile(
            "Errors",
            "(sum(rate(db_query_errors_total[$table])) or 0 * sum(rate(db_queries_total[$table])))"
            " / sum(rate(db_queries_total[$table]))",
            "ratio",
        ),
        Tile("Waiting", "sum(db_pool_waiting)", "", "for a connection"),
        Tile(
            "Pool used",
            'max(sum by (pool) (db_pool_connections{state="active"})'
            " / sum by (pool) (db_pool_connections_max))",
            "ratio",
            "of the fullest",
        ),
    ),
    charts=(
        Chart(
            "Queries", "/s", (Line("sum by (operation) (rate(db_queries_total[$window]))", "{operation}"),)
        ),
        Chart(
            "Query time, p95",
            "s",
            (
                Line(
                    "histogram_quantile(0.95, sum by (le, operation)"
                    " (rate(db_query_duration_seconds_bucket[$window])))",
                    "{operation}",
                ),
            ),
        ),
        Chart(
            "Connections of pools",
            "",
            (Line("sum by (pool, state) (db_pool_connections)", "{pool} {state}"),),
        ),
        Chart("PostgreSQL connections", "", (Line("sum by (state) (postgres_connections)", "{state}"),)),
        Chart(
            "Transactions",
            "/s",
            (Line("sum by (outcome) (rate(postgres_transactions_total[$window]))", "{outcome}"),),
        ),
    ),
    tables=(
        Table(
            "Pools",
            ("pool",),
            (
                Column("Active", 'sum by (pool) (db_pool_connections{state="active"})'),
                Column("Idle", 'sum by (pool) (db_pool_connections{state="idle"})'),
                Column("Most", "sum by (pool) (db_pool_connections_max)"),
                Column("Waiting", "sum by (pool) (db_pool_waiting)"),
                Column("Queries", "sum by (pool) (rate(db_queries_total[$table]))", "/s"),
            ),
        ),
        Table(
            "PostgreSQL databases",
            ("server", "database"),
            (
                Column("Connections", "sum by (server, database) (postgres_connections)"),
                Column("Size", "sum by (server, database) (postgres_database_size_bytes)", "B"),
                Column("Longest query", "max by (server, database) (postgres_longest_query_seconds)", "s"),
                Column("Deadlocks", "sum by (server, database) (postgres_deadlocks_total)"),
            ),
        ),
    ),
)

_CACHE = Panel(
    name="cache",
    title="Cache",
    when=r"cache_hits_total|redis_operations_total|redis_memory_used_bytes",
    tiles=(
        Tile(
            "Hits",
            "sum(rate(cache_hits_total[$table]))"
            " / (sum(rate(cache_hits_total[$table])) + sum(rate(cache_misses_total[$table])))",
            "ratio",
            "of all lookups",
        ),
        Tile("Redis commands", "sum(rate(redis_operations_total[$window]))", "/s"),
        Tile("Redis memory", "sum(redis_memory_used_bytes)", "B"),
        Tile("Evicted", "sum(rate(redis_evicted_keys_total[$table]))", "/s"),
    ),
    charts=(
        Chart(
            "Hit rate",
            "ratio",
            (
                Line(
                    "sum by (cache_type) (rate(cache_hits_total[$window]))"
                    " / (sum by (cache_type) (rate(cache_hits_total[$window]))"
                    " + sum by (cache_type) (rate(cache_misses_total[$window])))",
                    "{cache_type}",
                ),
            ),
            most=1.0,
        ),
        Chart(
            "Redis commands",
            "/s",
            (Line("sum by (operation) (rate(redis_operations_total[$window]))", "{operation}"),),
        ),
        Chart(
            "Redis round trip, p95",
            "s",
            (
                Line(
                    "histogram_quantile(0.95, sum by (le, operation)"
                    " (rate(redis_operation_duration_seconds_bucket[$window])))",
                    "{operation}",
                ),
            ),
        ),
        Chart("Redis memory", "B", (Line("redis_memory_used_bytes", "{server}"),)),
    ),
    tables=(
        Table(
            "Caches",
            ("cache_type",),
            (
                Column("Hits", "sum by (cache_type) (rate(cache_hits_total[$table]))", "/s"),
                Column("Misses", "sum by (cache_type) (rate(cache_misses_total[$table]))", "/s"),
                Column("Entries", "sum by (cache_type) (cache_entries)"),
            ),
        ),
    ),
)

_QUEUES = Panel(
    name="queues",
    title="Queues",
    when=r"queue_depth|redis_queue_length|rq_jobs|celery_queue_length",
    charts=(
        Chart("Length", "", (Line("sum by (queue) (queue_depth)", "{queue}"),)),
        Chart("Redis queues", "", (Line("sum by (queue) (redis_queue_length)", "{queue}"),)),
        Chart("RQ jobs", "", (Line("sum by (queue, state) (rq_jobs)", "{queue} {state}"),)),
        Chart("Celery queues", "", (Line("sum by (queue) (celery_queue_length)", "{queue}"),)),
    ),
)

_HOST = Panel(
    name="machine",
    title="Workers & machine",
    when=r"process_resident_memory_bytes|cgroup_memory_used_ratio",
    tiles=(
        Tile("Workers", "count(process_resident_memory_bytes)"),
        Tile("Processor", "max(cgroup_cpu_used_ratio)", "ratio", "of what it may use"),
        Tile("Memory", "max(cgroup_memory_used_ratio)", "ratio", "of what it may use"),
        Tile("Resident", "sum(process_resident_memory_bytes)", "B", "of all workers"),
        Tile("Tasks", "sum(asyncio_tasks)", "", "on all event loops"),
        Tile("Fullest disk", "max(filesystem_used_ratio)", "ratio"),
    ),
    charts=(
        Chart("Processor", "", (Line("sum(rate(process_cpu_seconds_total[$window]))", "cores used"),)),
        Chart("Resident memory", "B", (Line("process_resident_memory_bytes", "process {pid}"),)),
        Chart(
            "Event loop lag",
            "s",
            (
                Line(
                    "histogram_quantile(0.99, sum by (le) (rate(asyncio_loop_lag_seconds_bucket[$window])))",
                    "p99",
                ),
            ),
        ),
        Chart(
            "Garbage collection",
            "ratio",
            (Line("sum(rate(python_gc_pause_seconds_sum[$window]))", "share of time"),),
        ),
        Chart("Open files", "", (Line("process_open_fds", "process {pid}"),)),
        Chart(
            "Waiting for the machine",
            "ratio",
            (Line("rate(cgroup_pressure_waiting_seconds_total[$window])", "{resource}"),),
        ),
    ),
    tables=(
        Table(
            "Workers",
            ("pid",),
            (
                Column("Up since", "process_start_time_seconds", "time"),
                Column("Resident", "process_resident_memory_bytes", "B"),
                Column("Threads", "process_threads"),
                Column("Open files", "process_open_fds"),
                Column("Tasks", "asyncio_tasks"),
                Column("Loop stands still", "asyncio_loop_unresponsive_seconds", "s"),
            ),
        ),
        Table(
            "Disks",
            ("mountpoint",),
            (
                Column("Used", "max by (mountpoint) (filesystem_used_ratio)", "ratio"),
                Column("Free", "max by (mountpoint) (filesystem_avail_bytes)", "B"),
                Column(
                    "Days to full",
                    "max by (mountpoint) (filesystem_avail_bytes)"
                    " / (-max by (mountpoint) (deriv(filesystem_avail_bytes[1h])) > 0)",
                    "s",
                ),
            ),
        ),
    ),
)

_COLLECTORS = Panel(
    name="collectors",
    title="Collectors",
    when="ferrometer_collector_success",
    tables=(
        Table(
            "Collectors",
            ("collector",),
            (
                Column("Works", "min by (collector) (ferrometer_collector_success)", "bool", good=1.0),
                Column("Took", "max by (collector) (ferrometer_collector_duration_seconds)", "s"),
                Column(
                    "Last success",
                    "max by (collector) (ferrometer_collector_last_success_timestamp_seconds)",
                    "time",
                ),
                Column("Failures", "sum by (collector) (ferrometer_collector_errors_total)"),
            ),
        ),
        Table(
            "Deliveries",
            ("delivery",),
            (
                Column("Sent", "sum by (delivery) (rate(ferrometer_delivery_items_total[$table]))", "/s"),
                Column("Waiting", "sum by (delivery) (ferrometer_delivery_queue_items)"),
                Column("Dropped", "sum by (delivery) (ferrometer_delivery_dropped_items_total)"),
            ),
        ),
    ),
)

PANELS = (_GPU, _DATABASE, _CACHE, _QUEUES, _HOST, _COLLECTORS)
