{
  description = "the offline stand-in for nixpkgs, with the attributes that it lacks";
  outputs =
    { self }:
    {
      lib = import ./lib.nix;
      legacyPackages = builtins.listToAttrs (
        map
          (system: {
            name = system;
            value = import ./additions.nix (import ./default.nix { inherit system; });
          })
          [
            "x86_64-linux"
            "aarch64-linux"
            "aarch64-darwin"
          ]
      );
    };
}
