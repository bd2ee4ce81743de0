"""What Kyverno is given says the same as what the API server is given."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.manifests.kyverno_policies import FILES, kyverno_policy

SOURCES = pytest.mark.parametrize("source", FILES, ids=lambda source: source.parent.name)


@SOURCES
def test_it_is_made_from_the_api_servers_own(source: Path) -> None:
    assert FILES[source].read_text(encoding="utf-8") == kyverno_policy(source), "make docs"


@SOURCES
def test_it_is_for_the_same_pods_of_the_same_namespaces(source: Path) -> None:
    policy, binding = yaml.safe_load_all(source.read_text(encoding="utf-8"))
    made = yaml.safe_load(FILES[source].read_text(encoding="utf-8"))
    wanted = policy["spec"]["matchConstraints"] | binding["spec"]["matchResources"]
    assert made["spec"].pop("matchConstraints") == wanted
    assert made["metadata"] == policy["metadata"]
    assert made["spec"].pop("autogen") == {"podControllers": {"controllers": []}}, "it changes no Deployment"
    of_both = {"failurePolicy", "matchConditions", "variables", "mutations"}
    assert made["spec"] == {name: policy["spec"][name] for name in of_both}
