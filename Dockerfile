# reconcile as an image: docker build --tag reconcile . && docker run --rm -v "$PWD:/work" reconcile validate
# What is installed comes from the lock, by hash. With a named database the image is all that a job needs, as any user;
# without one it runs the embedded Postgres beside the file, as a user that the image knows, since initdb asks who it is.
FROM python:3.13-slim AS build
WORKDIR /project
RUN python -m venv /opt/reconcile
COPY requirements.txt ./
RUN /opt/reconcile/bin/pip install --no-cache-dir --require-hashes --requirement requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY reconciler ./reconciler
RUN /opt/reconcile/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.13-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git openssh-client \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 reconcile \
    && install --directory --owner=reconcile /work
COPY --from=build /opt/reconcile /opt/reconcile
ENV PATH=/opt/reconcile/bin:$PATH
# By number, so that whoever runs it can tell that it is not root.
USER 10001
WORKDIR /work
ENTRYPOINT ["reconcile"]
