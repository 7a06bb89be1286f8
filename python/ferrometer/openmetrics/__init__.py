"""OpenMetrics by prometheus_client's names."""
