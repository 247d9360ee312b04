"""``daf doctor``."""

import sys

import click

from daframework.cli.options import echo_json, echo_named, json_option


@click.command("doctor")
@json_option
def command(as_data: bool) -> None:
    """Look at the machine and the installation: what is there, what is not, and what to do about it.

    Each line begins with ok, note or problem. The exit code is 1 if there is a problem.
    """
    from attrs import asdict

    from daframework.doctor import PROBLEM, examine

    findings = examine()
    if as_data:
        echo_json([asdict(one) for one in findings])
    else:
        echo_named((f"{one.state:7}  {one.what}", "; ".join(filter(None, (one.found, one.remedy)))) for one in findings)
    if any(one.state == PROBLEM for one in findings):
        sys.exit(1)
