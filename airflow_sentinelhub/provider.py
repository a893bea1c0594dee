"""The metadata of this package for Airflow's provider discovery.

All versions of Airflow get the same dict; each ignores the keys that it does not know.
"""

from __future__ import annotations

from typing import Any

from airflow_sentinelhub._version import __version__

CONN_FIELDS: dict[str, dict[str, Any]] = {
    "auth_url": {
        "label": "Auth URL",
        "description": "OAuth endpoint that issues tokens; needed for a deployment that is named by a URL of its own.",
        "schema": {"type": ["string", "null"]},
    },
    "batch_api": {
        "label": "Batch API",
        "description": "Generation of the API for tasks that set no batch_api. v2 runs in all deployments; v1 is its "
        "predecessor.",
        "schema": {"type": ["string", "null"], "enum": ["v2", "v1"], "default": "v2"},
    },
    "path_form": {
        "label": "Path form",
        "description": "URLs of the API: version-first calls /api/v2/batch, service-first /batch/v2 (since 2026).",
        "schema": {"type": ["string", "null"], "enum": ["version-first", "service-first"], "default": "version-first"},
    },
    "timeout": {
        "label": "Timeout",
        "description": "Timeout of one call in seconds.",
        "schema": {"type": ["number", "null"], "default": 60},
    },
    "verify": {
        "label": "Verify",
        "description": "true, false, or the path of a CA file with the certificates to trust. By default those of the "
        "environment, then those of the machine.",
        "schema": {"type": ["string", "boolean", "null"]},
    },
    "proxy": {
        "label": "Proxy",
        "description": "URL of an HTTP proxy for all calls. By default HTTPS_PROXY, ALL_PROXY and "
        "NO_PROXY of the environment.",
        "schema": {"type": ["string", "null"]},
    },
    "max_calls_per_minute": {
        "label": "Max calls per minute",
        "description": "Calls that one worker or triggerer process makes at the most. Accounts are limited to 600 and "
        "more.",
        "schema": {"type": ["number", "null"], "default": 540},
    },
    "bucket_mount": {
        "label": "Bucket mount",
        "description": "Folder or fsspec URL below which the buckets can be read, if not at their own S3 URL.",
        "schema": {"type": ["string", "null"]},
    },
}

FIELD_BEHAVIOUR: dict[str, Any] = {
    "hidden-fields": ["schema"],
    "relabeling": {"login": "Client id", "password": "Client secret", "host": "Deployment"},
    "placeholders": {
        "host": "aws-eu, aws-us-west-2, cdse, or a base URL",
        # The button "Test" of Airflow 3.3 sends port 0 for a connection without one, and then refuses the difference.
        "port": "443",
    },
}


INTEGRATION = "Sentinel Hub"


def _modules(*names: str) -> list[dict[str, Any]]:
    """The modules of one kind, by their names within this package."""
    return [
        {"integration-name": INTEGRATION, "python-modules": [f"airflow_sentinelhub.{name}" for name in names]},
    ]


_WATCHERS = ("triggers.watchers", "triggers.imagery")
"""Modules of triggers that only Airflow 3 can import; an older one lists their names and imports none of them."""


def get_provider_info() -> dict[str, Any]:
    """The metadata of the provider; Airflow calls this through the entry point `apache_airflow_provider`."""
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
        # Paths of guides and logo are those of the source, as in the metadata of Airflow's own providers.
        "integrations": [
            {
                "integration-name": INTEGRATION,
                "external-doc-url": "https://docs.sentinel-hub.com/api/latest/api/batch/",
                "how-to-guide": ["/docs/operators.md", "/docs/sensors.md"],
                "logo": "/docs/integration-logos/sentinelhub.svg",
                "tags": ["service"],
            }
        ],
        "operators": _modules("operators.batch", "operators.statistical"),
        "sensors": _modules("sensors.batch", "sensors.statistical", "sensors.imagery"),
        "hooks": _modules("hooks.sentinelhub"),
        "triggers": _modules("triggers.batch", "triggers.acquisitions", *_WATCHERS),
        "cli": ["airflow_sentinelhub.cli.airflow.get_cli_commands"],
        "extra-links": [
            "airflow_sentinelhub.links.SentinelHubRequestLink",
            "airflow_sentinelhub.links.SentinelHubResultsLink",
            "airflow_sentinelhub.links.SentinelHubDocsLink",
        ],
        "asset-uris": [{"schemes": ["sentinelhub"], "handler": "airflow_sentinelhub.assets.sanitize_uri"}],
        "dataset-uris": [{"schemes": ["sentinelhub"], "handler": "airflow_sentinelhub.assets.sanitize_uri"}],  # 2.11
        "config": {
            "sentinelhub": {
                "description": "Sentinel Hub provider.",
                "options": {
                    "deployment": {
                        "description": (
                            "Unique name of this Airflow, the same on all its machines. Requests are marked with it, "
                            "so that another Airflow with the same DAGs never adopts the jobs of this one. Set it "
                            "before the first job: after a change of the name, a running task does not find its "
                            "request. Without a name, the runs of a copy of this Airflow are distinguished by their "
                            "start time and, if a run was cleared, by the base URL; only the name distinguishes a copy "
                            "that was made with the metadata database."
                        ),
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "production",
                        "default": None,
                    },
                    "max_processing_units_per_month": {
                        "description": (
                            "Processing units that the jobs of one DAG may cost in a calendar month (UTC), for tasks "
                            "that do not set max_processing_units_per_month themselves. A job that would exceed it is "
                            "not started. Not set: no limit."
                        ),
                        "version_added": "0.1.0",
                        "type": "float",
                        "example": "50000",
                        "default": None,
                    },
                },
            }
        },
    }
