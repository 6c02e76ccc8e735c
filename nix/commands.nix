# The programs of `nix run` and `nix build`.
{
  pkgs,
  self,
  tools,
}:
let
  command =
    name: text:
    pkgs.writeShellApplication {
      inherit name text;
      runtimeInputs = tools.all;
    };
  # The generator of this very flake, whatever workspace the current folder is in.
  runScaffold = "PYTHONPATH=${self} exec python -P -m scaffold";
in
rec {
  scaffold = command "scaffold" ''
    ${runScaffold} "$@"
  '';

  # Nothing is installed: the interpreter has everything, and there may be no network.
  demo = command "demo" ''
    ${runScaffold} demo --no-install "$@"
  '';

  scaffoldOrDemo = command "scaffold-or-demo" ''
    if [ $# -eq 0 ]; then
      exec ${pkgs.lib.getExe demo}
    fi
    exec ${pkgs.lib.getExe scaffold} "$@"
  '';

  test = command "test" ''
    ${builtins.readFile ./workspace.sh}
    if [ -z "$workspace" ]; then
      echo "$PWD is in no workspace: no pyproject.toml with [tool.scaffold] here or above." >&2
      exit 1
    fi
    cd "$workspace"
    export PYTHONPATH="$workspace:$workspace/services:${self}"
    exec python -m pytest -n auto --maxprocesses 4 "$@"
  '';
}
