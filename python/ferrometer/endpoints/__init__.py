"""The HTTP endpoints: ``/metrics``, ``/stats``, ``/polling``, ``/health``, ``/monitor`` and the probes.

| file     | noun                                                              |
|----------|-------------------------------------------------------------------|
| app      | the whole: one application, or the routes of one                  |
| endpoint | one path: methods, access, CORS and headers around an answer      |
| answers  | what each path says                                               |
| cors     | which foreign pages may read an answer                            |
"""

from ferrometer.endpoints.routes import endpoint_paths, observability_app, observability_routes

__all__ = ["endpoint_paths", "observability_app", "observability_routes"]
