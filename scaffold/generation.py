"""A service as files: what its name and port, and the workspace that it joins, make of it."""

from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from scaffold import compose, environment, refusals
from scaffold.compose import ComposeFile
from scaffold.context import (
    ResourceContext,
    RevisionWords,
    ServiceContext,
    describe_resource,
    describe_revision,
    describe_service,
)
from scaffold.fields import PLAIN, USER, FieldSet
from scaffold.names import ResourceName, ServiceName
from scaffold.plan import Plan
from scaffold.render import Files, format_python, render, render_tree
from scaffold.revisions import VERSIONS, read_history, revision_id
from scaffold.workspace import PROJECT_FILE, SERVICES, Workspace

_SHIPPED_RESOURCE = "user"
"""Its model and its revision come with the framework."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A service that was asked for and that nothing refuses."""

    workspace: Workspace
    name: ServiceName
    port: int
    resource: ResourceName | None = None

    @property
    def folder(self) -> PurePosixPath:
        """Where the service goes, below the workspace's root."""
        return PurePosixPath(SERVICES, self.name.package)

    def plan(self) -> Plan:
        """Decide every write; raises ScaffoldError."""
        root = self.workspace.root
        composition = ComposeFile.read(root)
        service = describe_service(self.name, self.port, composition.project)
        files = format_python(self._render(service), root / PROJECT_FILE)
        contents = {path: text.encode() for path, text in files.items()}
        keep = [path for path in files if path.name == ".env" or path.is_relative_to(VERSIONS)]
        plan = Plan.decide(root, contents | environment.find_missing(root), keep)
        if composition.has(self.name.image) or not composition.takes_entries:
            return plan
        entry = render(compose.ENTRY_TEMPLATE, service)
        return plan.amend(compose.FILE, composition.with_entry(entry).encode())

    def _render(self, service: ServiceContext) -> Files:
        files = _below(self.folder, render_tree("service", service))
        files[self.folder / ".env"] = files[self.folder / ".env.example"]
        if self.resource is None:
            return files
        resource = describe_resource(service, self.resource, _fields(self.resource))
        name = self.resource.name
        files |= _below(self.folder, render_tree("resource", resource, name))
        if name != _SHIPPED_RESOURCE:
            model = PurePosixPath(refusals.MODELS, f"{name}.py")
            files[model] = render("models/_resource_.py.jinja", resource)
            files |= self._render_revision(resource)
        return files

    def _render_revision(self, resource: ResourceContext) -> Files:
        """Render the revision of a table that no other revision creates."""
        table = resource["resource"].table
        history = read_history(self.workspace.root)
        if history.creates(table):
            return {}
        words = RevisionWords(revision_id(table), history.find_head())
        context = describe_revision(resource, words)
        path = PurePosixPath(VERSIONS, f"{words.id}_create_{table}.py")
        return {path: render("models/revision.py.jinja", context)}


def draft_service(workspace: Workspace, name: ServiceName, port: int) -> Draft:
    """Return a service with its resource; raises ScaffoldError where something is taken."""
    refusals.refuse_bare_service(workspace, name)
    draft = _draft(workspace, name, port)
    resource = ResourceName.of(name)
    table = resource.table([field.name for field in _fields(resource).unique])
    refusals.refuse_taken_resource(workspace, name, resource, table)
    if resource.name == _SHIPPED_RESOURCE:
        refusals.refuse_missing_model(workspace, name, resource)
    return replace(draft, resource=resource)


def draft_bare_service(workspace: Workspace, name: ServiceName, port: int) -> Draft:
    """Return a service that keeps nothing; raises ScaffoldError where something is taken."""
    refusals.refuse_keeping_service(workspace, name)
    return _draft(workspace, name, port)


def _draft(workspace: Workspace, name: ServiceName, port: int) -> Draft:
    refusals.refuse_taken_import(workspace, name)
    refusals.refuse_other_spelling(workspace, name)
    refusals.refuse_taken_container(workspace, name)
    refusals.refuse_taken_port(workspace, name, port)
    return Draft(workspace, name, port)


def _fields(resource: ResourceName) -> FieldSet:
    return USER if resource.name == _SHIPPED_RESOURCE else PLAIN


def _below(folder: PurePosixPath, files: Files) -> Files:
    return {folder / path: text for path, text in files.items()}
