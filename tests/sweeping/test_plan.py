import time

import pytest
import tiny

from shoestring import api
from shoestring.core.errors import OverBudgetError, RecipeError
from shoestring.recipes.lookup import recipe
from shoestring.sweeping.plan import Plan, known_points, plan, recipe_at, require_whole, table_of
from shoestring.sweeping.shipped import SWEEPS, summary


def test_a_grid_has_every_combination_the_last_field_changing_first():
    asked = plan({}, grid={"batch_size": "4,8", "optimiser.learning_rate": [0.1, 0.2]})
    assert (asked.searched, asked.seeds, asked.confirm) == ("grid", 1, 3)
    assert known_points(asked, 0) == [
        {"batch_size": size, "optimiser.learning_rate": rate} for size in (4, 8) for rate in (0.1, 0.2)
    ]


def test_random_points_are_a_function_of_the_seed_and_their_number():
    few = plan({}, over={"optimiser.learning_rate": "1e-4..1e-2:log"}, grid={"batch_size": "4,8"}, trials=5)
    many = plan({}, over={"optimiser.learning_rate": "1e-4..1e-2:log"}, grid={"batch_size": "4,8"}, trials=9)
    assert few.searched == "random"
    assert known_points(few, 1) == known_points(many, 1)[:5] != known_points(few, 2)
    assert len({str(point) for point in known_points(many, 1)}) == 9


def test_random_points_are_all_different_or_too_many():
    asked = plan({}, grid={"batch_size": "4,8", "ema": [[], [0.9]]}, search="random", trials=4)
    assert len({str(point) for point in known_points(asked, 0)}) == 4
    with pytest.raises(RecipeError, match="no 5 different points, only 4; lower --trials"):
        known_points(asked.replace(trials=5), 0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "nothing varies"),
        ({"over": {"batch_size": "1..9"}}, "how many points --search random is to try"),
        ({"over": {"batch_size": "1..9"}, "search": "grid"}, "batch_size is a range"),
        ({"grid": {"batch_size": "1,2"}, "trials": 3}, "a grid tries all its points"),
        ({"grid": {"net": "basic", "net.width": "1,2"}}, "net.width is a part of net"),
        ({"grid": {"batch_size": "1,2", "batch_size,ema": [[1, []]]}}, "batch_size varies twice"),
        ({"grid": {"batch_size": "1,2"}, "prune": "median"}, "goes with its samplers"),
        ({"grid": {"batch_size": "1,2"}, "sedes": 3}, r"key of \[sweep\] 'sedes'; did you mean 'seeds'"),
        ({"grid": {"batch_size": "1,2"}, "search": "gird"}, "'grid'"),
        ({"grid": 5}, "grid: Input should be a valid dictionary"),
    ],
)
def test_a_plan_that_does_not_fit_is_refused(options, said):
    with pytest.raises(RecipeError, match=said):
        plan(options)


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("learning_rate", "did you mean 'optimiser.learning_rate'"),
        ("optimiser.learnin_rate", "did you mean 'optimiser.learning_rate'"),
        ("batchsize", "did you mean 'batch_size'"),
        ("seed", "--seeds 3"),
        ("data.tune", "must be the same for all"),
        ("engine.precision", "changes nothing that is learnt"),
        ("name", "changes nothing that is learnt"),
    ],
)
def test_a_field_that_cannot_vary_is_refused(field, said, pictures):
    with pytest.raises(RecipeError, match=said):
        require_whole(plan({}, grid={field: "1,2"}), tiny.classifier(pictures))


def test_a_value_that_does_not_fit_names_its_point(pictures):
    asked = plan({}, grid={"batch_size": "4,8", "task.label_smoothing": [0.1, 7]})
    with pytest.raises(RecipeError, match=r"batch_size 4, task.label_smoothing 7: .*(\n.*)*task.*label_smoothing"):
        require_whole(asked, tiny.classifier(pictures))


def test_a_point_over_budget_is_refused_before_anything_is_trained(pictures, tmp_path):
    with pytest.raises(OverBudgetError, match=r"net.stem 99: the net has .* over the budget of 2,000"):
        api.sweep(tiny.classifier(pictures), tmp_path / "out", grid={"net.stem": "2,4,99"})
    assert not (tmp_path / "out").exists()


def test_of_points_that_are_not_known_yet_the_ends_are_checked(pictures):
    asked = plan({}, over={"net.stem": "2..99"}, trials=3, search="tpe")
    with pytest.raises(OverBudgetError, match=r"net.stem 99: the net has .* over the budget of 2,000"):
        require_whole(asked, tiny.classifier(pictures))


def test_choosing_needs_images_that_are_held_out(pictures):
    with pytest.raises(RecipeError, match=r"--data.tune 5000"):
        require_whole(plan({}, grid={"batch_size": "1,2"}), tiny.classifier(pictures, data__tune=0))


def test_a_generator_is_chosen_by_the_distance_of_its_samples(pictures):
    asked = plan({}, grid={"batch_size": "1,2"})
    generator, classifier = tiny.gan(pictures, data__tune=6), tiny.classifier(pictures)
    assert (asked.measured(generator), asked.measured(classifier)) == ("cifar_resnet_fd", "accuracy")
    with pytest.raises(RecipeError, match="not measured of a generator"):
        asked.replace(measure="accuracy").measured(generator)
    with pytest.raises(RecipeError, match="not measured of a classifier"):
        asked.replace(measure="cifar_resnet_fd").measured(classifier)


def test_options_come_on_top_of_the_table_of_a_file(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(
        'base = "addnist-quick"\n[sweep]\nseeds = 2\n[sweep.grid]\noptimiser.learning_rate = [0.1, 0.2]\n'
        'batch_size = [64, 128]\n[sweep.over]\noptimiser.weight_decay = "1e-5..1e-3:log"\n'
    )
    assert recipe(file) == recipe("addnist-quick")
    table = table_of(file)
    asked = plan(
        table, grid={"batch_size": "32,64"}, over={"optimiser.learning_rate": "0.1..0.2"}, trials=3, seeds=None
    )
    assert asked == Plan(
        grid={"batch_size": "32,64"},
        over={"optimiser.weight_decay": "1e-5..1e-3:log", "optimiser.learning_rate": "0.1..0.2"},
        seeds=2,
        trials=3,
    )


def test_a_point_that_replaces_a_part_needs_no_field_of_the_former(pictures):
    base = tiny.classifier(pictures)
    assert recipe_at(base, {"net": "basic"}).net.kind == "basic"
    assert recipe_at(base, {"batch_size": 4}, seed=7).seed == 7


@pytest.mark.parametrize("name", SWEEPS)
def test_shipped_sweeps_fit_and_hold_what_the_papers_chose(name):
    base, started = recipe(SWEEPS[name]), time.monotonic()
    points = require_whole(plan(table_of(SWEEPS[name])), base)
    assert time.monotonic() - started < 20
    assert base.budget.steps in (1_000, 10_000, 50_000)
    assert any(recipe_at(base, point) == _with_rounded_start(base, point) for point in points)
    counted = {"addnist-effnet-grid": 180, "addnist-effnet-cut": 9, "cifar100-dcgan-44-grid": 360}
    assert len(points) == counted.get(name, len(points))
    assert summary(name)
    assert not summary(name).startswith("#")


def _with_rounded_start(base, point):
    return base.replace(schedule={"start": point["schedule.start"]}) if "schedule.start" in point else base


def test_a_generator_of_images_that_no_distance_is_of_is_refused():
    small = api.recipe("cifar100-flow", data={"size": 16})
    with pytest.raises(RecipeError, match=r"is of images of 3x32x32; those of cifar100-flow are 3x16x16"):
        require_whole(plan({}, grid={"batch_size": "1,2"}), small)


def test_a_point_over_a_devices_limit_is_refused_before_anything_is_trained(pictures):
    asked = plan({}, grid={"budget.activation_bytes": "10,1000000"})
    with pytest.raises(OverBudgetError, match=r"budget.activation_bytes 10: "):
        require_whole(asked, tiny.classifier(pictures))
