# The whole system, one image: every role, the pages, and the programs of the demo's own broker and database.
FROM node:22-bookworm-slim AS web
WORKDIR /web
COPY web/package.json web/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY web/ ./
RUN npm run build

FROM python:3.12-slim-bookworm
# mosquitto serves the profile `demo` alone; real tenants use the container `broker`.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends mosquitto \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY requirements.lock ./
RUN pip install --no-cache-dir --no-deps --require-hashes --only-binary :all: -r requirements.lock
COPY . ./
COPY --from=web /web/dist web/dist
# 1883 is the user of eclipse-mosquitto's image: both containers read the credentials in the shared volume.
RUN useradd --uid 1883 --no-create-home citybrain \
    && install --directory --owner=1883 --group=1883 /data /broker-credentials
ENV PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 CITYBRAIN_DATA_DIR=/data CITYBRAIN_HOST=0.0.0.0
USER 1883
VOLUME /data
EXPOSE 8443
ENTRYPOINT ["/app/deploy/system-entrypoint.sh"]
CMD ["up"]
