"""The command line: `graphc`, or `python -m graphc`.

Unlike the rest of the language it looks up: it runs, compiles and times.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .graph import Graph, get_default_graph
from .operation import Operation, Tensor
from .program import Program
from .script_runner import print_script_error, run_script

if TYPE_CHECKING:
    from .runtime.profile import Profile

DESCRIPTION = "A compiler for static computation graphs: runs TensorFlow 1 scripts as native code, and shows how."
SUBJECT = "a Python script, or the text of a program as `dump` writes it"
EPILOG = """\
draw, dump and time run a script until it is about to run its session with everything declared that is asked for (time:
until it runs just that), and stop it there. Fetches are names of tensors or operations, as in Session.run.

environment:
  GRAPHC_BACKEND=interpreter   run everything in NumPy instead of native code
  GRAPHC_DUMP=DIR              write every stage of every compilation into DIR
  GRAPHC_DISABLE=NAME,NAME     leave passes out
  GRAPHC_VERIFY=1              check programs after every pass
"""


class CommandError(Exception):
    """What was asked for cannot be done; the text says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command. Returns 0, 1 where a script failed, 2 where the command cannot be carried out."""
    options = make_parser().parse_args(arguments)
    try:
        return options.command(options)
    except CommandError as error:
        print(f"graphc: error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing more to say at exit
        return 1


def make_parser() -> argparse.ArgumentParser:
    from . import graphc_version

    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("graphc", description=DESCRIPTION, epilog=EPILOG, formatter_class=raw)
    parser.add_argument("--version", action="version", version=f"graphc {graphc_version}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run a script, with `tensorflow` resolved to graphc")
    run.add_argument("script", help="the Python script")
    run.add_argument("arguments", nargs=argparse.REMAINDER, help="what the script finds in sys.argv")
    run.set_defaults(command=run_command)

    draw = commands.add_parser("draw", help="draw a graph or program")
    _add_subject(draw)
    draw.add_argument("-o", "--output", default="graph.svg", help="the file; its ending says the format (%(default)s)")
    draw.add_argument("--title", help="above the picture")
    draw.add_argument("--limit", type=int, default=400, help="boxes from which on scopes are closed (%(default)s)")
    draw.add_argument("--expand", action="append", default=[], metavar="SCOPE", help="a scope to keep open; may be repeated")
    draw.add_argument("--engine", choices=("auto", "dot", "wasi", "own"), default="auto", help="what lays out")
    draw.add_argument("--stage", help="draw the program after this pass instead of the declared graph")
    _add_shapes(draw)
    draw.set_defaults(command=draw_command)

    dump = commands.add_parser("dump", help="show the stages of a compilation as text")
    _add_subject(dump)
    dump.add_argument("--stage", help="one stage alone (see `graphc passes`; all of them if left out)")
    dump.add_argument("-o", "--output", metavar="DIR", help="write each stage into a file of this directory")
    _add_shapes(dump)
    dump.set_defaults(command=dump_command)

    time = commands.add_parser("time", help="show how long each kernel takes")
    _add_subject(time)
    time.add_argument("--repeat", type=int, default=20, help="runs whose median counts (%(default)s)")
    time.add_argument("--rows", type=int, default=None, help="kernels shown, the longest first (all)")
    time.add_argument("--schedules", action="store_true", help="show what was chosen for each kernel, and why")
    time.add_argument("--trace", metavar="FILE", help="write the runs as a trace (JSON) that ui.perfetto.dev opens")
    time.add_argument("--measure", action="store_true", help="measure the peaks of the machine anew (once a machine)")
    _add_shapes(time)
    time.set_defaults(command=time_command)

    passes = commands.add_parser("passes", help="list the passes and the other stages")
    passes.set_defaults(command=passes_command)
    return parser


def _add_subject(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("subject", help=SUBJECT)
    parser.add_argument("fetches", nargs="*", metavar="FETCH", help="names of tensors or operations")
    parser.add_argument("--args", nargs=argparse.REMAINDER, default=[], help="everything after it is for the script")


def _add_shapes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--shape", action="append", default=[], type=_parse_shape, metavar="NAME=2,3",
        help="the shape of a placeholder of unknown dimensions (32 each); may be repeated",
    )  # fmt: skip


def _parse_shape(text: str) -> tuple[str, tuple[int, ...]]:
    name, equals, sizes = text.partition("=")
    try:
        shape = tuple(int(size) for size in sizes.split(",") if size.strip())
    except ValueError:
        shape = None
    if not equals or not name or shape is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=2,3")
    return name, shape


# -- commands


def run_command(options: argparse.Namespace) -> int:
    _run(options.script, options.arguments)
    return 0


def draw_command(options: argparse.Namespace) -> int:
    from .visualize import render

    subject = find_subject(options)
    if options.stage is not None:
        subject = _find_stage(subject, options.stage, dict(options.shape))
    try:
        path = render(
            subject, options.output, title=options.title, limit=options.limit, expand=options.expand, engine=options.engine
        )
    except (RuntimeError, OSError) as error:
        raise CommandError(str(error)) from None
    print(path)
    return 0


def dump_command(options: argparse.Namespace) -> int:
    from .runtime.dump import dump

    subject = find_subject(options)
    if isinstance(subject, Graph):
        raise CommandError("dump needs the names of fetches")
    try:
        text = dump(subject, options.stage, options.output, dict(options.shape))
    except ValueError as error:
        raise CommandError(str(error)) from None
    print(text)
    return 0


def time_command(options: argparse.Namespace) -> int:
    from .runtime.peaks import machine_peaks
    from .runtime.profile import format_profile
    from .runtime.trace import write_trace

    if _is_script(options.subject):
        profile = _time_script(options)
    else:
        profile = _time_program(_read_program(options.subject), options)
    peaks = machine_peaks(profile.threads, options.measure)
    print(format_profile(profile, peaks, options.rows, options.schedules))
    if options.trace is None:
        return 0
    try:
        print(f"trace: {write_trace(options.trace, profile, peaks)}")
    except OSError as error:
        raise CommandError(str(error)) from None
    return 0


def passes_command(options: argparse.Namespace) -> int:
    from .passes.pipeline import PASSES
    from .runtime.dump import STAGES

    print("passes, in the order of their running (GRAPHC_DISABLE=NAME leaves one out):")
    for item in PASSES:
        meaning = (type(item).__doc__ or "").strip().partition("\n")[0]
        generated = meaning.startswith(f"{type(item).__name__}(")
        print(f"  {item.name:34}  {'' if generated else meaning}".rstrip())
    print(f"\nother stages of `graphc dump`: {', '.join(STAGES)}")
    return 0


# -- what a command is about


def _is_script(path: str) -> bool:
    return path.endswith((".py", ".pyw"))


def find_subject(options: argparse.Namespace) -> Any:
    """The program of a text file, the fetches of a script's graph, or the whole graph where none were named."""
    if not _is_script(options.subject):
        return _read_program(options.subject)
    graph = find_graph(options.subject, options.args, options.fetches)
    return [find_element(graph, name) for name in options.fetches] or graph


def _read_program(path: str) -> Program:
    from .parser import ParseError
    from .runtime.dump import read_program

    try:
        return read_program(path)
    except (OSError, UnicodeDecodeError, ParseError) as error:
        raise CommandError(f"{path}: {error}" if isinstance(error, ParseError) else str(error)) from None


def find_graph(path: str, arguments: Sequence[str], names: Sequence[str]) -> Graph:
    """The graph of a script when it is about to run its session with all of `names` declared, or when it ends."""
    seen: list[Graph] = []

    def observe(session: Any, fetches: Any, feeds: Mapping[Any, Any]) -> None:
        seen[:] = [session.graph]
        if all(_has_element(session.graph, name) for name in names):
            raise StopScript

    _run_observed(path, arguments, observe)
    graph = seen[0] if seen else get_default_graph()
    if not graph.version:
        raise CommandError(f"{path} declares nothing in its default graph, and runs no session")
    return graph


def find_element(graph: Graph, name: str) -> Tensor | Operation:
    """What a name stands for; the only output of an operation rather than the operation."""
    if not _has_element(graph, name):
        known = [operation.name for operation in graph.get_operations()]
        close = difflib.get_close_matches(name.partition(":")[0], known, 3) or known[-3:]
        raise CommandError(f"the graph has no {name!r}; is it one of {', '.join(close)}?")
    found = graph.as_graph_element(name)
    return found.outputs[0] if isinstance(found, Operation) and len(found.outputs) == 1 else found


def _has_element(graph: Graph, name: str) -> bool:
    try:
        graph.as_graph_element(name)
    except (KeyError, ValueError):
        return False
    return True


class StopScript(BaseException):
    """Ends a script that has shown what was wanted of it; not an Exception, which the script might catch."""


def _run_observed(path: str, arguments: Sequence[str], observe: Callable[[Any, Any, Mapping[Any, Any]], None]) -> None:
    from .runtime.session import RUN_OBSERVERS

    RUN_OBSERVERS.append(observe)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # what the command writes is not to be mixed with that
            _run(path, arguments)
    except StopScript:
        pass
    finally:
        RUN_OBSERVERS.remove(observe)


def _run(path: str, arguments: Sequence[str]) -> None:
    """Runs a script; its exceptions end this process as they would have ended Python."""
    try:
        run_script(path, arguments)
    except (StopScript, SystemExit, CommandError):
        raise
    except OSError as error:
        if error.filename == path:
            raise CommandError(f"cannot read {path}: {error.strerror}") from None
        print_script_error(error)
        raise SystemExit(1) from None
    except KeyboardInterrupt as error:
        print_script_error(error)
        raise SystemExit(130) from None
    except BaseException as error:
        print_script_error(error)
        raise SystemExit(1) from None


def _find_stage(subject: Any, stage: str, shapes: dict[str, tuple[int, ...]]) -> Program:
    """The program after a pass, read back from its text."""
    from .parser import parse_program
    from .runtime.dump import StageList, collect_stages

    if isinstance(subject, Graph):
        raise CommandError("a stage needs the names of fetches")
    sink = StageList()
    try:
        collect_stages(subject, sink, shapes, stage)
    except ValueError as error:
        raise CommandError(str(error)) from None
    texts = [text for name, text in sink.stages if name == stage]
    if not texts:
        raise CommandError(f"the pass {stage} changes nothing in this program")
    return parse_program(texts[-1], sink.literals)


# -- times


def _time_script(options: argparse.Namespace) -> Profile:
    from .runtime.profile import profile_session_run

    found: list[Any] = []

    def observe(session: Any, fetches: Any, feeds: Mapping[Any, Any]) -> None:
        if found or not _is_wanted(session, fetches, feeds, options.fetches):
            return
        found.append(None)  # the run that is timed is observed too
        try:
            found[0] = profile_session_run(session, fetches, feeds, options.repeat)
        except ValueError as error:
            raise CommandError(str(error)) from None
        raise StopScript

    _run_observed(options.subject, options.args, observe)
    if not found:
        what = f"{', '.join(options.fetches)}" if options.fetches else "anything with feeds that writes variables"
        raise CommandError(f"{options.subject} never runs {what}")
    return found[0]


def _is_wanted(session: Any, fetches: Any, feeds: Mapping[Any, Any], names: Sequence[str]) -> bool:
    """Whether a run is the one to time: it fetches all that was named, or it is the first training step."""
    from .runtime.fetches import plan_fetches

    plan = plan_fetches(session.graph, fetches)
    if not names:
        return bool(feeds) and session.prepare(plan.tensors, plan.operations, plan_feeds(session, feeds)).writes
    if not all(_has_element(session.graph, name) for name in names):
        return False
    wanted = {find_element(session.graph, name) for name in names}
    operations = {*plan.operations, *(t.operation for t in plan.tensors)}
    return all(item in plan.tensors or getattr(item, "operation", item) in operations for item in wanted)


def plan_feeds(session: Any, feeds: Mapping[Any, Any]) -> list[Tensor]:
    from .runtime.feeds import convert_feeds

    return list(convert_feeds(session.graph, feeds))


def _time_program(program: Program, options: argparse.Namespace) -> Profile:
    import numpy as np

    from .runtime.dump import fill_shapes
    from .runtime.native_backend import NativeBackend
    from .runtime.profile import make_inputs, profile_program

    shapes = dict(options.shape)
    native = NativeBackend().compile(program, fill_shapes(program, shapes), {})
    feeds, store = make_inputs(program, shapes)
    return profile_program(native, feeds, store, np.zeros(2, np.int64), options.repeat)


if __name__ == "__main__":
    sys.exit(main())
