# syntax=docker/dockerfile:1
# The one image of tailramp: `tailramp worker`, `tailramp sentinel` and every other command.
#
#   docker buildx build --platform linux/amd64,linux/arm64 --tag tailramp:0.1.0 .
#
# MIRROR is put in front of the base image's name, with a slash at its end; PIP_INDEX_URL is where packages come from.

ARG MIRROR=""

FROM ${MIRROR}python:3.12-slim-bookworm AS build
ARG PIP_INDEX_URL=""
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python -m venv /opt/tailramp
COPY requirements/build.txt requirements/runtime.txt requirements/
RUN if [ -n "$PIP_INDEX_URL" ]; then export PIP_INDEX_URL; else unset PIP_INDEX_URL; fi \
 && /opt/tailramp/bin/python -m pip install --require-hashes -r requirements/build.txt -r requirements/runtime.txt
COPY pyproject.toml README.md ./
COPY tailramp tailramp
COPY workflows workflows
COPY activities activities
COPY worker worker
COPY cli cli
COPY gateway gateway
COPY lab lab
RUN /opt/tailramp/bin/python -m pip install --no-deps --no-build-isolation . \
 && /opt/tailramp/bin/python -m pip uninstall --yes setuptools pip

FROM ${MIRROR}python:3.12-slim-bookworm
RUN useradd --uid 10001 --user-group --home-dir /var/lib/tailramp --shell /usr/sbin/nologin tailramp \
 && install -d -o tailramp -g tailramp /var/lib/tailramp/routes /var/lib/tailramp/records /var/lib/tailramp/gateway
COPY --from=build /opt/tailramp /opt/tailramp
ENV PATH=/opt/tailramp/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /var/lib/tailramp
ENTRYPOINT ["tailramp"]
CMD ["--help"]
