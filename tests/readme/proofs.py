"""What proves each command of the README that is not simply pasted from the page into a shell."""

TABLE = {
    "make lint": ["make lint"],
    "python -m scaffold NAME PORT [FIELD…]": [
        "python -m scaffold order-service 8083 'total:decimal(10,2):min(0)'",
        "python -m db_manager migrate",
    ],
    "python -m scaffold language": ["python -m scaffold language"],
    "python -m scaffold resource SERVICE RESOURCE FIELD…": [
        "python -m scaffold resource order-service invoice 'amount:decimal'",
    ],
    "python -m scaffold field SERVICE RESOURCE FIELD…": [
        "python -m scaffold field order-service invoice 'note:text?'",
    ],
    "python -m scaffold apply": ["python -m scaffold apply"],
    "python -m scaffold undo": ["python -m scaffold undo"],
    "python -m scaffold list": ["python -m scaffold list"],
    "python -m scaffold routes": ["python -m scaffold routes"],
    "python -m scaffold openapi [SERVICE]": ["python -m scaffold openapi order-service"],
    "python -m scaffold client CONSUMER PROVIDER [OPERATION…]": [
        "python -m scaffold mail-service 8089 --bare",
        "python -m scaffold client mail-service order-service get_order list_orders",
        "python -m scaffold remove mail-service",
    ],
    "python -m scaffold remove SERVICE [RESOURCE]": [
        "python -m scaffold remove order-service invoice",
    ],
    "python -m scaffold doctor": ["python -m db_manager migrate && python -m scaffold doctor"],
    "fleet": ["fleet list"],
    "fleet completion SHELL": ["fleet completion bash"],
    "python -m scaffold init DIR": ["python -m scaffold init ../shop-of-the-table"],
    "python -m scaffold contracts": ["python -m scaffold contracts"],
    "python -m scaffold contracts --api": ["python -m scaffold contracts --api"],
    "python -m scaffold env": ["python -m scaffold env --dry-run"],
    "python -m scaffold deploy k8s": ["python -m scaffold deploy k8s --dry-run"],
    "python -m scaffold deploy monitoring": ["python -m scaffold deploy monitoring --dry-run"],
    "python -m db_manager status": ["python -m db_manager status --json"],
    "python -m db_manager migrate": ["python -m db_manager migrate"],
    "python -m db_manager wait": ["python -m db_manager wait"],
    "python -m db_manager downgrade REVISION": [
        "python -m db_manager downgrade --yes -- -1",
        "python -m db_manager migrate",
    ],
    'python -m db_manager revision -m "…"': [
        'python -m db_manager revision -m "nothing yet" --empty',
        "python -m db_manager migrate",
    ],
    "python -m db_manager check": ["python -m db_manager check"],
    "python -m db_manager lint": ["python -m db_manager lint"],
    "python -m db_manager history": ["python -m db_manager history"],
    "python -m db_manager sql": ["python -m db_manager sql"],
    "python -m db_manager activity": ["python -m db_manager activity"],
    "python -m db_manager seed [SERVICE]": [
        "python -m db_manager migrate",
        "python -m db_manager seed order-service",
    ],
    "python -m db_manager create-tables": [
        "python -m db_manager drop-tables --yes",
        "python -m db_manager create-tables",
    ],
    "python -m db_manager drop-tables": ["python -m db_manager drop-tables --yes"],
    "python -m db_manager reset": ["python -m db_manager reset --yes"],
    "python -m db_manager postgres start": ["python -m db_manager postgres start"],
    "python -m db_manager postgres stop": ["python -m db_manager postgres stop"],
    "python -m db_manager postgres status": ["python -m db_manager postgres status"],
    "python -m db_manager postgres url": ["python -m db_manager postgres url"],
}
"""What is run for a command of the README's table, in a clone of it, in this order."""

IN_CI = ("make demo", "make test")
"""Lines of .ci/run."""

_HERE = "tests/readme/test_commands.py"
_NIX = "tests/nix/test_commands.py"
_UP = "tests/scaffold/test_up_commands.py"
_COMMANDED = f"{_UP}::test_a_fleet_in_the_background_is_asked_told_and_ended"

IN_TESTS = {
    "git clone <this repository> fleet && cd fleet": (f"{_HERE}::clone", "<this repository>"),
    "make types": (f"{_HERE}::test_a_workspace_of_ones_own_is_made_and_installed", "make types"),
    "python app.py": (f"{_HERE}::_while_running", '"app.py"'),
    "SERVICE_PORT=8090 python app.py": (f"{_HERE}::_while_running", '"SERVICE_PORT"'),
    "python app.py --server hypercorn": ("tests/contract/test_servers.py::hypercorn", '"--server"'),
    "python -m scaffold openapi user-service --out users.json": (
        "tests/openapi/test_contracts.py::test_a_document_is_printed_or_written_without_a_database",
        '"--out", "users.json"',
    ),
    "npx openapi-typescript users.json -o users.d.ts --default-non-nullable=false": (
        "tests/openapi/test_clients.py::test_a_client_in_typescript_does_all_and_is_typed",
        '"--default-non-nullable=false"',
    ),
    "openapi-python-client generate --path users.json --meta none": (
        "tests/openapi/test_clients.py::test_a_client_in_python_does_all_and_is_typed",
        '"openapi-python-client", "generate", "--path"',
    ),
    "python -m scaffold up [SERVICE…]": ("tests/scaffold/test_up.py::start", '"scaffold", "up"'),
    "python -m scaffold serve [SERVICE…]": (
        "tests/generated/test_together.py::test_a_name_is_a_service_or_its_package",
        '"scaffold", "serve"',
    ),
    "python -m scaffold up --detach": (f"{_UP}::detached", '"up", "--detach"'),
    "python -m scaffold ps": (_COMMANDED, 'get_json("ps")'),
    "python -m scaffold logs [SERVICE…]": (_COMMANDED, 'get_json("logs", "user-service"'),
    "python -m scaffold wait [SERVICE…]": (_COMMANDED, 'get_json("wait", "user_service")'),
    "python -m scaffold restart [SERVICE…]": (_COMMANDED, 'get_json("restart", "user-service")'),
    "python -m scaffold stop": (_COMMANDED, 'get_json("stop")'),
    "python -m db_manager shell [SERVICE]": (
        "tests/db_manager/test_shell.py::test_a_service_logs_in_with_its_own_rights",
        'copy.run("shell", "user-service"',
    ),
    "python -m scaffold test [SERVICE…]": (
        "tests/scaffold/test_chosen_tests.py::test_the_exit_code_is_that_of_pytest_which_gets_what_follows_two_dashes",
        'scaffold(root, "test", "user-service"',
    ),
    "python -m scaffold digests": (
        "tests/scaffold/test_digests.py::test_each_digest_is_renewed_wherever_it_is",
        'scaffold(pinned, "digests")',
    ),
    "python -m db_manager merge": (
        "tests/db_manager/test_branches.py::test_a_merge_is_the_way_out_of_two_heads",
        'branched.run("merge")',
    ),
    "python -m db_manager shell": (
        f"{_HERE}::test_troubleshooting_with_psql_works",
        "{psql}",
    ),
    "python -m scaffold templates copy PATH": (
        "tests/scaffold/test_templates.py::test_an_edited_template_reaches_ten_services_and_their_edits_stay",
        '"templates", "copy"',
    ),
    "python -m scaffold upgrade": (
        "tests/scaffold/test_upgrade.py::test_what_was_not_edited_is_then_what_the_newer_version_makes",
        '"upgrade"',
    ),
    "python -m scaffold upgrade --from WHEEL": (
        "tests/scaffold/test_upgrade.py::test_a_later_version_is_named_as_a_wheel_or_a_folder",
        '"--from"',
    ),
    "python -m scaffold remove product-service --assume-applied": (
        "tests/readme/test_guide.py::test_a_service_goes_as_the_page_says",
        "mentioned(",
    ),
    "nix develop": (
        "tests/nix/test_develop.py::test_the_commands_of_the_readme_work_in_the_shell",
        "nix.develop(",
    ),
    "nix run .#demo": (f"{_NIX}::test_the_demo_runs_to_its_end", "#demo"),
    "nix run . -- user-service 8081": (
        f"{_NIX}::test_the_generator_serves_any_workspace_from_any_folder_of_it",
        '"run", FRAMEWORK',
    ),
    "nix run .#test": (
        f"{_NIX}::test_the_tests_of_the_workspace_run_from_any_folder_of_it",
        "#test",
    ),
    "nix flake check": (
        "tests/nix/test_checks.py::test_every_check_passes_and_every_check_can_fail",
        "flake check",
    ),
    "nix run . -- init ../shop": ("tests/nix/conftest.py::made", '"run", FRAMEWORK, "--", "init"'),
}
"""By command, the function that runs it and words by which that is seen there."""
