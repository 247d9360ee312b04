"""The translation of a run: train it, keep its generator, translate the whole source set."""

from functools import partial

import torch
from torch import nn

from daframework.adapt.loop import train
from daframework.adapt.samples import head_scores, sample_grid
from daframework.adapt.translate import translate_set
from daframework.adapt.translated_set import TranslatedSet, open_translated
from daframework.compute.ranks import from_first
from daframework.compute.session import Session
from daframework.data.decode import write_image
from daframework.data.spread import evenly_spread
from daframework.data.unlabelled import Unlabelled
from daframework.errors import RunError, one_line, warn
from daframework.interfaces import Generator, ImageDataset
from daframework.networks import DIRECTIONS, DOMAINS, Networks, make_also, make_generator, make_networks
from daframework.recipes.tables import Recipe
from daframework.registry import Plugins
from daframework.runs.class_shares import rare_sampler
from daframework.runs.context import RunContext, stream, timed
from daframework.runs.matched_crops import matched_samplers
from daframework.runs.rows import trained
from daframework.storage import checkpoint
from daframework.storage.row_names import SOURCE_ONLY, TRANSLATING, TRANSLATION
from daframework.storage.run_folder import RunFolder

GENERATOR = "generator"
_SAMPLES = 4
_JUDGED = 32  # source images on which the semantic heads are measured
_FLOOR = 0.25  # mIoU of a head below which its word is worth little


def translate(run: RunContext) -> list[TranslatedSet]:
    """Train the translation, keep its generator, and translate the whole source set with all of its translators.

    The sets of ``translation.also`` are the last.
    """
    if not from_first(run.folder.translated.exists):
        finished = run.folder.checkpoint(GENERATOR)
        if not from_first(finished.exists):
            translator = _train(run)
            if run.session.fabric.is_global_zero:
                num_classes = len(run.source.classes)
                checkpoint.save(finished, {"generator": translator.state_dict(), "num_classes": num_classes})
        generator = load_generator(run.session, run.plugins, run.recipe, run.folder)
        also = make_also(run.plugins, run.recipe, len(run.source.classes))
        with timed(run, TRANSLATING):
            for one in also:
                one.eval().to(_weights_dtype(run.recipe)).prepare(run.source, run.target)
                one.to(run.session.fabric.device)
            to, size, seed = run.folder.translated, run.recipe.downstream.batch_size, run.recipe.seed
            translate_set(run.session, generator, run.source, to, batch_size=size, seed=seed, also=also)
    return open_translated(run.folder.translated, run.source)


def _train(run: RunContext) -> nn.Module:
    networks = make_networks(run.plugins, run.recipe, len(run.source.classes))
    measure_domains(networks, run.source, run.target)
    for term in networks.terms:
        if term.loss.needs_source_model:
            term.loss.take_source_model(trained(run, SOURCE_ONLY).to(_weights_dtype(run.recipe)))
    samplers = matched_samplers(run)
    if not samplers and (rare := rare_sampler(run, run.source, "source")) is not None:
        samplers = {"source": rare}
    streams = {one: stream(run.recipe, getattr(run, one), one, samplers.get(one)) for one in DOMAINS}
    path, draw = run.folder.checkpoint(TRANSLATION), partial(_draw_samples, run, networks)
    with timed(run, TRANSLATION):
        return train(run.session, networks, streams, run.recipe, path, draw)


def _weights_dtype(recipe: Recipe) -> torch.dtype:
    """What the objectives hand to networks that are not theirs; in mixed precision weights stay in float32."""
    return torch.float64 if recipe.hardware.precision == "64-true" else torch.float32


def load_generator(session: Session, plugins: Plugins, recipe: Recipe, folder: RunFolder) -> Generator:
    """The trained source_to_target generator of a run, on the session's device.

    Raises:
        RunError: the run has none, or not yet, or one that its recipe no longer builds.
    """
    path = folder.checkpoint(GENERATOR)
    state = from_first(lambda: checkpoint.load(path, torch.device("cpu")))
    if state is None:
        raise RunError(f"{folder.path} holds no trained generator; has its translation finished?")
    generator = make_generator(plugins, recipe, DIRECTIONS[0], int(state["num_classes"])).to(_weights_dtype(recipe))
    try:
        generator.load_state_dict(state["generator"])
    except RuntimeError as error:
        hint = "was it made by another version of its plugin?"
        raise RunError(f"{path} does not fit the recipe's generator; {hint} ({one_line(error)})") from error
    return generator.to(session.fabric.device).eval()


def measure_domains(networks: Networks, source: ImageDataset, target: Unlabelled) -> None:
    """Let generators and losses `prepare`."""
    for direction, generator in networks.generators.items():
        ends = (source, target) if direction == DIRECTIONS[0] else (target, Unlabelled(source))
        generator.prepare(*ends)
    for term in networks.terms:
        term.loss.prepare(source, target)


def _draw_samples(run: RunContext, networks: Networks, step: int, translator: nn.Module) -> None:
    if not run.session.fabric.is_global_zero:
        return
    samples = [run.source[index] for index in evenly_spread(len(run.source), _SAMPLES)]
    same = [sample for sample in samples if sample.image.shape == samples[0].image.shape]
    device = run.session.fabric.device
    grid = sample_grid(translator, networks, same, run.source.palette, device)
    write_image(run.folder.sample(step), grid)
    run.session.log.image("samples", step, grid)
    judged = (run.source[index] for index in evenly_spread(len(run.source), _JUDGED))
    heads = head_scores(translator, networks, judged, device)
    if heads:
        run.session.log.values(step, {f"semantic head/mIoU of {image}": miou for image, miou in heads.items()})
    table, miou = run.recipe.translation, heads.get("fake_target", 1.0)
    if table is not None and step == table.steps and miou < _FLOOR:
        found = f"the semantic head that judges translations segments them with a mIoU of only {100 * miou:.0f} %"
        remedy = "train for more translation.steps, or raise semantic_discriminator's weight or set its class_weights"
        warn(f"{run.recipe.name}: {found}: it can hardly say whether they still show what they did; {remedy}")
