"""The process itself: forks, threads, deadlines; nothing of metrics."""
