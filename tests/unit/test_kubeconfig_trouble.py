"""What is said of a kubeconfig that cannot be used: which file, and why; nothing of what it holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.errors import KubernetesError
from controller.kube.client import KubeApi

SECRET = "c4narY"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "is not there: set KUBECONFIG, or run in a pod with a service account"),
        (
            "apiVersion: v1\nkind: Config\nclusters: []\nusers: []\ncontexts: []\n",
            "is no kubeconfig, or has no current-context",
        ),
        (f"token: {SECRET}\n- {SECRET}", "is no kubeconfig"),
        (SECRET, "is no kubeconfig"),
    ],
)
async def test_the_file_and_the_cause_are_named(
    content: str | None, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "kubeconfig"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv("KUBECONFIG", str(file))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(KubernetesError) as caught:
        async with KubeApi():
            pass
    assert f"{file} {words}" in str(caught.value)
    assert SECRET not in str(caught.value)
