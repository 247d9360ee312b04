import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import matplotlib
import pytest
from drawn import overlapping, texts
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from daframework.errors import RunError
from daframework.report.figures import class_figure, save_figure, score_figure, visible, wrapped
from daframework.scores import SEGMENTATION, Metric

MIOU = SEGMENTATION[0]
BARS = {"semantic_cyclegan": [0.43, 0.45, 0.44], "cyclegan": [0.40, 0.41, 0.42], "fda": [0.38, 0.39, 0.385]}
LINES = {"source_only": 0.31, "oracle": 0.55}
IOU = {
    "cyclegan": {"road": 0.91, "sky": None, "traffic_sign": 0.1},
    "fda": {"road": 0.8, "sky": 0.5, "traffic_sign": 0},
}
ODD_NAMES = ["$x_1$", "a_b^c", "<b>bold</b>", "&amp; & co", "\\alpha \\n", "%d {0}", "x" * 70, "größe → 2"]


def figures(names, title):
    """Each kind of figure with these names among its methods."""
    yield score_figure({**BARS, **dict.fromkeys(names, (0.5,))}, LINES, title, MIOU)
    yield class_figure({**IOU, **dict.fromkeys(names, IOU["fda"])}, title)


def written(path):
    """All text of an SVG, in order."""
    return "".join(ElementTree.parse(path).getroot().itertext())


def saved(figure, folder):
    """The PNG's size and the SVG's text; both files are as they should be and nothing else was left."""
    png, svg = save_figure(figure, folder, "made")
    assert (png, svg) == (folder / "made.png", folder / "made.svg") and sorted(folder.iterdir()) == [png, svg]
    with Image.open(png) as image:
        image.load()
        assert image.format == "PNG" and image.width <= 1600
        return image.size, written(svg)


def test_files_are_sound_and_name_the_methods(tmp_path):
    for place, figure in enumerate(figures(["color_transfer"], "A title")):
        size, text = saved(figure, tmp_path / "new" / str(place))
        assert min(size) > 200
        assert all(name in text for name in ("A title", "fda", "color_transfer"))


def test_odd_names_are_shown_as_they_are(tmp_path):
    for place, figure in enumerate(figures(ODD_NAMES, "$t_1$ <i> &lt; \\beta")):
        for name in ODD_NAMES:
            assert wrapped(name, 26) in texts(figure)
        text = saved(figure, tmp_path / str(place))[1]
        assert "$t_1$ <i> &lt; \\beta" in text
        assert all("".join(name.split()) in "".join(text.split()) for name in ODD_NAMES)


def test_names_that_no_svg_could_hold_are_written_as_escapes(tmp_path):
    assert visible("a\nb\x1b[31m\x00\ud800 é") == "a\\nb\\x1b[31m\\x00\\ud800 é"
    for place, figure in enumerate(figures(["a\x1b[31m\x00\ud800"], "t\tt")):
        text = saved(figure, tmp_path / str(place))[1]
        assert "a\\x1b[31m\\x00\\ud800" in "".join(text.split()) and "t\\tt" in text


@pytest.mark.parametrize(
    "text", ["", "one", "semantic_cyclegan_without_the_head", "x" * 50, "-- a _ b", "a b  c d e f g h"]
)
def test_long_names_go_on_in_another_line(text):
    lines = wrapped(text, 10).split("\n")
    assert max(map(len, lines)) <= 10
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert wrapped("semantic_cyclegan_no_head", 18) == "semantic_cyclegan_\nno_head"
    assert wrapped("source_only (in tiny)", 12) == "source_only\n(in tiny)"


def bars_of(figure):
    return [(bar.get_y() + bar.get_height() / 2, bar.get_width()) for bar in figure.axes[0].patches]


def test_bars_are_means_in_the_order_given_from_the_top():
    figure = score_figure(BARS, LINES, "t", MIOU)
    assert bars_of(figure) == [pytest.approx((0, 44)), pytest.approx((1, 41)), pytest.approx((2, 38.5))]
    low, high = figure.axes[0].get_ylim()
    assert low > high, "the first is at the top"
    assert figure.axes[0].get_xlim()[0] == 0
    assert {"44.0 ± 1.0", "41.0 ± 1.0", "38.5 ± 0.5"} <= set(texts(figure))


def test_whiskers_are_one_sample_deviation_and_dots_the_seeds():
    axes = score_figure({"a": [0.10, 0.20, 0.60]}, {}, "t", MIOU).axes[0]
    (errorbar,) = axes.containers[1:]
    (segment,) = errorbar.lines[2][0].get_segments()
    assert segment[:, 0] == pytest.approx([30 - 26.458, 30 + 26.458], abs=1e-3)
    dots = axes.collections[-1].get_offsets()
    assert sorted(dots[:, 0]) == pytest.approx([10, 20, 60])
    assert axes.get_xlim()[1] > 60


def test_one_seed_has_no_whisker_and_a_method_without_a_score_no_bar(tmp_path):
    figure = score_figure({"a": [0.5]}, {}, "t", MIOU)
    assert len(figure.axes[0].containers) == 1 and "50.0" in texts(figure)
    assert "±" not in "".join(text for text in texts(figure) if "whisker" not in text)
    figure = score_figure({"a": [0.5], "b": []}, LINES, "t", MIOU)
    assert len(bars_of(figure)) == 1 and "-" in texts(figure)
    saved(figure, tmp_path)
    saved(score_figure({"b": []}, {}, "t", MIOU), tmp_path)


def dashed(figure):
    return [line.get_xdata()[0] for line in figure.axes[0].lines if line.is_dashed()]


def test_reference_lines_stand_at_their_value_and_are_labelled():
    figure = score_figure(BARS, LINES, "t", MIOU)
    assert dashed(figure) == pytest.approx([31, 55])
    assert {"source_only 31.0", "oracle 55.0"} <= set(texts(figure))


@pytest.mark.parametrize(
    "lines",
    [
        {"source_only": 0.31, "oracle": 0.32, "another one": 0.315},
        {"oracle": 0.01, "source_only": 0.0},
        {"oracle": 1.0, "source_only": 0.999},
        {"x" * 100: 0.02, "$source_1$": 0.021, "_hidden": 0.5},
    ],
)
def test_near_lines_are_told_apart_by_their_dashes_and_named_below(lines):
    figure = score_figure(BARS, lines, "t", MIOU)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        wrapped(f"{name} {100 * value:.1f}", 60) for name, value in lines.items()
    ]
    drawn = [line for line in figure.axes[0].lines if line.is_dashed()]
    assert len({str(line._dash_pattern) for line in drawn}) == len(lines) and overlapping(figure) == ([], [])


def test_cells_are_percent_by_method_and_class_and_absent_ones_a_dash(tmp_path):
    figure = class_figure(IOU, "t")
    found = {text.get_position(): text.get_text() for text in figure.axes[0].texts}
    assert found == {
        (0.5, 0): "91.0",
        (1.5, 0): "-",
        (2.5, 0): "10.0",
        (0.5, 1): "80.0",
        (1.5, 1): "50.0",
        (2.5, 1): "0.0",
    }
    assert {"road", "sky", "traffic_sign", "cyclegan", "fda"} <= set(texts(figure))
    assert "-" in saved(figure, tmp_path)[1]
    saved(class_figure({"a": {"road": None}, "b": {"road": None}}, "t"), tmp_path)


def contrast(one, other):
    """Of two colours, by WCAG 2.1: 1 to 21."""
    lights = sorted(0.2126 * r**2.2 + 0.7152 * g**2.2 + 0.0722 * b**2.2 for r, g, b in (one, other))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def test_numbers_can_be_read_on_every_colour():
    figure = class_figure({"a": {str(value): value / 40 for value in range(41)}}, "t")
    axes = figure.axes[0]
    FigureCanvasAgg(figure).draw()
    for colour, text in zip(axes.collections[0].get_facecolor(), axes.texts[:41], strict=True):
        assert contrast(colour[:3], matplotlib.colors.to_rgb(text.get_color())) > 3.4


@pytest.mark.parametrize("methods", [1, 15])
@pytest.mark.parametrize("classes", [1, 2, 11, 20])
def test_heads_and_numbers_fit_for_every_size(methods, classes):
    names = [f"traffic sign {place}" for place in range(classes)]
    figure = class_figure({f"method_{row}": dict.fromkeys(names, 1.0) for row in range(methods)}, "t")
    assert overlapping(figure) == ([], [])


@pytest.mark.parametrize("title", ["A title", "a title of many words " * 12])
def test_nothing_overlaps_whatever_the_names(title):
    for figure in figures(ODD_NAMES, title):
        assert overlapping(figure) == ([], [])


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    figure = score_figure(BARS, LINES, "t", MIOU)
    with pytest.raises(RunError, match=r"file/made\.png cannot be written"):
        save_figure(figure, tmp_path / "file", "made")
    (tmp_path / "made.svg").mkdir()
    with pytest.raises(RunError, match=r"made\.svg cannot be written"):
        save_figure(figure, tmp_path, "made")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "made.png", "made.svg"]


def test_the_same_figure_gives_the_same_files_whatever_the_users_settings(tmp_path):
    first = [path.read_bytes() for path in save_figure(score_figure(BARS, LINES, "t", MIOU), tmp_path, "first")]
    with matplotlib.rc_context({"svg.fonttype": "path", "font.size": 20, "axes.facecolor": "black", "savefig.dpi": 30}):
        again = [path.read_bytes() for path in save_figure(score_figure(BARS, LINES, "t", MIOU), tmp_path, "again")]
    assert first == again


def test_matplotlib_is_imported_when_a_figure_is_made_and_pyplot_never(tmp_path):
    script = """
import pathlib, sys
from daframework.report import figures
from daframework.scores import SEGMENTATION
assert "matplotlib" not in sys.modules
figures.save_figure(figures.score_figure({"a": [0.5]}, {}, "t", SEGMENTATION[0]), pathlib.Path(sys.argv[1]), "made")
assert "matplotlib" in sys.modules and "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)


def test_a_metric_of_its_own_unit_is_drawn_in_it():
    error = Metric("AbsRel", "m", higher_is_better=False)
    axes = score_figure({"a": [1.5, 2.5]}, {"oracle": 0.75}, "t", error).axes[0]
    assert axes.get_xlabel().startswith("AbsRel, m, lower is better\n") and axes.patches[0].get_width() == 2.0
    assert axes.texts[0].get_text() == "2.000 ± 0.707" and axes.get_xlim()[1] > 2.5
