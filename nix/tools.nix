# What the workspace runs on: its Python with every package of pyproject.toml, and programs.
{ pkgs }:
let
  packages = import ./packages.nix { inherit pkgs; };
  python = pkgs.python313.withPackages (_: packages.running ++ packages.developing);

  # Enough for all that is no database.
  withoutDatabase = [
    python
    pkgs.ruff
    pkgs.git
    pkgs.gnumake
  ];
in
{
  inherit python withoutDatabase;

  # The PostgreSQL on PATH is the one that the workspace runs as its own.
  all = withoutDatabase ++ [
    pkgs.postgresql_18
    pkgs.uv
    pkgs.curl
  ];
}
