# `nix fmt`: Nix, Python and shell, each by its own formatter.
{ pkgs }:
pkgs.treefmt.withConfig {
  runtimeInputs = [
    pkgs.nixfmt
    pkgs.ruff
    pkgs.shfmt
  ];
  settings = {
    on-unmatched = "debug";
    tree-root-file = "flake.nix";
    formatter = {
      nixfmt = {
        command = "nixfmt";
        includes = [ "*.nix" ];
      };
      ruff = {
        command = "ruff";
        options = [ "format" ];
        includes = [ "*.py" ];
      };
      shfmt = {
        command = "shfmt";
        options = [
          "--write"
          "--indent=2"
          "--case-indent"
        ];
        includes = [
          "*.sh"
          ".ci/run"
        ];
      };
    };
  };
}
