"""The kinds of files: how a network is written as one, and how it is opened again."""

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import lcm
from pathlib import Path
from typing import Any

import torch
from attrs import evolve, frozen
from torch import Tensor, nn

from daf_export.exportable import Exportable
from daframework.build import make
from daframework.data.whole import padded_side
from daframework.errors import DataError, PluginError, RunError, one_line
from daframework.registry import find, load_plugins

OPSET = 20
"""From 21 on ONNX Runtime computes group norms by a kernel of its own, which loses digits up to NaN on even images."""
_METADATA = "metadata.json"
_LEAST = (33, 129)
"""Smallest sides to fall back on: a network of stride 2**n that takes any size needs 2**n + 1 pixels to be traced."""
_STRIDE = 32
"""The multiple to fall back on then: a branch by how sides divide has one answer for all multiples of the stride."""


@frozen
class Format:
    """A kind of file, by its ending and the packages it needs.

    ``write`` returns what it wrote, which may need larger images than the network; ``open`` gives a function of images
    (N, 3, H, W).
    """

    suffix: str
    needs: tuple[str, ...]
    write: Callable[[Exportable, Path], Exportable]
    open: Callable[[Path], Callable[[Tensor], Tensor]]


class _Contiguous(nn.Module):
    """A network that does not see its input's memory format: what it was traced with, it takes for granted."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        output: Tensor = self.network(image.clone(memory_format=torch.contiguous_format))
        return output


def example_size(one: Exportable) -> tuple[int, int]:
    """Height and width that a network is traced with: other ones than any of the parity check's."""
    if one.size is not None:
        return one.size
    side = padded_side(max(160, one.smallest), one.multiple)
    return side, side + 2 * one.multiple


def traced(one: Exportable) -> tuple[torch.export.ExportedProgram, Exportable]:
    """Its graph for any batch, height and width, or for its ``size``; and what it takes.

    Raises:
        RunError: it cannot be had.
    """
    dim, batch = torch.export.Dim, torch.export.Dim("batch")
    attempts = [one]
    if not one.size:
        coarse, multiple = lcm(one.multiple, _STRIDE), one.multiple
        leasts = [(multiple, padded_side(max(least, one.smallest), multiple)) for least in (1, *_LEAST)]
        leasts.append((coarse, padded_side(max(2 * coarse, one.smallest), coarse)))
        attempts = [evolve(one, multiple=multiple, smallest=least) for multiple, least in dict.fromkeys(leasts)]
    for tried in attempts:
        free: dict[int, Any] = {0: batch}
        if not one.size:
            unit = tried.multiple
            sides = (dim(name, min=tried.smallest // unit) for name in ("height", "width"))
            free |= {axis: side * unit if unit > 1 else side for axis, side in enumerate(sides, 2)}
        image = torch.zeros(2, 3, *example_size(tried))
        try:
            with _quiet():
                program = torch.export.export(_Contiguous(one.network), (image,), dynamic_shapes={"image": free})
            return program, tried
        except Exception as error:  # torch raises whatever the network's code stumbles on
            why = error
    reason = one_line(why, kind=True)[:200]
    if one.size:
        raise RunError(f"{one.name}: torch.export cannot trace this network ({reason})")
    raise RunError(
        f"{one.name}: this network cannot be exported for any size ({reason}); "
        "export it for one with --size HEIGHTxWIDTH"
    ) from why


def write_program(one: Exportable, path: Path) -> Exportable:
    """Write what ``torch.export.load`` reads, with the metadata as an extra file, JSON."""
    program, taken = traced(one)
    program.example_inputs = None  # or the file holds the image that it was traced with
    with _quiet():
        if not one.size and not _takes(program, taken.smallest):  # a graph may not be for sides of one unit
            taken = evolve(taken, smallest=max(taken.smallest, 2 * taken.multiple))
        try:
            torch.export.save(program, path, extra_files={_METADATA: json.dumps(taken.metadata(), indent=2)})
        except OSError:
            raise
        except Exception as error:  # the serializer's own, for every operator it does not know
            why = one_line(error)[:200]
            raise RunError(f"{one.name}: torch.export cannot save it: {why}; try another --format or --size") from error
    return taken


def _takes(program: torch.export.ExportedProgram, side: int) -> bool:
    try:
        program.module()(torch.zeros(1, 3, side, side))
    except AssertionError:  # one of its guards
        return False
    return True


def open_program(path: Path) -> Callable[[Tensor], Tensor]:
    """The function in such a file."""
    with _quiet():
        program: Any = torch.export.load(path)
    return program.module()  # type: ignore[no-any-return]


def write_onnx(one: Exportable, path: Path) -> Exportable:
    """Write one ONNX file of float32 at opset `OPSET`, with the metadata in its ``metadata_props``."""
    import onnx

    program, taken = traced(one)
    options: dict[str, Any] = {"opset_version": OPSET, "input_names": ["image"], "output_names": ["output"]}
    options["verbose"] = False  # or it prints what it does
    try:
        with _quiet():
            plain = _stable_norms()
            made: Any = torch.onnx.export(program, dynamo=True, custom_translation_table=plain, **options)
            model = made.model_proto
    except Exception as error:  # the exporter's own, for every operator it does not know
        cause = one_line(error.__cause__ or error)[:200]
        raise RunError(f"{one.name}: torch.onnx cannot write this network ({cause}); try another --format") from error
    onnx.helper.set_model_props(model, taken.metadata())
    for value in (*model.graph.input, *model.graph.output):
        axes = value.type.tensor_type.shape.dim  # (N, ..., H, W), or (N, ...) of a prediction that is not by pixel
        for axis, name in zip((axes[0], *axes[-2:]), ("batch", "height", "width"), strict=True):
            if axis.dim_param and (name == "batch" or len(axes) > 2):
                axis.dim_param = name
    onnx.save(model, path)
    return taken


def open_onnx(path: Path) -> Callable[[Tensor], Tensor]:
    """The function in such a file, run by ONNX Runtime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda image: torch.from_numpy(session.run(None, {"image": image.numpy()})[0])


def _stable_norms() -> dict[Any, Callable[..., Any]]:
    """Group and instance norm in plain operations: ONNX Runtime's own amplify rounding on even images."""
    import onnxscript

    op: Any = onnxscript.opset20  # its annotations know no Python numbers, which it takes

    def mean(rows: Any) -> Any:  # of the rows' means: one sum of all pixels loses digits
        return op.ReduceMean(op.ReduceMean(rows, [3]), [2])

    def group_norm(features: Any, groups: int, weight: Any, bias: Any, eps: float, *_: Any) -> Any:
        rows = op.Concat(op.Constant(value_ints=[0, groups, -1]), op.Shape(features, start=-1), axis=0)
        grouped = op.Reshape(features, rows)
        # Of an even surface all is 0 exactly, since one of its pixels is taken off before the mean is.
        shifted = op.Sub(grouped, op.Slice(grouped, [0, 0], [1, 1], [2, 3]))
        centred = op.Sub(shifted, mean(shifted))
        variance = mean(op.Mul(centred, centred))
        normal = op.Div(centred, op.Sqrt(op.Add(variance, op.Constant(value_float=eps))))
        normal, shape = op.Reshape(normal, op.Shape(features)), [-1, *[1] * (len(features.shape) - 2)]
        normal = normal if weight is None else op.Mul(normal, op.Reshape(weight, shape))
        return normal if bias is None else op.Add(normal, op.Reshape(bias, shape))

    def instance_norm(
        features: Any, weight: Any, bias: Any, _mean: Any, _var: Any, _use: bool, _m: float, *eps: Any
    ) -> Any:
        return group_norm(features, features.shape[1], weight, bias, *eps)

    aten = torch.ops.aten
    return {aten.group_norm.default: group_norm, aten.instance_norm.default: instance_norm}


def write_safetensors(one: Exportable, path: Path) -> Exportable:
    """Write the weights alone, with what builds their network in the metadata; `open_safetensors` reads them."""
    from safetensors.torch import save

    if one.size:
        raise DataError("safetensors holds weights alone, for images of any size; leave --size out")
    models = getattr(one.network, "models", None)
    if isinstance(models, nn.ModuleList):
        raise PluginError(
            f"{one.name}: the mean of {len(models)} models, and safetensors holds one network; "
            "export it with --format onnx or torch-export"
        )
    weights = {name: tensor.contiguous().clone() for name, tensor in one.network.state_dict().items()}
    path.write_bytes(save(weights, {"format": "pt", **one.metadata()}))  # its own file would be for its owner alone
    return one


def open_safetensors(path: Path) -> nn.Module:
    """The network whose weights are in ``path``, in eval mode on the CPU.

    Raises:
        DataError: it holds none of ours, or cannot be read.
        DafError: the plugin that builds it is not there, or builds another one.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            component = json.loads((file.metadata() or {})["component"])
        kind, name, options = component["kind"], component["name"], component["options"]
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise DataError(f"{path}: not weights that daf export wrote ({type(error).__name__}: {error})") from error
    built: Any = make(find(load_plugins(), kind, name), options, str(path), num_classes=component["num_classes"])
    network: nn.Module = built.model() if kind == "task" else built
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise DataError(f"{path}: does not fit {kind} '{name}' ({one_line(error)[:200]})") from error
    return network.eval()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporters' remarks on themselves."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


FORMATS: Mapping[str, Format] = {
    "onnx": Format(".onnx", ("onnx", "onnxruntime", "onnxscript"), write_onnx, open_onnx),
    "torch-export": Format(".pt2", (), write_program, open_program),
    "safetensors": Format(".safetensors", ("safetensors",), write_safetensors, open_safetensors),
}
