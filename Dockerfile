# syntax=docker/dockerfile:1
# docker build -t wsprism .    With another base or a digest: --build-arg PYTHON_IMAGE=python:3.11.14-slim-bookworm@sha256:…
# (and BUILD_IMAGE of the same Python and distribution, with a C compiler).
ARG BUILD_IMAGE=python:3.11.14-bookworm
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm

# pip, the C compiler and what they need stay here: one environment without pip leaves this stage, compiled.
FROM ${BUILD_IMAGE} AS build
WORKDIR /src
COPY . .
RUN python -m venv --without-pip /opt/wsprism \
    && WSPRISM_COMPILE=1 python -m pip --python /opt/wsprism/bin/python install --no-cache-dir '.[redis]'

FROM ${PYTHON_IMAGE}
RUN python -m pip uninstall --yes --root-user-action=ignore pip setuptools wheel \
    && groupadd --system --gid 10001 wsprism \
    && useradd --system --uid 10001 --gid wsprism --no-create-home --shell /usr/sbin/nologin wsprism
COPY --from=build /opt/wsprism /opt/wsprism
COPY config/wsprism.yaml /etc/wsprism/wsprism.yaml
ENV PATH=/opt/wsprism/bin:$PATH PYTHONDONTWRITEBYTECODE=1
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
# Alive, not ready: a gateway that drains is healthy, and must not be killed for it.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 \
    CMD ["wsprism", "health", "--live", "--config", "/etc/wsprism/wsprism.yaml"]
ENTRYPOINT ["wsprism"]
CMD ["start", "--config", "/etc/wsprism/wsprism.yaml"]
