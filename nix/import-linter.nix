# import-linter and grimp, which it stands on: nixpkgs has neither in the versions we need, so they
# come from PyPI, by fixed hash. grimp is Rust: its wheels spare everybody a compiler.
{ pkgs, python }:
let
  inherit (python.pkgs) buildPythonPackage fetchPypi;

  grimpWheels = {
    x86_64-linux = {
      platform = "manylinux2014_x86_64.manylinux_2_17_x86_64";
      hash = "sha256-jkmtmbDGLccN/Fdx55juFC36lmG7YphsyEvwj1c0M1Y=";
    };
    aarch64-linux = {
      platform = "manylinux2014_aarch64.manylinux_2_17_aarch64";
      hash = "sha256-Y5dfFfAEgrmJW3tJYSPoTF3SPqg3VGB0LwKBW84Atyc=";
    };
    aarch64-darwin = {
      platform = "macosx_11_0_arm64";
      hash = "sha256-TDJAl+YyHRI+ID9j4hPTeAsth/w/RbqwQkUGij6BmL4=";
    };
  };

  grimp = buildPythonPackage rec {
    pname = "grimp";
    version = "3.19";
    format = "wheel";
    src = fetchPypi (
      {
        inherit pname version format;
        dist = "cp313";
        python = "cp313";
        abi = "cp313";
      }
      // grimpWheels.${pkgs.stdenv.hostPlatform.system}
    );
    # On Linux a wheel looks for libgcc where the distribution would have it.
    nativeBuildInputs = pkgs.lib.optionals pkgs.stdenv.hostPlatform.isLinux [ pkgs.autoPatchelfHook ];
    buildInputs = pkgs.lib.optionals pkgs.stdenv.hostPlatform.isLinux [ pkgs.stdenv.cc.cc.lib ];
    pythonImportsCheck = [ "grimp" ];
  };
in
buildPythonPackage rec {
  pname = "import-linter";
  version = "2.16";
  format = "wheel";
  src = fetchPypi {
    pname = "import_linter";
    inherit version format;
    dist = "py3";
    python = "py3";
    hash = "sha256-53VgLpIUqzkz/H0hYieOofEd2SKckUc1wb2kO5RhlWU=";
  };
  dependencies = [
    grimp
    python.pkgs.click
    python.pkgs.rich
  ];
  pythonImportsCheck = [ "importlinter" ];
}
