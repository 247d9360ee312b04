"""What the ids or colours in labels mean among the classes that are asked for, and colours turned into these."""

from collections.abc import Mapping, Sequence

from daf_driving.space_files import colour_map, id_map, shipped_table
from daframework.data import label_files
from daframework.data.spaces import IGNORE
from daframework.dataset_interface import Array
from daframework.errors import DataError, unknown
from daframework.label_types import IGNORE_INDEX


def meaning_table(option: str, meanings: Mapping[str, str] | str, classes: Sequence[str]) -> dict[int, int]:
    """What the option ``ids`` or ``colours`` says: the name of a map that ships, or a map of the user's own.

    Given are indices into ``classes``, or 255 (ignore), by id or `colour_code`.

    Raises:
        ValueError: there is no such map, it does not fit ``classes``, or something is written wrongly in it.
    """
    if isinstance(meanings, str):
        shipped = (colour_map if option == "colours" else id_map)(meanings)
        return shipped_table(shipped, classes, f"{option} = '{meanings}'")
    # A map of the user's own, in which a meaning must be one of ``classes`` or ``ignore``.
    parse = label_files.parse_colour if option == "colours" else label_files.parse_id
    index = {**{name: place for place, name in enumerate(classes)}, IGNORE: IGNORE_INDEX}
    table: dict[int, int] = {}
    for key, meaning in meanings.items():
        try:
            value = parse(key)
        except ValueError as error:
            raise ValueError(f"{option}: a key {error}") from error
        where = f"{option}: {option[:-1]} {label_files.value_name(value, colours=option == 'colours')}"
        if meaning not in index:
            raise ValueError(f"{where}: {unknown('class', meaning, index)}")
        if value in table:
            raise ValueError(f"{where} is given twice")
        table[value] = index[meaning]
    return table


def colours_as_classes(codes: Array, table: Mapping[int, int], classes: Sequence[str], *, where: str) -> Array:
    """Class indices, or 255 (ignore), of colours (H, W) int32 as `read_colours` gives them; (H, W) uint8.

    ``where`` names the label in the message, as its file does.

    Raises:
        DataError: it has colours that ``table`` does not name.
    """
    found, _, others = label_files.replace_values(codes, {**table, label_files.TRANSPARENT: IGNORE_INDEX}, IGNORE_INDEX)
    if others:
        names = {code: classes[index] for code, index in table.items() if index != IGNORE_INDEX}
        commonest_first = sorted(others, key=lambda code: -others[code])
        near = next(filter(None, (label_files.near_colour(code, names) for code in commonest_first)), "")
        raise DataError(
            f"{where}: {label_files.name_values(others, colours=True)} not among the {len(table)} colours named; "
            f"{near}{'; ' if near else ''}give it a class or ignore in colours"
        )
    return found
