# `nix flake check`: what `make lint`, `make types` and `make test` look at, without a network.
{
  pkgs,
  self,
  tools,
}:
let
  check =
    name: inputs: script:
    pkgs.runCommand name { nativeBuildInputs = inputs; } ''
      cp -r ${self} workspace
      chmod -R u+w workspace
      cd workspace
      export HOME="$PWD/../home" PYTHONPATH="$PWD:$PWD/services"
      ${script}
      : > $out
    '';

  # Left out are the tests of what a sandbox has not: Nix, a git history, a package index.
  pytest = toString [
    "python -m pytest -q -p no:cacheprovider -p nix.selection"
    "--ignore=tests/nix"
    "--ignore=tests/readme"
    "--ignore=tests/containers/test_image.py"
  ];
  withPooler = tools.all ++ [ pkgs.pgbouncer ];
in
{
  lint = check "lint" tools.withoutDatabase ''
    ruff check .
    ruff format --check .
  '';
  types = check "types" tools.withoutDatabase "python -m mypy .";
  contracts = check "contracts" tools.withoutDatabase "python -m scaffold contracts";
  unit = check "unit" tools.withoutDatabase "${pytest} -m 'unit and not slow'";
}
// pkgs.lib.optionalAttrs pkgs.stdenv.hostPlatform.isLinux {
  database = check "database" withPooler "${pytest} -m 'database and not slow'";
}
