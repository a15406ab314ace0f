"""Exceptions that bad input gets.

A message names the operation, the role and shape (or value) of each argument, and the
remedy. The first line is a complete statement, because the command line prints it alone
before any detail. Each class is also the built-in exception a caller would expect, so
``except ValueError`` keeps working.
"""

from types import ModuleType

__all__ = [
    "AnomalyError",
    "AxisError",
    "ChainruleError",
    "CheckpointError",
    "ConfigError",
    "DTypeError",
    "DataError",
    "DivergenceError",
    "ExportError",
    "GraphError",
    "GroupsError",
    "LabelError",
    "MissingExtraError",
    "PlaceError",
    "ResumeError",
    "ShapeError",
    "UninitializedError",
    "absent_name",
]


class ChainruleError(Exception):
    """An error that the user can mend; the command line shows it without a traceback."""


class ShapeError(ChainruleError, ValueError):
    """Shapes of arguments do not fit each other or the operation."""


class AxisError(ShapeError, IndexError):
    """An axis that a tensor does not have."""


class PlaceError(ShapeError, IndexError):
    """An index that names no element of a tensor, or is none."""


class LabelError(ShapeError, IndexError):
    """A class number, or another label, that is none of those there are."""


class DTypeError(ChainruleError, TypeError):
    """The element type of an argument does not suit the operation."""


class GraphError(ChainruleError, RuntimeError):
    """The computational graph cannot give the gradient that was asked for."""


class UninitializedError(ChainruleError, ValueError, RuntimeError):
    """A parameter or buffer is used before its shape is known."""


class DataError(ChainruleError, ValueError):
    """A dataset, an image or a label file is missing, empty, broken or inconsistent."""


class CheckpointError(ChainruleError, ValueError):
    """A checkpoint is missing, truncated or does not belong to the model."""


class ConfigError(ChainruleError, ValueError):
    """A setting has an unknown name or an impossible value."""


class GroupsError(ConfigError, RuntimeError):
    """An optimizer has other groups of parameters than a schedule was made for."""


class ResumeError(ConfigError, KeyError):
    """What a schedule should go on from is not there."""

    __str__ = Exception.__str__  # a KeyError would put the message in quotes


class ExportError(ChainruleError, ValueError):
    """A model cannot be given another form, or would not compute the same in it."""


class DivergenceError(ChainruleError, ArithmeticError):
    """Training produced a NaN or an infinity."""


class AnomalyError(DivergenceError, GraphError):
    """An operation made a NaN or an infinity; the message says which, where and what of."""


class MissingExtraError(ChainruleError, ImportError):
    """A command needs an optional dependency; the message names the extra to install."""


class Advisor:
    """Says of PyTorch's modules and names that an import asks for in vain what to use instead.

    ``from chainrule.nn import LSTM`` drops the AttributeError of the room; Python then looks for
    a module of that name, last of all here.
    """

    @staticmethod
    def find_spec(fullname: str, path: object = None, target: object = None) -> None:
        room, _, name = fullname.rpartition(".")
        if room.partition(".")[0] == "chainrule":
            from chainrule import absent

            instead = absent.use_instead(room, name)
            if instead is not None:
                raise ModuleNotFoundError(f"{room} has no {name}: {instead}")


def absent_name(module: ModuleType, name: str) -> AttributeError:
    """The error of a module's ``__getattr__``: PyTorch may have the name, we do not."""
    from chainrule import absent  # only read when somebody asks for such a name

    return absent.absent_name(module, module.__name__, name)
