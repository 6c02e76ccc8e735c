# `nix develop`: the tools on PATH and the workspace importable; nothing is started or written.
{ pkgs, tools }:
pkgs.mkShellNoCC {
  packages = tools.all;
  shellHook = ''
    ${builtins.readFile ./workspace.sh}
    if [ -n "$workspace" ]; then
      export PYTHONPATH="$workspace:$workspace/services"
    fi
    unset workspace
    # Tells make that it has nothing to install.
    export FLEET_NIX_SHELL=1
    # uv takes this Python, and fetches no other.
    export UV_PYTHON=${tools.python}/bin/python3 UV_PYTHON_DOWNLOADS=never
    # nixpkgs sets these for builds; a service wants unpredictable hashes.
    unset PYTHONHASHSEED DETERMINISTIC_BUILD SOURCE_DATE_EPOCH
    cat >&2 <<'END'
    A service:     python -m scaffold user-service 8081
    The database:  python -m db_manager migrate
    Run it:        python services/user_service/app.py   (pytest runs its tests)
    END
  '';
}
