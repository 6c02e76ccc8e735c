# The Python packages of the framework's project file, from nixpkgs.
{ pkgs }:
let
  ps = pkgs.python313.pkgs;
in
{
  # What a running service and the database manager need.
  running =
    with ps;
    [
      aiohttp
      alembic
      asyncpg
      click
      h11
      httptools
      hypercorn
      orjson
      pydantic
      pydantic-settings
      python-dotenv
      quart
      sqlalchemy
      uvicorn
      uvloop
      werkzeug
    ]
    ++ sqlalchemy.optional-dependencies.asyncio;

  # What a developer of a workspace runs besides, the generator among it.
  developing = with ps; [
    hatchling
    httpx
    inflect
    jinja2
    mypy
    packaging
    pip # finds all that a service's requirements.txt wants
    pytest
    pytest-asyncio
    pytest-xdist
    ruff
    (import ./grimp.nix {
      inherit pkgs;
      python = pkgs.python313;
    })
  ];
}
