{
  description = "A fleet of asynchronous Quart microservices: Python, PostgreSQL and every tool, pinned";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      eachSystem = nixpkgs.lib.genAttrs [
        "x86_64-linux"
        "aarch64-linux"
        "aarch64-darwin"
      ];
      parts = eachSystem (
        system:
        let
          pkgs = nixpkgs.legacyPackages.${system};
          tools = import ./nix/tools.nix { inherit pkgs; };
          commands = import ./nix/commands.nix { inherit pkgs self tools; };
        in
        rec {
          inherit commands;
          shell = import ./nix/shell.nix { inherit pkgs tools; };
          formatter = import ./nix/formatter.nix { inherit pkgs; };
          checks = import ./nix/checks.nix {
            inherit
              pkgs
              self
              tools
              formatter
              ;
          };
        }
      );
      app = description: command: {
        type = "app";
        program = nixpkgs.lib.getExe command;
        meta = { inherit description; };
      };
    in
    {
      devShells = eachSystem (system: {
        default = parts.${system}.shell;
      });

      packages = eachSystem (system: {
        default = parts.${system}.commands.scaffold;
      });

      apps = eachSystem (
        system: with parts.${system}.commands; {
          default = app "The generator; without arguments, the demo" scaffoldOrDemo;
          demo = app "Four services, generated and running, asked over HTTP" demo;
          test = app "Every test of the workspace around the current folder" test;
        }
      );

      checks = eachSystem (system: parts.${system}.checks);

      formatter = eachSystem (system: parts.${system}.formatter);
    };
}
