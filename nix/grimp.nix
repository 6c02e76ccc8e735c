# grimp, which reads the graph of imports: nixpkgs lacks the version that is needed, so it comes from
# PyPI, by fixed hash. It is Rust: its wheels spare a compiler.
{ pkgs, python }:
let
  inherit (python.pkgs) buildPythonPackage fetchPypi;

  wheels = {
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
in
buildPythonPackage rec {
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
    // wheels.${pkgs.stdenv.hostPlatform.system}
  );
  # On Linux a wheel looks for libgcc where the distribution would have it.
  nativeBuildInputs = pkgs.lib.optionals pkgs.stdenv.hostPlatform.isLinux [ pkgs.autoPatchelfHook ];
  buildInputs = pkgs.lib.optionals pkgs.stdenv.hostPlatform.isLinux [ pkgs.stdenv.cc.cc.lib ];
  dependencies = [ python.pkgs.typing-extensions ];
  pythonImportsCheck = [ "grimp" ];
}
