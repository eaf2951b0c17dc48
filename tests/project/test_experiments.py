"""The laboratory log is consistent: table, questions, record of t10k and the recipe's page."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from ruamel.yaml import YAML

import recipes
from tests.conftest import ROOT, run

DOCS = ROOT / "docs"
TABLE = DOCS / "experiments.csv"
LOG = DOCS / "experiments.md"
RECIPE = DOCS / "recipe.md"

TEXT = [
    "date",
    "commit",
    "source",
    "recipe",
    "change",
    "model",
    "widths",
    "first_layer",
    "activation",
    "pooling",
    "identity",
    "optimizer",
    "schedule",
    "flip",
    "scored_on",
    "time_unit",
    "kept",
    "note",
]
WHOLE = ["id", "batch_size", "epochs", "shift", "erase", "seed", "runs", "train_images"]
REAL = [
    "bn_momentum",
    "head",
    "learning_rate",
    "momentum",
    "weight_decay",
    "adam_lr_ratio",
    "warmup",
    "selection_share",
    "hardest",
    "dropout",
    "label_smoothing",
    "accuracy_mirror_average",
    "std_mirror_average",
    "accuracy",
    "std",
    "loss",
    "expected_calibration_error",
    "relative_time",
    "seconds",
]
NEVER_EMPTY = [
    "id",
    "date",
    "commit",
    "source",
    "recipe",
    "change",
    "model",
    "train_images",
    "scored_on",
    "kept",
]
CHOICES = {
    "recipe": {"default", "quick", "accurate"},
    "scored_on": {"balanced sample", "t10k"},
    "time_unit": {"L without AVX-512", "L with AVX-512", "trial"},
    "kept": {"yes", "no"},
}
SHARES = ["selection_share", "hardest", "label_smoothing", "warmup", "adam_lr_ratio", "dropout"]
# "rows 11-12, 26 and 30", as experiments.md cites them.
CITED = re.compile(r"\brows? (\d+(?:-\d+)?(?:(?:, | and )\d+(?:-\d+)?)*)", re.IGNORECASE)
RECORD = re.compile(
    r"^\| (\d+) \| ([\d-]+) \| (\w+) \| `?(\w+)`?: .* \| ([\d.]+) \| ([\d.]*) ?\| (\d) "
)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return pd.read_csv(TABLE, dtype_backend="numpy_nullable")


def test_pandas_reads_every_column_with_its_type(table: pd.DataFrame) -> None:
    assert set(table) == {*TEXT, *WHOLE, *REAL}
    for names, check in (
        (TEXT, pd.api.types.is_string_dtype),
        (WHOLE, pd.api.types.is_integer_dtype),
        (REAL, pd.api.types.is_numeric_dtype),
    ):
        assert [name for name in names if not check(table[name])] == []


def test_rows_are_numbered_in_the_order_of_their_dates(table: pd.DataFrame) -> None:
    assert table["id"].tolist() == list(range(1, len(table) + 1))
    assert pd.to_datetime(table["date"], format="%Y-%m-%d").is_monotonic_increasing


def test_values_are_declared_ones(table: pd.DataFrame) -> None:
    assert table[NEVER_EMPTY].notna().all(axis=None)
    for name, allowed in CHOICES.items():
        assert set(table[name].dropna()) <= allowed, name
    for name in SHARES:
        assert table[name].dropna().between(0, 1).all(), name
    assert (table["relative_time"].isna() == table["time_unit"].isna()).all()


def test_accuracies_are_shares(table: pd.DataFrame) -> None:
    scores = table[["accuracy_mirror_average", "accuracy"]]
    assert scores.melt()["value"].dropna().between(0.8, 1).all()
    # What was recorded as a difference alone has it in its note.
    unscored = table[scores.isna().all(axis=1)]
    assert unscored["note"].str.startswith("Recorded only as").all()


def test_commits_are_in_the_history(table: pd.DataFrame) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("no git repository")
    if run("git", "rev-parse", "--is-shallow-repository", cwd=ROOT).strip() == "true":
        pytest.skip("shallow clone")
    for commit, rows in table.groupby("commit"):
        done = subprocess.run(
            ["git", "show", "--no-patch", "--format=%cs", f"{commit}^{{commit}}"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, commit
        assert set(rows["date"]) == {done.stdout.strip()}, commit


def cited_rows(text: str) -> Iterator[int]:
    """Yield the row numbers that a text cites, ends of ranges only."""
    for match in CITED.finditer(text):
        yield from map(int, re.findall(r"\d+", match[1]))


def test_questions_cite_rows_that_exist(table: pd.DataFrame) -> None:
    cited = set(cited_rows(LOG.read_text(encoding="utf-8")))
    assert len(cited) > 50
    assert cited <= set(table["id"])


def test_the_newest_question_comes_first() -> None:
    _, _, questions = LOG.read_text(encoding="utf-8").partition("\n## Questions\n")
    dates = re.findall(r"^### .*\n\n(\d{4}-\d\d-\d\d)", questions.partition("\n## ")[0], re.M)
    assert len(dates) == questions.partition("\n## ")[0].count("\n### ")
    assert dates == sorted(dates, reverse=True)


def test_the_record_of_t10k_is_what_its_runs_gave(table: pd.DataFrame) -> None:
    opened = table[table["scored_on"] == "t10k"]
    found = set()
    for line in LOG.read_text(encoding="utf-8").splitlines():
        if not (match := RECORD.match(line)):
            continue
        opening, _, commit, recipe, accuracy, deviation, seeds = match.groups()
        score = "accuracy" if recipe == "quick" else "accuracy_mirror_average"
        own = opened[
            opened["change"].str.startswith(f"t10k, opening {opening}:")
            & (opened["recipe"] == recipe)
        ]
        assert commit in set(own["commit"])
        # Same seed, same model: other processors and repetitions add nothing.
        runs = own if own["seed"].isna().any() else own.drop_duplicates("seed")
        assert runs["runs"].sum() == int(seeds), line
        assert 100 * runs[score].mean() == pytest.approx(float(accuracy), abs=0.0051), line
        if deviation and len(runs) > 1:
            assert 100 * runs[score].std() == pytest.approx(float(deviation), abs=0.0051), line
        found.add((int(opening), recipe))
    named = opened["change"].str.extract(r"opening (\d+)")[0].astype(int)
    assert found == set(zip(named, opened["recipe"], strict=True))


def test_the_recipe_fits_on_a_page() -> None:
    assert len(RECIPE.read_text(encoding="utf-8").splitlines()) <= 90


@pytest.mark.parametrize("page", [LOG, RECIPE], ids=lambda page: page.name)
def test_links_between_the_pages_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(
        r"\]\((experiments\.md|recipe\.md)?(?:#([\w-]+))?\)", page.read_text(encoding="utf-8")
    ):
        text = (DOCS / target if target else page).read_text(encoding="utf-8")
        assert not anchor or f'<a id="{anchor}"></a>' in text, (target, anchor)


@pytest.mark.parametrize("name", recipes.names())
def test_a_recipe_opens_with_its_command_result_and_cost(name: str) -> None:
    text = (recipes.FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    opening = text.partition("\ntrain:")[0]
    assert all(line.startswith("#") for line in opening.splitlines())
    assert f"python -m recipes {name}\n#   dvc repro" in opening
    assert re.search(r"Reaches \d\d\.\d\d ± \d\.\d\d% on t10k", opening)
    assert re.search(r"Costs .* L on 2 cores", opening)
    assert set(YAML(typ="safe").load(text)) <= {"train", "evaluate"}
