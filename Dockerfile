# syntax=docker/dockerfile:1

# The image of all programs: archiver (the entry point), generator, producer and echo consumer.
#   docker build -t archiver:0.1.0 .        (or: docker compose build archiver)
#   docker run --rm --read-only --tmpfs /tmp -v archive:/archive archiver:0.1.0 \
#     run --brokers kafka:9092 --topics events …
# The target `dev` is the checkout with its tools, for `docker compose run --rm dev bash`.

FROM node:24.21.0-bookworm-slim@sha256:0e0ff40c39bc087845bfb27465a0df4ea419520094bc35842ff83dd8cbe6f9b6 AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci && npm cache clean --force

FROM dependencies AS dev
COPY . .
RUN chown -R node:node /app
USER 1000:1000
CMD ["bash"]

FROM dependencies AS build
COPY tsconfig.json tsconfig.build.json ./
COPY src src
RUN npm run build && npm prune --omit=dev

FROM node:24.21.0-bookworm-slim@sha256:0e0ff40c39bc087845bfb27465a0df4ea419520094bc35842ff83dd8cbe6f9b6
# Debian keeps only the newest build of a package: apt would soon not find a pinned version.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends tini \
 && rm -rf /var/lib/apt/lists/* \
 && install --directory --owner node --group node /archive
WORKDIR /app
COPY package.json LICENSE ./
COPY index-templates index-templates
COPY kibana/archiver.ndjson kibana/
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
# So the default of --archive-dir, ./archive, is the volume.
WORKDIR /
ENV NODE_ENV=production
# Without it, glibc keeps large buffers that were freed: the peak is 50 MB higher.
ENV MALLOC_MMAP_THRESHOLD_=131072
# A number, so that Kubernetes can see that the user is not root (runAsNonRoot).
USER 1000:1000
VOLUME /archive
# The port of --http in the examples.
EXPOSE 9464
# tini passes signals on to the program and reaps the processes that it leaves behind.
# Without the flag, SIGUSR1 opens Node's debugger until the program listens for the signal.
ENTRYPOINT ["tini", "--", "node", "--disable-sigusr1", "/app/dist/cmd/archiver.js"]
CMD ["run"]
