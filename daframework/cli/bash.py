"""Completion for bash: click's own is lost at the colon of KIND:NAME, and ends KEY= by a space."""

import os

from click.shell_completion import BashComplete, split_arg_string


class Bash(BashComplete):
    """Reads the line as it is typed up to the cursor, since bash's words end at each of COMP_WORDBREAKS.

    Bash replaces what stands after the last of these, so what comes before a colon must not be offered with the rest.
    """

    source_template = r"""
%(complete_func)s() {
    local line=${COMP_LINE:0:COMP_POINT} type value before=
    local word=${line##*[[:space:]]}
    [[ $COMP_WORDBREAKS == *:* ]] && before=${word%%"${word##*:}"}
    COMPREPLY=()
    while IFS=, read -r type value; do
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain)
                COMPREPLY+=("${value#"$before"}")
                [[ $value == *= ]] && compopt -o nospace
                ;;
        esac
    done < <(COMP_WORDS=$line %(complete_var)s=bash_complete "$1")
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the one at the cursor, and that one."""
        line = os.environ["COMP_WORDS"]
        *before, incomplete = split_arg_string(line) + [""] * line[-1:].isspace()
        return before[1:], incomplete
