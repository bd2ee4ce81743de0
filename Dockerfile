# The image of eureka-drain: the locked dependencies and the program's wheel on Python, and nothing that builds.
# How to build, run and verify it: docs/image.md. Both bases are arguments, so that a release can pin their digests.
ARG PYTHON_IMAGE=python:3.11.14-slim-trixie
ARG UV_IMAGE=ghcr.io/astral-sh/uv:0.13.9

FROM ${UV_IMAGE} AS uv

FROM ${PYTHON_IMAGE} AS build
COPY --from=uv /uv /usr/local/bin/uv
ENV UV_PYTHON=/usr/local/bin/python3 \
    UV_PYTHON_DOWNLOADS=never \
    UV_PROJECT_ENVIRONMENT=/opt/eureka-drain \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy
WORKDIR /src

# What seldom changes comes first. Wheels only: nothing that was downloaded runs while it is installed.
COPY pyproject.toml uv.lock ./
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --locked --no-dev --extra tracing --no-build --no-install-project

# The program's own wheel, made by the locked build backend; it brings nothing along.
COPY README.md LICENSE ./
COPY controller controller
RUN --mount=type=cache,target=/root/.cache/uv \
    uv export --locked --quiet --only-group build --no-emit-project --output-file /src/build.txt \
    && uv build --wheel --build-constraints /src/build.txt --require-hashes --out-dir /src/dist \
    && uv pip install --python /opt/eureka-drain --no-deps --no-index /src/dist/*.whl \
    && rm /opt/eureka-drain/.lock

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="eureka-drain" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.description="Takes terminating Kubernetes pods out of a Eureka registry"
# Nothing is installed into a running container: its root is read-only, and its user may write nowhere.
RUN python3 -m pip uninstall --yes --quiet --root-user-action=ignore pip setuptools wheel \
    && rm -r /usr/local/lib/python3.*/ensurepip
COPY --from=build /opt/eureka-drain /opt/eureka-drain
ENV PATH=/opt/eureka-drain/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/nonexistent \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# By number, so that runAsNonRoot can be checked. It owns nothing; HOME only says so to libraries that ask.
USER 65532:65532
EXPOSE 8080
# It is process 1 itself: it starts no children, takes SIGTERM, and ends within shutdown_timeout (15 s).
STOPSIGNAL SIGTERM
ENTRYPOINT ["eureka-drain"]
CMD ["--help"]
