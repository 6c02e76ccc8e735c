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

  python313 = base.python313 // rec {
    pkgs = base.python313.pkgs // {
      pip = pythonPackage "pip";
      httptools = pythonPackage "httptools";
      inflect = pythonPackage "inflect";
      python-dotenv = pythonPackage "python-dotenv";
      # Evaluates all that the real ones would be given; the host's Python has the packages.
      fetchPypi = arguments: builtins.deepSeq arguments "/stub/${arguments.hash}";
      buildPythonPackage =
        arguments: builtins.deepSeq arguments (pythonPackage arguments.pname);
    };
    withPackages = choose: base.python313.withPackages (_: choose pkgs);
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
  nixfmt-tree = program "treefmt" "/bin/echo" // {
    meta.mainProgram = "treefmt";
  };
  gnumake = program "make" "/usr/bin/make";
  pgbouncer = program "pgbouncer" "/usr/sbin/pgbouncer";
  uv = program "uv" "${host.python}/uv";
}
