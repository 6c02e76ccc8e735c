# `nix flake init -t`: the files that `python -m scaffold init` makes, straight from the framework.
#
# Only what init renders for its folder, which Nix cannot, is here as the framework has it: the names
# in the compose files and pyproject.toml, the version beside the latter, and README.md. tests/nix holds
# the rest to init's very bytes.
let
  root = toString ../.;

  # Carried whole, but for what a workspace itself adds to those of `shipped`.
  folders = [
    "db_manager"
    "nix"
    "quart_fleet"
    "scaffold"
    "shared"
    "tests/architecture"
  ];
  shipped = {
    "db_manager/migrations/versions" = [ "3ef43f3fe70a_create_users.py" ];
    "shared/models" = [
      "__init__.py"
      "base.py"
      "user.py"
    ];
    "tests/architecture" = [
      "__init__.py"
      "test_contracts.py"
    ];
  };
  files = [
    ".dockerignore"
    ".envrc"
    ".gitattributes"
    ".gitignore"
    "LICENSE"
    "Makefile"
    "README.md"
    "compose.yaml"
    "docs/cluster.md"
    "flake.lock"
    "flake.nix"
    "pyproject.toml"
    "services/README.md"
    "services/compose.yaml"
    "tests/__init__.py"
  ];

  startsWith = prefix: text: builtins.substring 0 (builtins.stringLength prefix) text == prefix;
  isIn = folder: path: path == folder || startsWith "${folder}/" path;
  # A folder is entered where something below it is carried.
  leadsTo = path: builtins.any (startsWith "${path}/") (folders ++ files);

  isCarried =
    path: type:
    let
      parent = builtins.dirOf path;
    in
    if type != "directory" && shipped ? ${parent} then
      builtins.elem (baseNameOf path) shipped.${parent}
    else
      builtins.any (folder: isIn folder path) folders
      || builtins.elem path files
      || type == "directory" && leadsTo path;
in
{
  description = "A fresh workspace: the framework, and no services yet";
  welcomeText = ''
    Give it a name in pyproject.toml, in compose.yaml and what it includes, and a README.md of its own, put it into git
    (a flake sees tracked files only), then

        nix develop
        python -m scaffold user-service 8081
  '';
  path = builtins.path {
    path = ../.;
    name = "workspace";
    filter =
      path: type:
      isCarried (builtins.substring (builtins.stringLength root + 1) (-1) (toString path)) type;
  };
}
