"""The service itself: endpoints, payloads, and replies read as snapshots; v1, v2 and batch statistical."""
