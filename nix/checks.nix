# `nix flake check`: what `make lint`, `make types` and `make test` look at, without a network.
{
  pkgs,
  self,
  tools,
  formatter,
}:
let
  # Nothing else has the linter, the type checker and the contracts run again.
  code = builtins.path {
    name = "code";
    path = ../.;
    filter =
      path: type:
      type == "directory" || builtins.match ".*\\.(py|toml|txt|typed|yaml|jinja)" path != null;
  };

  check =
    source: name: inputs: script:
    pkgs.runCommand name
      {
        nativeBuildInputs = inputs;
        # Otherwise the sandbox of macOS has no loopback.
        __darwinAllowLocalNetworking = true;
      }
      ''
        cp -r ${source} workspace
        chmod -R u+w workspace
        cd workspace
        export HOME="$PWD/../home" PYTHONPATH="$PWD:$PWD/services"
        ${script}
        : > $out
      '';

  # Left out are the tests of what a sandbox has not: Nix, a git history, a package index.
  pytest = toString [
    "python -m pytest -q -n auto --maxprocesses 4 -p no:cacheprovider -p nix.selection"
    "--ignore=tests/nix"
    "--ignore=tests/readme"
    "--ignore=tests/containers/test_image.py"
    # Their sockets have longer paths in a sandbox than the system takes, or want another user.
    "--ignore=tests/chassis/test_supervised.py"
    "--ignore=tests/generated/test_together.py"
    "--ignore=tests/page"
    "--ignore-glob='tests/scaffold/test_up_*.py'"
  ];
  withPooler = tools.all ++ [ pkgs.pgbouncer ];
in
{
  formatting = check self "formatting" [ formatter ] "treefmt --ci --tree-root=.";
  lint = check code "lint" tools.withoutDatabase "ruff check .";
  types = check code "types" tools.withoutDatabase "python -m mypy .";
  contracts = check code "contracts" tools.withoutDatabase "python -m scaffold contracts";
  revisions = check code "revisions" tools.withoutDatabase "python -m db_manager lint";
  unit = check self "unit" tools.withoutDatabase "${pytest} -m 'unit and not slow'";
}
// pkgs.lib.optionalAttrs pkgs.stdenv.hostPlatform.isLinux {
  database = check self "database" withPooler "${pytest} -m 'database and not slow'";
}
