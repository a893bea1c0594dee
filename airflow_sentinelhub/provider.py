"""What Airflow's provider discovery learns about this package. One dict for all versions: unknown keys are ignored."""

from __future__ import annotations

from typing import Any

CONN_FIELDS: dict[str, dict[str, Any]] = {
    "auth_url": {
        "label": "Auth URL",
        "description": "OAuth endpoint that gives tokens; only for deployments without a short name.",
        "schema": {"type": ["string", "null"]},
    },
    "batch_api": {
        "label": "Batch API",
        "description": "Generation used where a task names none: v2 is alive everywhere, v1 is its predecessor.",
        "schema": {"type": ["string", "null"], "enum": ["v2", "v1"], "default": "v2"},
    },
    "path_form": {
        "label": "Path form",
        "description": "version-first calls /api/v2/batch, service-first /batch/v2 (since 2026).",
        "schema": {"type": ["string", "null"], "enum": ["version-first", "service-first"], "default": "version-first"},
    },
    "timeout": {
        "label": "Timeout",
        "description": "Seconds for one call.",
        "schema": {"type": ["number", "null"], "default": 60},
    },
    "verify": {
        "label": "Verify",
        "description": "true, false, or a CA file: the certificates to trust. By default the environment's, then the "
        "machine's.",
        "schema": {"type": ["string", "boolean", "null"]},
    },
    "proxy": {
        "label": "Proxy",
        "description": "URL of an http proxy for all calls. By default HTTPS_PROXY and NO_PROXY of the environment.",
        "schema": {"type": ["string", "null"]},
    },
    "bucket_mount": {
        "label": "Bucket mount",
        "description": "Folder or fsspec URL below which buckets can be read, if not at their own S3 address.",
        "schema": {"type": ["string", "null"]},
    },
}

FIELD_BEHAVIOUR: dict[str, Any] = {
    "hidden-fields": ["schema", "port"],
    "relabeling": {"login": "Client id", "password": "Client secret", "host": "Deployment"},
    "placeholders": {"host": "aws-eu, aws-us-west-2, cdse, or a base URL"},
}


def get_provider_info() -> dict[str, Any]:
    """Entry point `apache_airflow_provider`."""
    from airflow_sentinelhub import __version__

    hook = "airflow_sentinelhub.hooks.sentinelhub.SentinelHubHook"
    return {
        "package-name": "airflow-sentinelhub",
        "name": "Sentinel Hub",
        "description": "Sentinel Hub batch processing: create, analyse, start once, wait without a worker.",
        "versions": [__version__],
        "connection-types": [
            {
                "connection-type": "sentinelhub",
                "hook-class-name": hook,
                "hook-name": "Sentinel Hub",
                "conn-fields": CONN_FIELDS,
                "ui-field-behaviour": FIELD_BEHAVIOUR,
            }
        ],
        "triggers": [
            {
                "integration-name": "Sentinel Hub",
                "python-modules": ["airflow_sentinelhub.triggers.batch"],
            },
        ],
        "extra-links": ["airflow_sentinelhub.links.SentinelHubRequestLink"],
        "config": {
            "sentinelhub": {
                "description": "Sentinel Hub provider.",
                "options": {
                    "deployment": {
                        "description": (
                            "Unique name of this Airflow. Requests are marked with it, so that another Airflow with "
                            "the same DAGs never adopts this one's jobs. Same value on all machines of one Airflow. "
                            "Set it before the first job: a task under way does not find its request under another "
                            "name. Without it the start of a run tells it from those of a copy, and the base URL where "
                            "the run was cleared; a copy made with the metadata database is told apart by the name "
                            "alone."
                        ),
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "production",
                        "default": None,
                    },
                },
            }
        },
    }
