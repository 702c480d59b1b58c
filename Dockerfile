# syntax=docker/dockerfile:1
# The tags of the two bases move with their security fixes; `docker buildx imagetools inspect` tells the digests of the
# day, for who wants each build the same. What Python installs is held by uv.lock, hash by hash.
FROM python:3.13-slim-bookworm AS build
ENV UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_PYTHON=3.13 UV_PYTHON_PREFERENCE=only-managed UV_PYTHON_INSTALL_DIR=/python
RUN pip install --no-cache-dir uv && uv python install
WORKDIR /app
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN uv sync --locked --no-default-groups --extra server --no-install-project
COPY src ./src
RUN uv sync --locked --no-default-groups --extra server --no-editable

# No shell, no package manager: the C library, certificates, and a Python that needs nothing else.
FROM gcr.io/distroless/cc-debian12
COPY --from=build /python /python
COPY --from=build /app/.venv /app/.venv
ENV PATH=/app/.venv/bin PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
EXPOSE 8000 9464
ENTRYPOINT ["payments"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
