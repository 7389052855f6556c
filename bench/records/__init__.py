"""Records: what a cell leaves behind, in files that say of themselves what they are.

`record` is the schema, `migrations` reads older ones, `store` keeps them in folders, `answer` keeps what a method
returned, `provenance` says where and with what.
"""

from .record import (
    SCHEMA_VERSION,
    Cell,
    CostRecord,
    ErrorRecord,
    MethodInfo,
    Provenance,
    Record,
    Status,
    TaskInfo,
    parse,
    schema,
)

__all__ = [
    "SCHEMA_VERSION",
    "Cell",
    "CostRecord",
    "ErrorRecord",
    "MethodInfo",
    "Provenance",
    "Record",
    "Status",
    "TaskInfo",
    "parse",
    "schema",
]
