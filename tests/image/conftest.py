"""The image, built once for all of these tests."""

import os
import shutil
from collections.abc import Iterator

import pytest

from tests.image.dockerfile import DOCKERFILE, ROOT, read
from tests.image.performing import Image, perform


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Image]]:
    """Every stage of the Dockerfile, performed."""
    if os.geteuid() != 0:
        pytest.skip("the Dockerfile's steps change the root directory, which only root may")
    folder = tmp_path_factory.mktemp("image")
    yield perform(read(DOCKERFILE.read_text()), context=ROOT, into=folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def image(images: dict[str, Image]) -> Image:
    """The last stage: what is shipped."""
    return list(images.values())[-1]
