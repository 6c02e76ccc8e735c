"""Alembic's environment: what it runs on is the connection that the manager hands over."""

from alembic import context

from db_manager.workspace import get_workspace


def _run() -> None:
    """Run Alembic's command, each revision in a transaction of its own."""
    offline = context.is_offline_mode()
    progress = context.config.attributes.get("progress")
    options = {"version_table": get_workspace().version_table, "progress": progress}
    context.configure(
        connection=None if offline else context.config.attributes["connection"],
        dialect_name="postgresql",
        literal_binds=offline,
        transaction_per_migration=True,
        on_version_apply=context.config.attributes.get("on_version_apply", ()),
        **(options | context.config.attributes.get("comparison", {})),
    )
    if progress is not None:
        progress.follow(context.get_context())
    with context.begin_transaction():
        context.run_migrations()


_run()
