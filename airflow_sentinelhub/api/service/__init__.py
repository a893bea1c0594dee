"""The service's API: endpoints, payloads and the reading of replies as snapshots, for v1, v2 and batch statistical."""
