<%!
    import json

    def quoted(revisions):
        """Write ids as the formatter would."""
        if isinstance(revisions, (tuple, list)):
            return "(" + ", ".join(json.dumps(each) for each in revisions) + ("," if len(revisions) == 1 else "") + ")"
        return "None" if revisions is None else json.dumps(revisions)
%>\
<%
    body = f"{upgrades or ''}{downgrades or ''}"
%>\
"""${message.replace("\\", "\\\\").replace('"', '\\"')}"""

% if "sa." in body:
import sqlalchemy as sa
% endif
% if "op." in body:
from alembic import op
% endif
% if imports:
${imports}
% endif
% if "sa." in body or "op." in body or imports:

% endif
revision = ${quoted(up_revision)}
down_revision = ${quoted(down_revision)}
phase = "expand"
% if branch_labels:
branch_labels = ${quoted(branch_labels)}
% endif
% if depends_on:
depends_on = ${quoted(depends_on)}
% endif


def upgrade() -> None:
    ${upgrades if upgrades else '"""Change nothing yet."""'}


def downgrade() -> None:
    ${downgrades if downgrades else '"""Change nothing yet."""'}
