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
      prometheus-client
      pydantic
      pydantic-settings
      python-dotenv
      quart
      sqlalchemy
      structlog
      uvicorn
      uvloop
      werkzeug
      # swagger-ui-bundle-v2 from PyPI: nixpkgs has Swagger UI 4, which reads no OpenAPI 3.1.
      (buildPythonPackage rec {
        pname = "swagger_ui_bundle_v2";
        version = "5.31.0";
        format = "wheel";
        src = fetchPypi {
          inherit pname version format;
          dist = "py3";
          python = "py3";
          hash = "sha256-rYSEOZyNooaNuGCAvNib0yCdjvtpFZosAUV2baiWgRI=";
        };
        dependencies = [ jinja2 ];
      })
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
