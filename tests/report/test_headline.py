import pytest
import torch
from fake_runs import CLASSIFIER, classifier, generator, layers

from shoestring.core.run import Run
from shoestring.metrics.classification import Predictions, classification_metrics, train_metrics_summary
from shoestring.metrics.features.extractor import FeatureSet
from shoestring.metrics.generative.suite import Naming, inception_distances
from shoestring.report.comparison import compare
from shoestring.report.headline import BudgetBar, headline, limitations, notices, paper_line
from shoestring.report.metric_table import metric_table
from shoestring.report.run_data import Reader, read


def facts_of(run):
    return read([run])[0]


def test_classifier_beside_the_published_result(tmp_path):
    said = headline(facts_of(classifier(tmp_path / "run")))
    assert (said.value, said.label, said.published) == ("50.1 %", "test accuracy", "49.4 %")
    assert said.uncertainty == "95 % interval 49.1 to 51.1 %, n = 10,000"
    assert said.verdict == "+0.7 points against the published value; that lies within this run's interval"
    assert said.line == "train loss: 1.765, train acc: 0.528±0.064, test acc: 0.501±0.066"
    assert said.published_line == CLASSIFIER["published"]["line"]
    assert said.bars == [BudgetBar("parameters", 99_364, 100_000), BudgetBar("steps", 10_000, 10_000)]
    assert said.bars[0].text == "99,364 of 100,000 (99.4 %)"


def test_one_mini_batch_does_not_speak_for_the_split(tmp_path):
    run = classifier(tmp_path / "run")
    one = {"batch_accuracy": {"value": 0.25, "n": 1, "interval": None, "std": None}}
    run.write_metrics("test", one)
    assert headline(facts_of(run)).line == "train loss: 1.765, train acc: 0.528±0.064, test acc: 0.501"


def test_generator_is_better_when_its_distance_is_lower(tmp_path):
    run_data = facts_of(generator(tmp_path / "run"))
    said = headline(run_data)
    assert (said.value, said.label, said.line) == ("41.25", "test FID", "FID 41.25")
    assert said.verdict == "9.033 lower (better) than published"
    assert [bar.used for bar in said.bars] == [998_553, 50_000]
    assert any("(here n = 10,000)" in line for line in limitations(run_data))
    balance = next(line for line in limitations(run_data) if line.startswith("Balance"))
    assert "a probability of 0.60 and fake ones 0.40" in balance


def test_published_value_outside_the_interval_is_said(tmp_path):
    run = classifier(tmp_path / "run", published=CLASSIFIER["published"] | {"value": 0.6})
    verdict = headline(facts_of(run)).verdict
    assert verdict == "−9.9 points against the published value; that lies outside this run's interval"


def test_net_calls_and_another_budget_count_in_the_comparison(tmp_path):
    run = generator(tmp_path / "run")
    run.write_json("environment.json", {"nfe": 35})
    run.write_json("recipe.json", run.read_recipe() | {"budget": {"parameters": 1_000_000, "nfe": 100}})
    run.write_json("overrides.json", {"budget.nfe": [None, 100]})
    said = headline(facts_of(run))
    assert [bar.text for bar in said.bars] == ["998,553 of 1,000,000 (99.9 %)", "35 of 100 (35.0 %)"]
    assert said.verdict == "9.033 lower (better) than published; the budgets differ"
    assert notices(facts_of(run)) == []  # that the budget is another is no alarm


def test_departures_from_the_rules_and_unfinished_training_are_noticed(tmp_path):
    run = Run(tmp_path / "run")
    changed = {
        "budget.steps": [40, 60],
        "budget.parameters": [200_000, 100_000],
        "optimiser.learning_rate": [0.002, 0.004],
    }
    run.write_recipe(CLASSIFIER | {"budget": {"parameters": 100_000, "steps": 60}}, layers("classifier", [10]), changed)
    run.append_log([{"step": 20, "kind": "train", "count": 20, "mean": {"accuracy": 0.1}}])
    assert notices(facts_of(run)) == ["unfinished: 20 of 60 steps taken"]  # within the rules, all one's own
    (run_data,) = read([run], Reader(departures=lambda _: ["departs from the rules"]))
    assert notices(run_data) == ["departs from the rules", "unfinished: 20 of 60 steps taken"]
    run.write_weights({"w": torch.zeros(1)}, {})
    assert notices(facts_of(run)) == []


def test_tune_stands_in_for_test_and_says_so(tmp_path):
    run = classifier(tmp_path / "run")
    metrics = run.metrics()
    run.write_json("metrics.json", {"tune": metrics["test"], "train": metrics["train"]})
    run_data = facts_of(run)
    assert headline(run_data).label == "tune accuracy"
    assert paper_line(run_data) == "train loss: 1.765, train acc: 0.528±0.064, tune acc: 0.501±0.066"
    assert notices(run_data) == ["not measured on the test split; the tune split is shown instead"]


def test_train_test_gap_is_in_points(tmp_path):
    run = classifier(tmp_path / "run")
    gap = limitations(facts_of(run))[0]
    assert gap.startswith("Train–test gap: +2.7 points (train 52.8 %, test 50.1 %).")
    assert gap.endswith("The net knows its training images better than new ones.")  # 52.8 is above 51.1
    run.write_metrics("train", {"accuracy": {"value": 0.505, "n": 1_000}})
    gap = limitations(facts_of(run))[0]
    assert gap.startswith("Train–test gap: +0.4 points")
    assert gap.endswith("No gap is seen beyond the sampling error of the test split.")


def test_a_short_training_says_over_which_steps_its_train_value_is(tmp_path):
    run = classifier(tmp_path / "run", steps=600)
    log = run.log("train")
    run.write_metrics("train", {name: one.to_json() for name, one in train_metrics_summary(log).items()})
    run_data = facts_of(run)
    assert paper_line(run_data).endswith(
        "test acc: 0.501±0.066 (train: over the last 100 of 600 steps)"
    )  # logged by 50
    assert "while learning, over the last 100 of 600 steps, augmented" in limitations(run_data)[0]
    assert dict(compare([run_data, run_data]).rows)["train–test gap"][0] != "–"


def test_a_mean_over_the_whole_training_is_not_compared_with_test(tmp_path):
    run = classifier(tmp_path / "run", steps=600)  # as former versions recorded it
    run.write_metrics("train", {"accuracy": {"value": 0.3, "n": 600}})
    run_data = facts_of(run)
    assert paper_line(run_data).endswith("(train: over the last 600 of 600 steps)")
    assert not any("gap" in line for line in limitations(run_data))
    assert "train–test gap" not in dict(compare([run_data, run_data]).rows)


def test_over_confidence_is_weighed_by_images(tmp_path):
    # Nine bins of 1,000 images, each 5 points more confident than right; the empty one does not count.
    assert "Confidence: over-confident by 5.0 points on average." in limitations(facts_of(classifier(tmp_path / "run")))


def test_a_caution_stands_above_the_number_and_beside_it(tmp_path):
    run, features = generator(tmp_path / "run"), torch.rand(40, 64, generator=torch.Generator().manual_seed(0))
    naming = Naming("net 2048 clean 00", "_2048_clean")
    found = inception_distances(FeatureSet(features, "net"), FeatureSet(features + 1, "net"), naming)
    run.write_metrics("test", {name: score.to_json() for name, score in found.items()}, afresh=True)
    run_data = facts_of(run)
    caution = "40 images for 64 dimensions: the covariance is singular and the Fréchet distance far too large"
    assert [notice for notice in notices(run_data) if notice.startswith(f"FID (2048, clean): {caution}")]
    (noted,) = [row for row in metric_table(run_data).rows if caution in row.notes]
    assert noted.name == "FID (2048, clean)"
    assert caution in dict(compare([run_data, run_data]).rows)["to be known"][0]


def test_score_table_has_the_columns_that_something_fills(tmp_path):
    table = metric_table(facts_of(generator(tmp_path / "run")))
    assert table.columns == ["interval", "std", "n", "real_baseline", "gap_to_real"]
    fid, kid = table.rows
    assert (fid.name, fid.value, fid.cells) == ("FID", "41.25", ["–", "0.1200", "10,000", "3.500", "37.75"])
    assert kid.cells[0] == "0.0202 to 0.0222"
    assert fid.notes == "resizing bicubic, antialiased"
    assert "features of inception-v3" in table.provenance


@pytest.mark.parametrize("hidden", ["confusion", "calibration"])
def test_score_table_leaves_matrices_out_and_opens_objects(tmp_path, hidden):
    run = classifier(tmp_path / "run")
    run.write_metrics("test", {"precision_recall": {"value": {"precision": 0.5, "recall": {"value": 0.25}}, "n": 7}})
    rows = {row.name: row for row in metric_table(facts_of(run)).rows}
    assert hidden not in rows
    assert rows["precision recall: recall"].value == "0.2500"
    assert rows["precision recall: precision"].cells[-1] == "7"
    assert rows["top-5 accuracy"].value == "80.10 %"


def test_uneven_classes_are_said_beside_the_accuracy(tmp_path):
    run = classifier(tmp_path / "run", classes=3)
    counts, right = [400, 20, 3], [395, 3, 0]
    labels = torch.repeat_interleave(torch.arange(3), torch.tensor(counts))
    said = torch.zeros(423, dtype=torch.long)
    said[400:403], said[:5] = 1, 1
    assert [int((said == labels)[labels == label].sum()) for label in range(3)] == right
    found = classification_metrics(Predictions(torch.eye(3)[said], labels, (423,)), 3)
    run.write_metrics("test", {name: metric.to_json() for name, metric in found.items()}, afresh=True)
    run_data = facts_of(run)
    assert headline(run_data).value == "94.1 %"
    assert "balanced accuracy 37.9 %" in headline(run_data).uncertainty
    assert "always the most frequent class 94.6 %" in headline(run_data).uncertainty
    assert "no better on test than always answering the most frequent class, which is right for 94.6 %" in notices(
        run_data
    )
    empty = classification_metrics(Predictions(torch.eye(3)[said[:420]], labels[:420], (420,)), 3)
    run.write_metrics("test", {name: metric.to_json() for name, metric in empty.items()}, afresh=True)
    assert "no image of cat is in test: nothing is known of them" in notices(facts_of(run))
