# Build and use: docker build --tag reconcile . && docker run --rm -v "$PWD:/work" reconcile validate
# The packages come from the lock, by hash. With DATABASE_URL the image works as any user. Without it, the image runs
# the embedded Postgres beside the file; initdb then needs a user that exists in the image.
# A tag can move. Give the digest of the base image: docs/github.md has the command.
ARG BASE=python:3.13-slim
FROM ${BASE} AS build
WORKDIR /project
RUN python -m venv /opt/reconcile
COPY requirements.txt requirements-embedded.txt requirements-dashboard.txt ./
RUN /opt/reconcile/bin/pip install --no-cache-dir --require-hashes --requirement requirements.txt \
    --requirement requirements-embedded.txt --requirement requirements-dashboard.txt
COPY pyproject.toml README.md LICENSE ./
COPY reconciler ./reconciler
COPY schemas ./schemas
COPY rollout_client ./rollout_client
RUN /opt/reconcile/bin/pip install --no-cache-dir --no-deps --no-build-isolation ./rollout_client .

FROM ${BASE}
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git openssh-client \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 reconcile \
    && install --directory --owner=reconcile /work
COPY --from=build /opt/reconcile /opt/reconcile
ENV PATH=/opt/reconcile/bin:$PATH
# A number, because Kubernetes can check only a number against runAsNonRoot.
USER 10001
WORKDIR /work
ENTRYPOINT ["reconcile"]
