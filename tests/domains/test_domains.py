"""Real domains, each of one fleet.toml: generated, checked, and used over HTTP as its users would."""

import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from quart_fleet.testing import NewDatabase
from tests.readme.test_guide import paste
from tests.workspace import GeneratedWorkspace, all_booted

pytestmark = pytest.mark.slow

DOMAINS = Path(__file__).parent


class Client:
    """Asks a service, and holds each answer to its status."""

    def __init__(self, client: httpx.Client, addresses: Mapping[str, str], package: str) -> None:
        self._client = client
        self._addresses = addresses
        self._package = package

    def of(self, package: str) -> "Client":
        """Return what asks another service of the fleet."""
        return Client(self._client, self._addresses, package)

    def ask(self, method: str, path: str, body: object = None, status: int = 200) -> Any:
        """Return the data of an answer, of a refusal its errors or else its message."""
        answer = self._client.request(method, f"{self._addresses[self._package]}{path}", json=body)
        assert answer.status_code == status, answer.text
        document = answer.json()
        return document.get("data", document.get("errors", document["message"]))

    def make(self, path: str, **values: object) -> int:
        """Create a row and return its id."""
        return int(self.ask("POST", path, values, 201)["id"])


def teach(school: Client) -> None:
    """Hold a course in two terms, and enrol in it."""
    spring = school.make("/terms", name="Spring", begins_on="2027-02-01", ends_on="2027-06-30")
    autumn = school.make("/terms", name="Autumn", begins_on="2027-09-01", ends_on="2028-01-31")
    algebra = school.make("/courses", code="MA-1", title="Algebra", points="6", level="advanced")
    held = [
        school.make("/lesson-plans", course_id=algebra, term_id=term, teacher="Noether", seats=30)
        for term in (spring, autumn)
    ]
    ada, bob = (
        school.make("/students", name=name, email=f"{name}@example.com") for name in ("ada", "bob")
    )
    enrolments = [
        school.make("/enrolments", student_id=student, lesson_plan_id=held[0])
        for student in (ada, bob)
    ]

    school.ask("PUT", f"/enrolments/{enrolments[0]}", {"grade": "5.5"})
    refusal = school.ask("PUT", f"/enrolments/{enrolments[0]}", {"grade": "6.5"}, 422)
    again = {"student_id": ada, "lesson_plan_id": held[0]}
    twice = school.ask("POST", "/enrolments", again, 400)
    unknown = school.ask("POST", "/enrolments", {"student_id": 99, "lesson_plan_id": held[0]}, 422)

    assert refusal == {"grade": "Must be at most 6"}
    assert unknown == {"student_id": "No such student"}
    assert twice == "Student and lesson plan already exist"
    assert school.ask("GET", "/courses/code/MA-1")["points"] == "6.0"
    found = school.ask("GET", f"/enrolments?lesson_plan_id={held[0]}")
    assert [(each["student_id"], each["grade"]) for each in found] == [(ada, "5.5"), (bob, None)]
    assert school.ask("GET", f"/lesson-plans?term_id={autumn}")[0]["id"] == held[1]
    assert [each["name"] for each in school.ask("GET", "/terms?begins_on_min=2027-03-01")] == [
        "Autumn"
    ]
    assert school.ask("DELETE", f"/terms/{spring}", status=409) == "Term is in use"
    school.ask("DELETE", f"/students/{bob}")
    assert [each["id"] for each in school.ask("GET", "/enrolments")] == enrolments[:1]


def discuss(forum: Client) -> None:
    """Answer a post, and answer that; a topic goes with all that was said, a member does not."""
    ada, bob = (forum.make("/members", name=name) for name in ("ada", "bob"))
    topic, other = (
        forum.make("/topics", title=title, opened_by_id=ada) for title in ("Engines", "Looms")
    )
    first = forum.make("/posts", topic_id=topic, author_id=ada, body="It weaves patterns.")
    second = forum.make("/posts", topic_id=topic, author_id=bob, body="Of what?", answers_id=first)
    third = forum.make("/posts", topic_id=topic, author_id=ada, body="Of sums.", answers_id=second)
    apart = forum.make("/posts", topic_id=other, author_id=bob, body="Shuttles.")

    nothing = {"topic_id": topic, "author_id": ada, "body": ""}
    assert forum.ask("POST", "/posts", nothing, 422) == {"body": "Must be at least 1 character"}
    moved = forum.ask("PATCH", f"/posts/{apart}", {"topic_id": topic}, 422)
    assert list(moved) == ["topic_id"]

    assert [each["id"] for each in forum.ask("GET", f"/posts?answers_id={first}")] == [second]
    assert [
        each["id"] for each in forum.ask("GET", f"/posts?topic_id={topic}&answers_id=null")
    ] == [first]
    assert [each["id"] for each in forum.ask("GET", "/posts?q=pattern")] == [first]
    assert forum.ask("DELETE", f"/members/{ada}", status=409) == "Member is in use"
    forum.ask("DELETE", f"/members/{bob}")
    assert forum.ask("GET", f"/posts/{apart}")["author_id"] is None
    forum.ask("DELETE", f"/posts/{second}")
    assert [each["id"] for each in forum.ask("GET", "/posts")] == [first, apart]
    assert forum.ask("GET", f"/posts/{third}", status=404) == "Post not found"
    forum.ask("DELETE", f"/topics/{topic}")
    assert [each["id"] for each in forum.ask("GET", "/posts")] == [apart]


def book(ledger: Client) -> None:
    """Sell for cash; entries balance, stay as they were booked, and so does what all accounts have."""
    cash = ledger.make("/accounts", number="1000", name="Cash", kind="asset")
    sales = ledger.make("/accounts", number="4000", name="Sales", kind="income")
    tax = ledger.make("/accounts", number="2200", name="Tax", kind="liability")

    def entry(day: str, **amounts: str) -> dict[str, object]:
        ids = {"cash": cash, "sales": sales, "tax": tax, "nothing": 99, "nowhere": 98}
        lines = [{"account_id": ids[name], "amount": each} for name, each in amounts.items()]
        return {"booked_on": day, "text": "January", "lines": lines}

    for values in (
        entry("2027-01-05", cash="120.50", sales="-101.26", tax="-19.24"),
        entry("2027-01-20", cash="79.50", sales="-79.50"),
    ):
        ledger.make("/entries", **values)
    for refused, errors in (
        (entry("2027-02-01", cash="1", sales="-1.01"), {"lines": "Must balance"}),
        (entry("2027-02-01", cash="0"), {"lines": "Must have at least 2 items"}),
        (
            entry("2027-02-01", cash="1.005", sales="-1.005"),
            dict.fromkeys(
                ("lines.0.amount", "lines.1.amount"), "Must have at most 2 decimal places"
            ),
        ),
        (
            entry("2027-02-01", nothing="1", nowhere="-1"),
            dict.fromkeys(("lines.0.account_id", "lines.1.account_id"), "No such account"),
        ),
    ):
        assert ledger.ask("POST", "/entries", refused, 422) == errors
    assert list(ledger.ask("PATCH", "/entries/1", {"lines": []}, 422)) == ["lines"]
    ledger.ask("PUT", "/entries/1", {"lines": [], "text": "Two chairs"})

    entries = ledger.ask("GET", "/entries?sort=-booked_on&limit=9")
    assert [each["text"] for each in entries] == ["January", "Two chairs"]
    lines = [line for each in entries for line in each["lines"]]
    balances = {
        account: sum(
            int(each["amount"].replace(".", "")) for each in lines if each["account_id"] == account
        )
        for account in (cash, sales, tax)
    }
    assert balances == {cash: 20000, sales: -18076, tax: -1924}
    assert ledger.ask("DELETE", f"/accounts/{sales}", status=409) == "Account is in use"


def treat(clinic: Client) -> None:
    """Give appointments by doctor and day."""
    doctor = clinic.make("/doctors", name="Curie", field="heart")
    patient = clinic.make("/patients", name="Ada", born_on="1815-12-10")
    booked = [
        clinic.make("/appointments", doctor_id=doctor, patient_id=patient, starts_at=moment)
        for moment in ("2027-03-01T09:00:00+01:00", "2027-03-01T10:00:00+01:00")
    ]

    clinic.ask("POST", f"/appointments/{booked[0]}/arrive")
    assert clinic.ask("POST", f"/appointments/{booked[0]}/cancel", status=409) == (
        "Appointment is arrived"
    )

    busy = {"doctor_id": doctor, "patient_id": patient, "starts_at": "2027-03-01T08:20:00Z"}
    assert clinic.ask("POST", "/appointments", busy, 409) == "The doctor is not free then"
    moved = {"starts_at": "2027-03-01T08:29:59Z"}
    assert clinic.ask("PATCH", f"/appointments/{booked[1]}", moved, 409) == (
        "The doctor is not free then"
    )
    other = clinic.make("/doctors", name="Blackwell", field="general")
    apart = clinic.make("/appointments", **busy | {"doctor_id": other})
    clinic.ask("POST", f"/appointments/{apart}/cancel")
    clinic.ask(
        "DELETE", f"/appointments/{clinic.make('/appointments', **busy | {'doctor_id': other})}"
    )

    long = {"doctor_id": doctor, "patient_id": patient, "starts_at": "2027-03-02T09:00:00Z"}
    assert clinic.ask("POST", "/appointments", long | {"lasts": "PT5H"}, 422) == {
        "lasts": "Must be at most PT4H"
    }

    day = clinic.ask("GET", f"/appointments?doctor_id={doctor}&sort=-starts_at&limit=5")
    assert [each["id"] for each in day] == booked[::-1]
    assert day[0]["starts_at"] == "2027-03-01T09:00:00Z"
    assert day[0]["lasts"] == "PT30M"
    assert clinic.ask("DELETE", f"/doctors/{doctor}", status=409) == "Doctor is in use"
    clinic.ask("DELETE", f"/patients/{patient}")
    assert clinic.ask("GET", "/appointments") == []


def sell(products: Client) -> None:
    """Offer a product in a category, with tags, and take it out of both."""
    books = products.make("/categories", name="Books")
    new, used = (products.make("/tags", label=label) for label in ("new", "used"))
    body = {"name": "Atlas", "sku": "A1", "price": "12.50", "category_id": books}

    made = products.ask("POST", "/products", body | {"tag_ids": [used, new]}, 201)

    assert (made["tag_ids"], made["category_id"]) == ([new, used], books)
    assert products.ask("GET", f"/products?category_id={books}&sort=price") == [made]
    assert products.ask("GET", "/products") == [made]
    assert products.ask("GET", "/products/sku/A1") == made
    assert products.ask("DELETE", f"/tags/{new}", status=409) == "Tag is in use"
    assert products.ask("DELETE", f"/categories/{books}", status=409) == "Category is in use"
    free: dict[str, object] = {"category_id": None, "tag_ids": []}
    changed = products.ask("PATCH", f"/products/{made['id']}", free)
    assert changed == made | free | {"updated_at": changed["updated_at"]}
    products.ask("DELETE", f"/categories/{books}")


def order(orders: Client) -> None:
    """Order two products, change the lines, and pay."""
    users, products = orders.of("user_service"), orders.of("product_service")
    buyer = users.make("/users", username="ada", email="ada@example.com")
    lamp, desk, chair = (
        products.make("/products", name=name, sku=name, price="1")
        for name in ("lamp", "desk", "chair")
    )
    line = {"product_id": lamp, "quantity": 2, "unit_price": "12.50"}
    body = {"code": "O1", "buyer_id": buyer, "placed_at": "2026-11-23T09:24:02Z"}
    made = orders.ask("POST", "/orders", body | {"lines": [line, line | {"product_id": desk}]}, 201)
    path, (first, second) = f"/orders/{made['id']}", made["lines"]

    changes = [
        {"id": second["id"], "product_id": lamp},
        {"id": first["id"], "product_id": desk, "quantity": 3},
        {"product_id": chair, "quantity": 1, "unit_price": "1"},
    ]
    changed = orders.ask("PATCH", path, {"lines": changes})

    assert [
        (each["product_id"], each["quantity"], each["unit_price"]) for each in changed["lines"]
    ] == [(lamp, 2, "12.50"), (desk, 3, "12.50"), (chair, 1, "1.00")]
    assert [each["id"] for each in changed["lines"][:2]] == [second["id"], first["id"]]
    assert orders.ask("GET", path) == changed
    assert orders.ask("GET", f"/orders?buyer_id={buyer}") == [changed]
    for lines, errors in (
        ([line | {"product_id": 2**40}], {"lines.0.product_id": "No such product"}),
        ([line | {"quantity": 0}], {"lines.0.quantity": "Must be greater than 0"}),
        ([line, line], {"lines.1.product_id": "Is a duplicate"}),
        ([{"id": 2**62}], {"lines.0.id": "No such item"}),
        ([line | {"quantity": "2"}], {"lines.0.quantity": "Must be an integer"}),
    ):
        assert orders.ask("PATCH", path, {"lines": lines}, 422) == errors
    assert orders.ask("POST", f"{path}/pay")["status"] == "paid"
    assert orders.ask("POST", f"{path}/pay", status=409) == "Order is paid"
    assert orders.ask("POST", f"{path}/ship")["status"] == "shipped"
    assert orders.ask("POST", f"{path}/cancel", status=409) == "Order is shipped"
    assert orders.ask("PUT", path, {"lines": []})["lines"] == []
    orders.ask("DELETE", path)


SCENARIOS: dict[str, dict[str, Callable[[Client], None]]] = {
    "school": {"school_service": teach},
    "forum": {"forum_service": discuss},
    "ledger": {"ledger_service": book},
    "clinic": {"clinic_service": treat},
    "shop": {"product_service": sell, "order_service": order},
}
"""By the domain, what is done with each of its services."""


@pytest.fixture(params=SCENARIOS)
def domain(request: pytest.FixtureRequest) -> str:
    """Each domain's name."""
    return str(request.param)


@pytest.fixture
def workspace(tmp_path: Path, domain: str) -> Iterator[GeneratedWorkspace]:
    """A workspace that the domain's description was applied to."""
    fleet = (DOMAINS / domain / "fleet.toml").read_text()
    made = GeneratedWorkspace.describe(tmp_path / "fleet", fleet)
    yield made
    shutil.rmtree(made.root)


@pytest_asyncio.fixture(loop_scope="session")
async def url(
    workspace: GeneratedWorkspace, new_database: NewDatabase, domain: str
) -> AsyncIterator[str]:
    """Its database at the newest revision, once the rule of the owner's own is written."""
    async with new_database() as url:
        workspace.python("-m", "db_manager", "migrate", DATABASE_URL=url)
        rule = DOMAINS / domain / "rule.md"
        if rule.exists():
            paste(rule.read_text(), workspace, url)
        yield url


def test_a_domain_is_generated_checked_and_used(
    workspace: GeneratedWorkspace, url: str, domain: str
) -> None:
    workspace.check()
    workspace.python("-m", "pytest", "-q", "services")

    with all_booted(workspace, url) as addresses, httpx.Client(timeout=30) as client:
        for package, use in SCENARIOS[domain].items():
            use(Client(client, addresses, package))
