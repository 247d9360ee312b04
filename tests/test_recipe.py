import copy
import math
import tomllib

import attrs
import pytest
import tomli_w
from conftest import TABLES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daframework import hookimpl
from daframework.errors import PluginError, RecipeError
from daframework.recipes.read import apply_override, dump, locate, offered_files, parse, put, read
from daframework.registry import load_plugins


def problems(tables):
    with pytest.raises(RecipeError) as caught:
        parse(tables, "r.toml")
    return caught.value.problems


def changed(tables, path, value):
    place = tables
    *parents, last = path.split(".")
    for step in parents:
        place = place[int(step)] if isinstance(place, list) else place.setdefault(step, {})
    place[last] = value
    return tables


# --- all problems at once ---


def test_every_problem_is_reported_at_once_each_with_its_path(tables):
    del tables["task"]
    del tables["downstream"]["steps"]
    tables["sed"] = 1
    tables["data"]["batch_size"] = "3"
    tables["data"]["crop_size"] = [16]
    tables["downstream"]["lr"] = 0
    tables["downstream"]["augment"] = {"gamma": 9, "gian": [1, 2]}
    tables["losses"][1]["weight"] = "ten"
    tables["translation"]["betas"] = [0.5, 1.0]
    assert sorted(problems(tables)) == sorted(
        [
            "r.toml: task: missing; it has no default",
            "r.toml: downstream.steps: missing; it has no default",
            "r.toml: no key named 'sed'; did you mean 'seed'? (known: augment, data, discriminator, downstream, "
            "generator, hardware, log, losses, name, seed, source, target, task, translation)",
            "r.toml: data.batch_size: must be a whole number, got '3'",
            "r.toml: data.crop_size: must be [height, width], two positive whole numbers of pixels, got (16,)",
            "r.toml: downstream.lr: must be greater than 0, got 0.0",
            "r.toml: downstream.augment.gamma: must be between 0 and 5, got 9.0",
            "r.toml: downstream.augment: no key named 'gian'; did you mean 'gain'? (known: blur, brightness, "
            "class_colors, contrast, gain, gamma, hue, rotation, saturation, scale)",
            "r.toml: losses.tiny_cycle.weight: must be a number, got 'ten'",
            "r.toml: translation.betas: must be two numbers in [0, 1), got (0.5, 1.0)",
        ]
    )


def test_a_key_that_is_gone_says_so_beside_the_other_problems(tables):
    tables["hardware"] = {"side_by_side": "auto", "compile": 1}
    gone, other = sorted(problems(tables), key=lambda line: "compile" in line)
    assert gone == (
        "r.toml: hardware.side_by_side: is gone, since a step is computed in one order on every machine; delete it"
    )
    assert "hardware.compile" in other


def test_an_unnamed_entry_of_a_list_is_named_by_its_place(tables):
    tables["losses"].append({"weight": 1})
    assert problems(tables) == ["r.toml: losses.2.name: missing; it has no default"]


@pytest.mark.parametrize("value", ["3", 3.7, 3.0, True, None, [3], {}, math.nan])
def test_only_a_whole_number_is_a_whole_number(tables, value):
    (problem,) = problems(changed(tables, "downstream.steps", value))
    assert problem == f"r.toml: downstream.steps: must be a whole number, got {value!r}"


@pytest.mark.parametrize("value", ["1e-3", True, [1.0], None])
def test_only_a_number_is_a_number(tables, value):
    (problem,) = problems(changed(tables, "translation.lr", value))
    assert problem == f"r.toml: translation.lr: must be a number, got {value!r}"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_are_finite(tables, value):
    (problem,) = problems(changed(tables, "losses.1.weight", value))
    assert problem == f"r.toml: losses.tiny_cycle.weight: must be a finite number, got {value!r}"


def test_a_number_too_large_for_a_float_is_refused(tables):
    (problem,) = problems(changed(tables, "losses.1.weight", 10**400))
    assert problem.startswith("r.toml: losses.tiny_cycle.weight: must be a finite number, got 1000")


def test_a_whole_number_is_a_number(tables):
    lr = parse(changed(tables, "translation.lr", 1), "r").translation.lr
    assert lr == 1.0 and isinstance(lr, float)


@pytest.mark.parametrize("value", [1, "true", "yes"])
def test_only_true_and_false_are_truth_values(tables, value):
    (problem,) = problems(changed(tables, "data.flip", value))
    assert problem == f"r.toml: data.flip: must be true or false, got {value!r}"


@pytest.mark.parametrize(
    "path, value",
    [
        ("source", "streets"),
        ("data", [16, 24]),
        ("losses", {"name": "cycle"}),
        ("losses", [3]),
        ("data.crop_size", "16x24"),
        ("downstream.augment", 1),
        ("hardware", "cuda"),
    ],
)
def test_a_table_where_a_value_stands_and_the_other_way_round_are_problems(tables, path, value):
    (problem,) = problems(changed(tables, path, value))
    assert problem.startswith(f"r.toml: {path}") and "must be a" in problem


@pytest.mark.parametrize(
    "path, good, bad",
    [
        ("seed", [0, 2**31 - 1], [-1, 2**31]),
        ("data.batch_size", [1], [0, -1]),
        ("data.crop_size", [[1, 1]], [[0, 8], [8, 0], [8, 8, 8], []]),
        ("data.resize", [[8, 8]], [[8], [8, -8]]),
        ("translation.steps", [0, 1], [-1]),
        (
            "translation.directions",
            [["source_to_target"], ["source_to_target", "target_to_source"]],
            [["target_to_source"], ["target_to_source", "source_to_target"], ["source_to_target"] * 2, []],
        ),
        ("translation.lr", [1e-9], [0, -1.0]),
        ("translation.discriminator_lr", [1e-9], [0.0]),
        ("translation.betas", [[0, 0], [0.9, 0.999]], [[1.0, 0.5], [0.5], [-0.1, 0.5]]),
        ("translation.constant_fraction", [0, 1], [-0.1, 1.1]),
        ("translation.pool_size", [0], [-1]),
        ("translation.ema_decay", [0, 0.9999], [1, -0.1]),
        ("downstream.steps", [1], [0]),
        ("downstream.weight_decay", [0], [-1e-9]),
        ("downstream.augment.gain", [[0.5, 0.5], [0.1, 3]], [[0, 1], [2, 1], [1]]),
        ("downstream.augment.hue", [0, 0.5], [0.51, -0.1]),
        ("augment.hue", [0, 0.5], [0.51, -0.1]),
        ("log.every", [1], [0]),
        ("log.samples_every", [0], [-1]),
        ("log.checkpoint_every", [1], [0]),
        ("hardware.workers", [0], [-1]),
        ("hardware.cache_mb", [0], [-1]),
        ("hardware.accelerator", ["cpu", "cuda"], ["gpu", 1]),
        ("hardware.precision", ["64-true"], ["16", 32]),
        ("name", ["a", "CUT_v1.2-b", "9"], ["", ".hidden", "a/b", "a b", "../up", "-x"]),
    ],
)
def test_ranges_hold_at_their_ends(tables, path, good, bad):
    for value in good:
        parse(changed(copy.deepcopy(tables), path, value), "r.toml")
    for value in bad:
        (problem,) = problems(changed(copy.deepcopy(tables), path, value))
        assert problem.startswith(f"r.toml: {path}: must be ")


# --- what does not fit together ---


def test_a_generator_needs_steps_and_losses(tables):
    del tables["translation"]
    assert problems(tables) == [
        "r.toml: translation: missing; a [generator] needs 'steps' there, 0 for one that has nothing to train"
    ]
    tables["translation"] = {"steps": 1}
    tables["losses"] = []
    assert problems(tables) == [
        "r.toml: losses: missing; a [generator] needs one to be trained by, or else translation.steps = 0"
    ]
    tables["translation"]["steps"] = 0
    assert parse(tables, "r").losses == ()


def test_what_only_a_generator_uses_is_refused_without_one(tables):
    del tables["generator"]
    assert problems(tables) == [
        f"r.toml: {table}: needs a [generator], and there is none"
        for table in ("discriminator", "losses", "translation")
    ]


def test_a_loss_stands_once(tables):
    tables["losses"].append({"name": "tiny_cycle"})
    assert problems(tables) == ["r.toml: losses: 'tiny_cycle' is there twice"]


@pytest.mark.parametrize("name", ["source_only", "oracle", "generator", "translation", "semantic_preservation"])
def test_a_method_may_not_take_the_name_of_a_file_or_row_that_every_run_has(tables, source_only, name):
    for method in (tables, source_only | {"augment": {"hue": 0.1}}, source_only | {"augment": {}}):
        (problem,) = problems(method | {"name": name})
        assert problem.startswith(f"r.toml: name: '{name}' is taken")


def test_a_direction_is_one_of_two(tables):
    (problem,) = problems(changed(tables, "translation.directions", ["source_to_target", "up"]))
    assert problem.startswith("r.toml: translation.directions.1: must be one of 'source_to_target', 'target_to_source'")


def test_source_only_may_be_called_so(source_only):
    assert parse(source_only | {"name": "source_only"}, "r").name == "source_only"


# --- reading ---


def test_options_of_a_component_are_kept_as_written(tables):
    tables["generator"] |= {"channels": 8, "options": [1], "deep": {"a": [1, {"b": 2}]}}
    recipe = parse(tables, "r")
    assert recipe.generator.options == {"channels": 8, "options": [1], "deep": {"a": [1, {"b": 2}]}}
    assert parse(dump(recipe), "r") == recipe


def test_dump_and_parse_are_inverse(tables, source_only):
    tables["losses"][0]["mode"] = "lsgan"
    tables["source"]["sizes"] = ({"of": (16, 24)},)  # as a script may give it
    tables["data"]["resize"] = [32, 48]
    for written in (tables, source_only):
        recipe = parse(written, "r")
        text = tomli_w.dumps(dump(recipe))
        assert parse(tomllib.loads(text), "r") == recipe


def test_dump_writes_defaults_out(recipe):
    written = dump(recipe)
    assert written["translation"]["betas"] == [0.5, 0.999]
    assert written["downstream"]["augment"]["gain"] == [1.0, 1.0]
    assert "resize" not in written["data"]


@pytest.mark.parametrize(
    "content, says",
    [
        (b"name = ", "not a TOML file"),
        (b"\xff\xfe", "not a TOML file"),
        (b"seed = " + b"9" * 5000, "not a TOML file"),
        (b"", "missing"),
    ],
)
def test_a_file_that_is_no_recipe_is_named(tmp_path, content, says):
    path = tmp_path / "r.toml"
    path.write_bytes(content)
    with pytest.raises(RecipeError) as caught:
        read(path)
    assert all(line.startswith(f"{path}: ") for line in caught.value.problems) and says in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(RecipeError, match=r"gone\.toml: cannot be read: No such file"):
        read(tmp_path / "gone.toml")
    with pytest.raises(RecipeError, match="cannot be read: Is a directory"):
        read(tmp_path)


def test_the_seed_given_wins_over_the_one_written(tables, write):
    assert read(write(tables), seed=7).seed == 7
    with pytest.raises(RecipeError, match="seed: must be between 0 and"):
        read(write(tables), seed=-1)


# --- overrides ---


@pytest.mark.parametrize(
    "text, path, value",
    [
        ("translation.steps=10", ("translation", "steps"), 10),
        (" translation.steps = 10 ", ("translation", "steps"), 10),
        ("downstream.augment.gain=[0.5, 2]", ("downstream", "augment", "gain"), [0.5, 2]),
        ("data.flip=false", ("data", "flip"), False),
        ("losses.tiny_cycle.weight=5", ("losses", 1, "weight"), 5),
        ("losses.1.weight=5", ("losses", 1, "weight"), 5),
        ("generator.multiple=4", ("generator", "multiple"), 4),
        ("source.root=/data/gta 5/x=y", ("source", "root"), "/data/gta 5/x=y"),
        ("source.root=C:\\data", ("source", "root"), "C:\\data"),
        ('source.root="quoted"', ("source", "root"), "quoted"),
        ("source.root=", ("source", "root"), ""),
        ("source.sizes={a = 1}", ("source", "sizes"), {"a": 1}),
        ("downstream.self_training={}", ("downstream", "self_training"), {}),
        ('generator={name = "other", size = 3}', ("generator",), {"name": "other", "size": 3}),
        ('source.map."traffic.light"="pole"', ("source", "map", "traffic.light"), "pole"),
        ('source.map={"traffic.light" = "pole"}', ("source", "map"), {"traffic.light": "pole"}),
        ('source.map."a=b"="c=d"', ("source", "map", "a=b"), "c=d"),
        ("losses={tiny_cycle = {weight = 5}}", ("losses", 1, "weight"), 5),
        ('losses.tiny_cycle={weight = 5, name = "other"}', ("losses", 1), {"weight": 5, "name": "other"}),
        ('losses.1={name = "other", weight = 5}', ("losses", 1), {"name": "other", "weight": 5}),
        ("source.x=1\nsource.y = 2", ("source", "x"), "1\nsource.y = 2"),
        ("source.x=" + "9" * 5000, ("source", "x"), "9" * 5000),
    ],
)
def test_an_override_sets_one_key(tables, text, path, value):
    before = copy.deepcopy(tables)
    apply_override(tables, text)
    expected = before
    for step in path[:-1]:
        expected = expected[step] if isinstance(expected, list) else expected.setdefault(step, {})
    expected[path[-1]] = value
    assert tables == before


def test_keys_that_are_numbers_in_a_script_are_those_of_the_file(tables):
    put(tables, "source.ids", {0: "road", 1: "car"}, "source.ids")
    put(tables, "losses", {1: {"weight": 5}}, "losses")
    assert tables["source"]["ids"] == {"0": "road", "1": "car"} and tables["losses"][1]["weight"] == 5


def test_an_empty_table_leaves_one_that_is_there_as_it_is(tables):
    before = copy.deepcopy(tables)
    apply_override(tables, "downstream={}")
    assert tables == before


@pytest.mark.parametrize(
    "text, says",
    [
        ("translation.steps", "must be KEY=VALUE"),
        ("=3", "must be KEY=VALUE"),
        ("translation..steps=3", "must be KEY=VALUE"),
        ("name.x=3", "name is a value, not a table"),
        ("data.batch_size.x=3", "data.batch_size is a value, not a table"),
        ("losses.cycl.weight=3", r"no entry named 'cycl' \(known: least_squares, tiny_cycle\)"),
        ("losses.tiny_cycl.weight=3", "did you mean 'tiny_cycle'"),
        ("losses.2.weight=3", "no entry named '2'"),
        ("losses.tiny_cycle=3", "losses is a list; name an entry and a key in it"),
    ],
)
def test_an_override_that_cannot_be_placed_says_why(tables, text, says):
    with pytest.raises(RecipeError, match=f"--set {text.split('=')[0]}.*{says}"):
        apply_override(tables, text)


def test_an_override_is_checked_as_what_is_written(tables, write):
    with pytest.raises(RecipeError, match=r"tiny\.toml: translation\.steps: must be a whole number, got 'many'"):
        read(write(tables), ["translation.steps=many"])


# --- finding ---


class Shelf:
    def __init__(self, folder):
        self.folder = folder

    @hookimpl
    def daf_recipes(self):
        return self.folder


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    folder = tmp_path / "shelf"
    folder.mkdir()
    (folder / "known_method.toml").write_text("seed = 1")
    monkeypatch.chdir(tmp_path)
    return load_plugins(extra={"shelf": Shelf(folder)}), folder / "known_method.toml"


@pytest.mark.parametrize("argument", ["known_method", "known_method.toml", "recipes/known_method.toml"])
def test_a_recipe_of_a_plugin_is_found_from_anywhere(shelf, argument):
    plugins, file = shelf
    assert locate(plugins, argument) == file
    assert ("known_method", file, "shelf (given in Python -)") in offered_files(plugins)


def test_a_file_comes_before_a_plugins_recipe(shelf, tmp_path):
    mine = tmp_path / "known_method.toml"
    mine.write_text("")
    assert locate(shelf[0], "known_method.toml").resolve() == mine
    assert locate(shelf[0], str(mine)) == mine


@pytest.mark.parametrize("argument", ["known_metod", "elsewhere/known_method.toml", "known_method.json", "", "."])
def test_an_unknown_recipe_is_refused(shelf, argument):
    with pytest.raises(RecipeError, match="not a file, and no recipe named"):
        locate(shelf[0], argument)


def test_an_unknown_recipe_comes_with_the_nearest_name(shelf):
    with pytest.raises(RecipeError, match="did you mean 'known_method'"):
        locate(shelf[0], "known_metod")


def test_a_recipe_that_two_plugins_offer_is_refused_by_both_names(shelf, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "known_method.toml").write_text("")
    (other / "free.toml").write_text("")
    plugins = load_plugins(extra={"one": Shelf(shelf[1].parent), "two": Shelf(other)})
    with pytest.raises(PluginError) as caught:
        locate(plugins, "known_method")
    assert str(shelf[1]) in str(caught.value) and str(other / "known_method.toml") in str(caught.value)
    assert locate(plugins, "free") == other / "free.toml"


# --- whatever is written ---

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 2**70)
    | st.floats()
    | st.text(max_size=5)
    | st.just([16, 24])
    | st.datetimes(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.just("name"), inner, max_size=3)
    ),
    max_leaves=6,
)
PATHS = [
    ".".join(path)
    for path in [(key,) for key in TABLES]
    + [(key, inner) for key, table in TABLES.items() if isinstance(table, dict) for inner in table]
    + [("losses", "0"), ("losses", "1", "weight"), ("translation", "betas"), ("downstream", "augment", "gain")]
    + [("data", "resize"), ("translation", "discriminator_lr"), ("nonsense",), ("downstream", "augment")]
]


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.sampled_from(PATHS), VALUES), min_size=1, max_size=3))
def test_whatever_a_recipe_holds_it_is_read_or_refused_with_its_problems(changes):
    tables = copy.deepcopy(TABLES)
    for path, value in changes:
        place = tables
        *parents, last = path.split(".")
        for step in parents:
            if isinstance(place, dict):
                place = place.setdefault(step, {})
            elif isinstance(place, list) and step.isdecimal() and int(step) < len(place):
                place = place[int(step)]
        if isinstance(place, dict):
            place[last] = value
        elif isinstance(place, list) and last.isdecimal() and int(last) < len(place):
            place[int(last)] = value
    try:
        recipe = parse(tables, "r.toml")
    except RecipeError as error:
        assert error.problems and all(line.startswith("r.toml: ") for line in error.problems)
    else:
        assert attrs.asdict(parse(dump(recipe), "r")).keys() == attrs.asdict(recipe).keys()


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=30) | st.from_regex(r"[a-z]{1,9}(\.[a-z0-9]{1,6}){0,2}=[^\n]{0,9}", fullmatch=True))
def test_whatever_an_override_says_it_is_placed_or_refused(text):
    tables = copy.deepcopy(TABLES)
    try:
        apply_override(tables, text)
    except RecipeError as error:
        assert str(error).startswith("--set ")
