# Sets `workspace` to the nearest workspace at or above the current folder; empty where there is none.
workspace=$PWD
until [ -z "$workspace" ] || grep -qs '^\[tool\.scaffold\]' "$workspace/pyproject.toml"; do
  workspace=${workspace%/*}
done
