"""The flake, run by Nix against the offline stand-in for nixpkgs."""
