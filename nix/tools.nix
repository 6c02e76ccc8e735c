# What the workspace runs on: its Python with every package of pyproject.toml, and programs.
{ pkgs }:
let
  python = pkgs.python313.withPackages (
    ps:
    with ps;
    [
      # What a running service and the database manager need.
      alembic
      asyncpg
      click
      httptools
      hypercorn
      orjson
      pydantic
      pydantic-settings
      python-dotenv
      quart
      rich
      sqlalchemy
      uvicorn
      uvloop
      # The generator.
      inflect
      jinja2
      # Everything a developer of the workspace runs.
      httpx
      mypy
      pip # finds all that a service's requirements.txt wants
      pytest
      pytest-asyncio
      pytest-xdist
      ruff
      (import ./import-linter.nix {
        inherit pkgs;
        python = pkgs.python313;
      })
    ]
    ++ sqlalchemy.optional-dependencies.asyncio
  );
in
{
  inherit python;
  inherit (pkgs) postgresql_17;

  # Enough for all that is no database.
  withoutDatabase = [
    python
    pkgs.ruff
    pkgs.git
    pkgs.gnumake
  ];

  # The PostgreSQL on PATH is the one that the workspace runs as its own.
  all = [
    python
    pkgs.ruff
    pkgs.git
    pkgs.gnumake
    pkgs.postgresql_17
    pkgs.uv
    pkgs.curl
  ];
}
