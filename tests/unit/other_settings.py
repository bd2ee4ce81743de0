"""Settings of which each value differs from the default."""

from __future__ import annotations

from typing import Any

CACHES = ("server_cache", "client_fetch", "load_balancer")
OTHER: dict[str, Any] = {
    "broker": {
        "url": "amqp://a:b@127.0.0.1:5672/",
        "username": "c",
        "password": "d",
        "vhost": "e",
        "ca_file": "/a",
        "cert_file": "/b",
        "key_file": "/c",
        "timeout": "1s",
        "events_kept": "1d",
        "event_lookback": "2d",
    },
    "regions": {
        "eu": {
            "nodes": ["http://a:b@e:1"],
            "username": "a",
            "password": "b",
            "ca_file": "/d",
            "timeout": "1s",
            "concurrency": 1,
        }
    },
    "watch": {
        "cluster": "x",
        "namespaces": ["a"],
        "exclude_namespaces": ["b"],
        "label_selector": "a",
        "page_size": 1,
        "kubernetes_events": False,
        "nodes": False,
    },
    "routing": {"default_regions": ["eu"], "namespaces": {"shop": ["eu"]}, "other_regions": "send"},
    "instance_id_templates": ["{ip}"],
    "sweep": {"policy": "drain", "pod_cidrs": ["10.0.0.0/8"]},
    "guard": {"last_instance": False, "max_percent_per_minute": 1},
    "retention": "1m",
    "remove": False,
    "retry": {"max_backoff": "1s", "give_up_after": "1m"},
    "work": {"prefetch": 1, "concurrency": 1},
    "window": {
        **dict.fromkeys(CACHES, "1s"),
        "regions": {"eu": dict.fromkeys(CACHES, "2s")},
        "apps": {"ORDERS": dict.fromkeys(CACHES, "3s")},
    },
    "http": {"host": "127.0.0.1", "port": 1, "metrics_port": 2},
    "ops": {
        "url": "https://drain.example.com",
        "kubernetes": False,
        "audiences": ["a"],
        "viewer_token": "v" * 16,
        "operator_token": "o" * 16,
        "anonymous_read": True,
        "trust_forwarded": True,
        "hosts": ["h"],
    },
    "log": {"level": "DEBUG", "format": "json"},
    "tracing": {"endpoint": "http://c:1"},
    "shutdown_timeout": "1s",
}
BY_HOSTS: dict[str, Any] = {"broker": {"hosts": ["127.0.0.1"]}}
"""The one that stands in the place of another."""
