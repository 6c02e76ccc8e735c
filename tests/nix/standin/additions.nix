# What the flake uses and the stand-in lacks, each as little as evaluation and this host need.
base:
let
  host = builtins.fromJSON (builtins.readFile ./host.json);

  program =
    name: path:
    derivation {
      inherit name;
      inherit (base) system;
      builder = host.bash;
      PATH = host.basePath;
      args = [
        "-euc"
        ''
          mkdir -p $out/bin
          printf '#!/bin/sh\nexec "%s" "$@"\n' '${path}' > $out/bin/${name}
          chmod +x $out/bin/${name}
          : # Nix kills a builder whose last program has closed its output but not ended yet
        ''
      ];
    };

  pythonPackage = pname: {
    inherit pname;
    outPath = "/stub/${pname}";
  };

  # This host has no such program; what asks for it says so.
  emptied =
    name:
    derivation {
      inherit name;
      inherit (base) system;
      builder = host.bash;
      PATH = host.basePath;
      args = [
        "-euc"
        "mkdir -p $out/bin; :"
      ];
    };

  python313 = base.python313 // rec {
    pkgs = base.python313.pkgs // {
      pip = pythonPackage "pip";
      aiohttp = pythonPackage "aiohttp";
      h11 = pythonPackage "h11";
      httptools = pythonPackage "httptools";
      inflect = pythonPackage "inflect";
      packaging = pythonPackage "packaging";
      python-dotenv = pythonPackage "python-dotenv";
      typing-extensions = pythonPackage "typing-extensions";
      # Evaluates all that the real ones would be given; the host's Python has the packages.
      fetchPypi = arguments: builtins.deepSeq arguments "/stub/${arguments.hash}";
      buildPythonPackage =
        arguments:
        builtins.deepSeq arguments (pythonPackage arguments.pname)
        // (if builtins.isPath arguments.src then { unpacked = unpack arguments; } else { });
    };
    # A package from a wheel in the flake itself is really unpacked, and comes before the host's.
    withPackages =
      choose:
      let
        chosen = choose pkgs;
        python = base.python313.withPackages (_: chosen);
        wheels = builtins.filter (package: package ? unpacked) chosen;
        paths = builtins.concatStringsSep ":" (map (package: "${package.unpacked}") wheels);
      in
      if wheels == [ ] then python else withPath python paths;
  };

  unpack =
    arguments:
    derivation {
      name = arguments.pname;
      inherit (base) system;
      inherit (arguments) src;
      builder = host.bash;
      PATH = host.basePath;
      args = [
        "-euc"
        "${host.python}/python -m zipfile -e $src $out"
      ];
    };

  withPath =
    python: paths:
    derivation {
      name = "python3-env-with-wheels";
      inherit (base) system;
      inherit python paths;
      builder = host.bash;
      PATH = host.basePath;
      args = [
        "-euc"
        ''
          mkdir -p $out/bin
          for program in $python/bin/*; do
            printf '#!/bin/sh\nPYTHONPATH="''${PYTHONPATH:+$PYTHONPATH:}%s" exec "%s" "$@"\n' \
              "$paths" "$program" > $out/bin/''${program##*/}
            chmod +x $out/bin/''${program##*/}
          done
          : # Nix kills a builder whose last program has closed its output but not ended yet
        ''
      ];
    };
in
base
// {
  inherit python313;
  lib = base.lib // {
    optionalAttrs = condition: set: if condition then set else { };
  };
  stdenv = base.stdenv // {
    cc.cc.lib = "/stub/libgcc";
    hostPlatform = {
      inherit (base) system;
      isLinux = base.system != "aarch64-darwin";
    };
  };
  autoPatchelfHook = "/stub/auto-patchelf";
  treefmt.withConfig =
    { settings, runtimeInputs }:
    let
      wanted = builtins.concatStringsSep ":" (map (package: "${package}/bin") runtimeInputs);
    in
    derivation {
      name = "treefmt";
      inherit (base) system;
      builder = host.bash;
      PATH = host.basePath;
      settings = builtins.toJSON settings;
      passAsFile = [ "settings" ];
      args = [
        "-euc"
        ''
          mkdir -p $out/bin
          cp $settingsPath $out/settings.json
          printf '#!/bin/sh\nPATH="%s:$PATH" exec %s %s "%s" "$@"\n' \
            '${wanted}' '${host.python}/python' '${./treefmt.py}' "$out/settings.json" > $out/bin/treefmt
          chmod +x $out/bin/treefmt
          : # Nix kills a builder whose last program has closed its output but not ended yet
        ''
      ];
    }
    // {
      meta.mainProgram = "treefmt";
    };
  nixfmt-tree = program "treefmt" "/bin/echo" // {
    meta.mainProgram = "treefmt";
  };
  nixfmt = emptied "nixfmt";
  shfmt = program "shfmt" "/usr/bin/shfmt";
  gnumake = program "make" "/usr/bin/make";
  pgbouncer = program "pgbouncer" "/usr/sbin/pgbouncer";
  uv = program "uv" "${host.python}/uv";
}
