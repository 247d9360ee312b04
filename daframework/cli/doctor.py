"""``daf doctor``."""

import sys

import click

from daframework.cli.options import echo_json, json_option
from daframework.errors import visible


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
        width = max(len(one.what) for one in findings)
        for one in findings:
            remedy = f"; {one.remedy}" if one.remedy else ""
            click.echo(visible(f"{one.state:7}  {one.what:{width}}  {one.found}{remedy}"))
    if any(one.state == PROBLEM for one in findings):
        sys.exit(1)
